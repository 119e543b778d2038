"""The catalogue of systems: what they serve, who owns them, whom to ask, which need a coordinated downtime."""
