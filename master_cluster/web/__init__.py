"""The master over HTTP."""
