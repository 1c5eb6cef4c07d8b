"""The command line, and the composition of the programs behind it."""
