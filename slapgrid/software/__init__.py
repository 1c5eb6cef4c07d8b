"""Releases: what is there, building, removing."""
