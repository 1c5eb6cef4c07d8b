"""Core. What keeps a master from starting or from being copied: a person must act.

What a running master answers are the errors of ``slap``.
"""

from __future__ import annotations


class Misconfigured(Exception):
    """The master cannot start; the sentence says what to change."""


class Unusable(Exception):
    """A file of a store, or a copy of one, is not what was asked for.

    The sentence says what is wrong, and what to do where that is not plain.
    """
