"""Whole lives of parts of the product, each drawn from a seed and judged at its end."""
