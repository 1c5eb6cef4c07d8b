"""A cloud on this machine, apart from it: ``make demo`` and ``make play``."""
