"""What happened in a run, for people: one page that needs nothing else."""
