"""The state of a reference proxy, read from its database and taken over."""
