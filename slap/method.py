"""Core. What a method of SLAP is."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from slap.answers import Answer
from slap.arguments import Argument
from slap.form import NAME_LENGTH_MAX
from slap.schemas import Record, Text

RPC = "slapos."
"""How the names of the JSON-RPC methods begin."""


class Dialect(StrEnum):
    """How the arguments of a call travel, and errors come back.

    ``JSON`` is the one of our extension: an object of texts, and errors as sentences.
    ``RPC`` is JSON-RPC v0 of SlapOS: an object of a schema, and errors as objects.
    """

    FORM = "form"
    JSON = "json"
    RPC = "rpc"


@frozen
class Method:
    """One method; ``summary`` is a sentence about what the master does."""

    name: str
    verb: str
    dialect: Dialect
    arguments: tuple[Argument, ...]
    answer: Answer
    summary: str

    def record(self) -> Record:
        """Return what the object of a call that speaks JSON holds."""
        return Record(
            {
                name: each.schemas.get(name, Text(NAME_LENGTH_MAX))
                for each in self.arguments
                for name in each.fields
            },
            frozenset(name for each in self.arguments for name in each.optional),
        )
