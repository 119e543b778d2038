"""Tree-closing downtimes: asked for, planned, agreed to, announced at least 24 hours ahead. Running them comes next."""
