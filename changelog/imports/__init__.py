"""Histories of changes that are kept as files, and how they are read."""
