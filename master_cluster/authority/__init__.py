"""The authority of a cloud: an offline root, and one authority for each region."""
