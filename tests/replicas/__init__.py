"""Three replicas of the master over real NEO and real stunnel, and who calls them."""
