"""Core. What keeps a master from starting: whoever configured it must act.

What a running master answers are the errors of ``slap``.
"""

from __future__ import annotations


class Misconfigured(Exception):
    """The master cannot start; the sentence says what to change."""
