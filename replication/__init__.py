"""The replicated state: NEO, in several regions."""
