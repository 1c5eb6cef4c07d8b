"""Core. How a store that others serve fails, beside the errors of ZODB."""

from __future__ import annotations

from slap.errors import Unavailable


class InDoubt(Exception):
    """The end of a commit was lost: it may be written, or will be, or not.

    Nobody may repeat it as if it were not.
    """


class StillInDoubt(Unavailable):
    """It was looked for as long as anybody waits, and nobody could say."""

    def named(self, key: str) -> StillInDoubt:
        """Return the same, with the name by which it is asked for again."""
        sentence = f"it may be done or not, ask again: {key} ({self.sentence})"
        return StillInDoubt(sentence, self.retry_after_seconds)
