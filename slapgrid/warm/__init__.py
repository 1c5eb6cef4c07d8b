"""Warm processes: what releases have in common is imported once."""
