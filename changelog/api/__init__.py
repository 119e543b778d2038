"""The change log for programs. Errors are problem details (RFC 9457)."""
