"""Taking everything away that a computer, or a cloud, has of us, and nothing else."""
