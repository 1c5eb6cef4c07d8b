"""The master: what is wanted of every computer, and who asked for it."""
