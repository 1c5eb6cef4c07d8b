"""From bare computers to a master that runs as a release on them."""
