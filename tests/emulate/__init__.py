"""What only root can try; run by ``make emulate``."""
