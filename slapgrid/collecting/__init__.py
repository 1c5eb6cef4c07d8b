"""What the computer and its partitions use, measured."""
