"""Promises: which are due, running them, what is kept of them."""
