"""The append-only history of every object: who did what, when, and what it caused."""
