"""Tree status: what is open or closed, why, by whom, and how sure we are of it."""
