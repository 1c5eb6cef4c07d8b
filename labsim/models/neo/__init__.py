"""A model of NEO in simulated worlds, which decides by ``replication.quorum`` alone."""
