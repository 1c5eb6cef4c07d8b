"""Preparing a computer and telling the master of it."""
