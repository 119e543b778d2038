"""The only place that talks to Bugzilla: the border, the mirror and the poll. `sandbox/` is a Bugzilla to play with."""
