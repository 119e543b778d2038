"""Machines on loan, asked for in Bugzilla."""
