"""Kinds of faults: how each is drawn, what of the world it uses, its colour."""
