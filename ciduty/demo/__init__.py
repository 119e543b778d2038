"""The demo world; top of the arrows: it may see everything and nobody imports it."""
