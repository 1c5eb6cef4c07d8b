"""Core. The state of one master that other ones take over, as callers see it.

A master *freezes* its state, so that a copy of it stays whole; another one *receives*
the copy, piece by piece, and is *opened* when it has all of it; then the first one is
*moved*: it answers nothing but who took over. A transfer that is given up is *thawed*.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from enum import StrEnum

from attrs import field, frozen

from slap.arguments import Argument
from slap.errors import BadRequest, Unavailable
from slap.form import Form
from slap.replicas import ListedReplica, decode_replicas, encode_replicas
from slap.schemas import Text

PIECE_BYTES_MAX = 1024 * 1024
"""Of a copy, in one call: it is on its disk within a second."""

COPY_BYTES_MAX = 2**40
"""More than any disk of a master; a size has no more digits than that."""

MOVED_RETRY_AFTER_SECONDS = 1
"""Those who took over are there already."""

RECEIVING = "receiving"
"""How a master that waits for a state begins to say why it is not ready."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DIGITS = re.compile(r"[0-9]{1,13}")


class Standing(StrEnum):
    """Of the state of a master: who may change it here.

    ``receiving`` is a master that has none of its own yet.
    """

    OPEN = "open"
    FROZEN = "frozen"
    MOVED = "moved"
    RECEIVING = "receiving"


@frozen
class TransferReport:
    """How far a transfer is, as one master knows.

    ``digest`` names the content that is received, or that this master was opened with;
    ``is_whole`` when all of that is in the store, and compared. ``replicas`` are those
    that took over.
    """

    standing: str = field(converter=str)
    received_byte_count: int = 0
    sentence: str = ""
    digest: str = ""
    is_whole: bool = False
    replicas: tuple[ListedReplica, ...] = ()


class Moved(Unavailable):
    """Others took over: ask ``replicas``."""

    def __init__(self, replicas: Iterable[ListedReplica]) -> None:
        self.replicas = tuple(replicas)
        urls = ", ".join(it.url for it in self.replicas)
        super().__init__(
            f"this master's state has moved: ask {urls}", MOVED_RETRY_AFTER_SECONDS
        )


@frozen
class Piece:
    """A part of a copy of ``byte_count`` bytes, from ``offset`` on."""

    digest: str
    byte_count: int
    offset: int
    content: bytes = field(repr=False)

    def __attrs_post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.digest):
            raise BadRequest("digest: not 64 hexadecimal digits in lower case")
        if not 0 < self.byte_count <= COPY_BYTES_MAX:
            raise BadRequest("size: not the size of a copy")
        if not 0 < len(self.content) <= PIECE_BYTES_MAX:
            raise BadRequest(f"content: a piece has 1 to {PIECE_BYTES_MAX} bytes")
        if not 0 <= self.offset <= self.byte_count - len(self.content):
            raise BadRequest("offset: the piece does not lie within the size")

    @property
    def end(self) -> int:
        return self.offset + len(self.content)


def _encode_piece(piece: Piece) -> dict[str, str]:
    return {
        "digest": piece.digest,
        "size": str(piece.byte_count),
        "offset": str(piece.offset),
        "content": encode_content(piece.content),
    }


def _decode_piece(form: Form) -> Piece:
    return Piece(
        form.text("digest"),
        read_byte_count(form, "size"),
        read_byte_count(form, "offset"),
        read_content(form),
    )


def encode_content(content: bytes) -> str:
    """Return bytes as the field ``content`` has them."""
    return base64.b64encode(content).decode("ascii")


def read_content(form: Form) -> bytes:
    """Return the bytes of the field ``content``."""
    try:
        return base64.b64decode(form.raw("content").encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise BadRequest(f"content: not base64: {error}") from error


def read_byte_count(form: Form, name: str) -> int:
    """Return a field that has a number of bytes."""
    text = form.text(name)
    if not _DIGITS.fullmatch(text):
        raise BadRequest(f"{name}: not a number of bytes")
    return int(text)


CONTENT = Text(4 * (PIECE_BYTES_MAX // 3 + 1), is_free=True)
"""What ``content`` may be in JSON."""

PIECE = Argument(
    "piece",
    ("digest", "size", "offset", "content"),
    _encode_piece,
    _decode_piece,
    {"content": CONTENT},
)


def _decode_successors(form: Form) -> tuple[ListedReplica, ...]:
    text = form.text("replicas")
    replicas = decode_replicas(text)
    if not replicas or len(replicas) != len(text.split(",")):
        raise BadRequest(
            "replicas: not distinct addresses with their regions, such as"
            " https://[2001:db8::1]:5443 eu, https://[2001:db8::2]:5443 us"
        )
    return replicas


SUCCESSORS = Argument(
    "replicas",
    ("replicas",),
    lambda replicas: {"replicas": encode_replicas(replicas)},
    _decode_successors,
)
