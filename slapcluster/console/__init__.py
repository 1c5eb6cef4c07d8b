"""What a person has at hand in the Python console."""
