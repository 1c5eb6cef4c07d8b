"""Core. How a store that others serve fails, beside the errors of ZODB."""

from __future__ import annotations


class InDoubt(Exception):
    """The end of a commit was lost: it may be written, or not.

    Nobody may repeat it as if it were not; whoever asked for it may ask again, since
    each call of the protocol finds what an earlier one did.
    """
