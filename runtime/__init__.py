"""The ports through which production code meets the world, and the real ones."""
