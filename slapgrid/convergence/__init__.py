"""Core. What to do next, and what is remembered of what was done."""
