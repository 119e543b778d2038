"""A downtime from its beginning to TREE OPEN: the run sheet, what it believes, what it asks before each step."""
