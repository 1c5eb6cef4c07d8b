"""Core. What a method of SLAP is."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from slap.answers import Answer
from slap.arguments import Argument
from slap.schemas import Record

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
        """Return what the object of a call of JSON-RPC holds."""
        return Record(
            {name: it for each in self.arguments for name, it in each.schemas.items()},
            frozenset(name for each in self.arguments for name in each.optional),
        )
