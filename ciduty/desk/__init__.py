"""The registries that pages draw from, the desk and the front door."""
