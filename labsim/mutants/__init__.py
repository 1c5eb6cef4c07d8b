"""Production code with one safeguard taken out, and whether that is found."""
