"""Turns what stations report, and what is decided about tokens, into sessions: exactly one per transaction."""
