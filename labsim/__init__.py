"""The laboratory: simulated worlds, models of what does not run in them, and faults."""
