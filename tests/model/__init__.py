"""NEO in small, to see what the rule of the quorum allows."""
