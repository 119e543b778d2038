"""Mails of what was published: asked for, confirmed by mail, left with one click."""
