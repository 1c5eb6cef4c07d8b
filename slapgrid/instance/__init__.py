"""Partitions: what is there, installing instances, destroying them."""
