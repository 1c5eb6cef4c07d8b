"""Core. Releases that an operator pushes to replicas, as callers see them.

A release is *offered* by its list of files, ``SHA256SUMS``, whose digest is its name.
The replica says which files it lacks and *receives* those, piece by piece; it serves
the release when it has all of it, and keeps it until it is *forgotten*.
"""

from __future__ import annotations

from attrs import field, frozen

from slap.arguments import Argument
from slap.errors import BadRequest, TooLarge
from slap.form import Form
from slap.release_sums import FINGERPRINT, BadSums, fingerprint_of, parse_sums
from slap.schemas import Text
from slap.transfer import (
    CONTENT,
    PIECE_BYTES_MAX,
    encode_content,
    read_byte_count,
    read_content,
)

FILE_BYTES_MAX = 256 * 1024 * 1024
"""The largest wheels have tens of megabytes."""

RELEASE_BYTES_MAX = 1024 * 1024 * 1024
"""That of the master has some fifty megabytes."""

FILE_COUNT_MAX = 2_000
"""A release has some hundred files; each is looked at when it is offered."""

SUMS_BYTES_MAX = 1024 * 1024
"""Such a list with names of some hundred letters."""

NAME_BYTES_MAX = 255
"""Of a file or directory: what file systems take."""


@frozen
class MissingFile:
    """A file that a replica lacks, and how much of it is there already."""

    path: str
    received_byte_count: int = 0


@frozen
class HeldRelease:
    """A release at a replica, of which so many files and bytes are there.

    One that is not ``is_whole`` is not served; ``missing`` says what it lacks, to
    whoever offers it. The replica runs from the one that ``is_run``.
    """

    fingerprint: str
    is_whole: bool = False
    file_count: int = 0
    byte_count: int = 0
    changed_at: float = 0.0
    is_run: bool = False
    missing: tuple[MissingFile, ...] = ()


@frozen
class ReleasesReport:
    """The releases at a replica; it takes others when ``is_taking``."""

    is_taking: bool
    releases: tuple[HeldRelease, ...] = ()


@frozen
class FileReport:
    """So much of a file is there; it is whole when it has its digest too."""

    path: str
    received_byte_count: int
    is_whole: bool


@frozen
class ReleaseOffer:
    """A release by its list of files, and the bytes of all of them."""

    fingerprint: str
    sums: str = field(repr=False)
    byte_count: int

    def __attrs_post_init__(self) -> None:
        check_fingerprint(self.fingerprint)
        if len(self.sums.encode(errors="replace")) > SUMS_BYTES_MAX:
            raise TooLarge(f"sums: a list has at most {SUMS_BYTES_MAX} bytes")
        try:
            found = fingerprint_of(self.sums)
            paths = parse_sums(self.sums)
        except (BadSums, UnicodeEncodeError) as error:
            raise BadRequest(f"sums: {error}") from error
        if found != self.fingerprint:
            raise BadRequest(
                f"sums: the digest of the list is {found}, and the release would be"
                f" {self.fingerprint}: fill it anew, by `make release`"
            )
        if len(paths) > FILE_COUNT_MAX:
            raise TooLarge(
                f"sums: {len(paths)} files; a release has at most {FILE_COUNT_MAX}"
            )
        for path in paths:
            check_path(path)
        check_release_size(self.byte_count)

    @property
    def digests(self) -> dict[str, str]:
        return parse_sums(self.sums)


@frozen
class ReleasePiece:
    """A part of a file of ``byte_count`` bytes, from ``offset`` on."""

    fingerprint: str
    path: str
    byte_count: int
    offset: int
    content: bytes = field(repr=False)

    def __attrs_post_init__(self) -> None:
        check_fingerprint(self.fingerprint)
        check_path(self.path)
        if self.byte_count > FILE_BYTES_MAX:
            raise TooLarge(
                f"size: {self.byte_count} bytes; a file has at most {FILE_BYTES_MAX}"
            )
        if len(self.content) > PIECE_BYTES_MAX:
            raise TooLarge(f"content: a piece has at most {PIECE_BYTES_MAX} bytes")
        if not self.content and self.byte_count:
            raise BadRequest("content: a piece has a byte or more")
        if not 0 <= self.offset <= self.byte_count - len(self.content):
            raise BadRequest("offset: the piece does not lie within the size")

    @property
    def end(self) -> int:
        return self.offset + len(self.content)


def check_fingerprint(text: str) -> None:
    """``BadRequest`` for what names no release."""
    if not FINGERPRINT.fullmatch(text):
        raise BadRequest("fingerprint: not 64 hexadecimal digits in lower case")


def check_path(path: str) -> None:
    """``BadRequest`` for what is not below a directory, on any file system of ours."""
    names = path.split("/")
    if not path.isprintable() or {"", ".", ".."} & set(names):
        raise BadRequest(f"path: {path[:200]!r} is no file below a release")
    if any(len(it.encode(errors="replace")) > NAME_BYTES_MAX for it in names):
        raise BadRequest(f"path: a name has at most {NAME_BYTES_MAX} bytes")


def check_release_size(byte_count: int) -> None:
    if byte_count > RELEASE_BYTES_MAX:
        raise TooLarge(
            f"size: {byte_count} bytes; a release has at most {RELEASE_BYTES_MAX}"
        )


def _encode_offer(offer: ReleaseOffer) -> dict[str, str]:
    return {
        "fingerprint": offer.fingerprint,
        "size": str(offer.byte_count),
        "sums": offer.sums,
    }


def _decode_offer(form: Form) -> ReleaseOffer:
    return ReleaseOffer(
        form.text("fingerprint"), form.raw("sums"), read_byte_count(form, "size")
    )


OFFER = Argument(
    "offer",
    ("fingerprint", "size", "sums"),
    _encode_offer,
    _decode_offer,
    {"sums": Text(SUMS_BYTES_MAX, is_free=True)},
)


def _encode_piece(piece: ReleasePiece) -> dict[str, str]:
    return {
        "fingerprint": piece.fingerprint,
        "path": piece.path,
        "size": str(piece.byte_count),
        "offset": str(piece.offset),
        "content": encode_content(piece.content),
    }


def _decode_piece(form: Form) -> ReleasePiece:
    return ReleasePiece(
        form.text("fingerprint"),
        form.text("path"),
        read_byte_count(form, "size"),
        read_byte_count(form, "offset"),
        read_content(form),
    )


RELEASE_PIECE = Argument(
    "piece",
    ("fingerprint", "path", "size", "offset", "content"),
    _encode_piece,
    _decode_piece,
    {"content": CONTENT},
)
