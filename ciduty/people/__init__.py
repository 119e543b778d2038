"""Accounts, their Bugzilla logins and roles."""
