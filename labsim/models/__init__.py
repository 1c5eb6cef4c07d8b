"""Models of what the simulation does not run: supervisord and buildout."""
