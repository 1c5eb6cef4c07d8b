"""Usage documents on their way to the master: taken, sealed, delivered once."""
