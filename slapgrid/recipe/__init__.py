"""Recipes for zc.buildout: what a software release of ours is made with.

They run inside the buildout of a release or of an instance, where only the standard
library, attrs, cattrs, zc.buildout and ``slap`` can be imported.
"""
