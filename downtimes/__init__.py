"""Tree-closing downtimes: asked for, planned, agreed to and announced at least 24 hours ahead. Running them comes next."""
