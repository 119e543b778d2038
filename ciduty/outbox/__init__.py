"""Everything ciduty says to the outside, written down before it is said: mail and bug updates."""
