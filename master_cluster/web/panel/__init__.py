"""Pages for a person with a browser: the cloud as it is, and forms that change it."""
