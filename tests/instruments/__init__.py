"""Servers and processes that break on purpose; tests and the benchmark may import them."""
