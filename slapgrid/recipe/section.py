"""The section of a recipe: its options, read and exposed by one set of rules."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping

from attrs import frozen
from zc.buildout import UserError  # type: ignore[import-untyped]  # has no types

from slapgrid.recipe.quoting import quote, unquote

Options = MutableMapping[str, str]
Buildout = Mapping[str, Options]

_OPTION_NAME = re.compile(r"[-\w.]+", re.ASCII)

#: Buildout's own file of options would break lines at these.
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")

_TRUTHS = {"true": True, "false": False}


@frozen
class Section:
    """Options by name. A refusal is the ``UserError`` that buildout shows as it is."""

    name: str
    options: Options

    def refusal(self, option: str, sentence: str) -> Exception:
        """Build the error that names this section and the option at fault."""
        refused: Exception = UserError(
            f"section [{self.name}], option {option}: {sentence}"
        )
        return refused

    def text(self, option: str, default: str | None = None) -> str:
        """Return what an option means; without default it is required."""
        value = self.options.get(option)
        if value is not None:
            return unquote(value)
        if default is None:
            raise self.refusal(option, "is missing")
        return default

    def truth(self, option: str, *, default: bool) -> bool:
        word = self.text(option, str(default).lower())
        if word not in _TRUTHS:
            raise self.refusal(option, f"{word!r} is neither true nor false")
        return _TRUTHS[word]

    def whole_number(self, option: str, highest: int) -> int:
        """Return a number from 0 to ``highest``."""
        word = self.text(option).strip()
        is_number = (
            word.isascii() and word.isdecimal() and len(word) <= len(str(highest))
        )
        if not is_number or int(word) > highest:
            sentence = f"{word!r} is not a whole number from 0 to {highest}"
            raise self.refusal(option, sentence)
        return int(word)

    def texts(self, prefix: str) -> dict[str, str]:
        """Return the options that begin with ``prefix``, by the rest of their name."""
        return {
            option.removeprefix(prefix): self.text(option)
            for option in sorted(self.options)
            if option.startswith(prefix)
        }

    def expose(self, option: str, text: str) -> None:
        """Let other sections read ``text`` as an option of this one."""
        self.options[option] = quote(text)

    def expose_foreign(self, option: str, text: str) -> None:
        """Expose what somebody else named and wrote, if an option can hold it."""
        if _OPTION_NAME.fullmatch(option) and not _CONTROL_CHARACTER.search(text):
            self.expose(option, text)
