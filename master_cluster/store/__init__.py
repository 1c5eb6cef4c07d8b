"""The state of the master, in ZODB: everything above is the same for every store."""
