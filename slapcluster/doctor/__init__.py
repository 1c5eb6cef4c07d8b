"""Whether computers will do for a cloud, and whether they still do."""
