"""Core. Conditional polls: the headers by which a document is sent once per change.

A master names the content of a document by an ETag. Who has that content already says
so with ``If-None-Match``, and is told that nothing changed; with ``Prefer: wait=N`` it
is told when something does, or after so many seconds that nothing did. Other masters
ignore both: their answer is the document, at once.

Terms of RFC 9110 (conditions, content codings) and RFC 7240 (preferences). What is not
understood in these headers is ignored, as they say.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from attrs import evolve, field, frozen

from slap.calls import HttpAnswer, HttpCall, decode_answer, encode_call, get_computer
from slap.freshness import stale_seconds_of
from slap.model import Computer

WAIT_SECONDS_MAX = 283
"""How long a poll may wait; a proxy on the way may end what is silent for 5 minutes.

No multiple of a poll period, and shorter than a connection is kept.
"""

ETAG_LENGTH_MAX = 200
"""What a caller sends back; a longer one is no name of a content."""


@frozen
class Condition:
    """The contents that a caller has; ``is_any`` when it names none of them."""

    etags: frozenset[str] = field(default=frozenset(), converter=frozenset)
    is_any: bool = False

    def holds(self, etag: str) -> bool:
        """Return whether the caller has the content of that name."""
        return self.is_any or etag in self.etags


UNCONDITIONAL = Condition()

_ETAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_ETAGS = re.compile(rf"[ \t,]*{_ETAG.pattern}(?:[ \t]*,[ \t,]*{_ETAG.pattern})*[ \t,]*")
_SECONDS = re.compile(r"[0-9]{1,9}")
_WEIGHT = re.compile(r"0(?:\.0{0,3})?")


def decode_condition(header: str) -> Condition:
    """Read ``If-None-Match``, whose comparison is weak; no condition if it is odd."""
    if header.strip(" \t") == "*":
        return Condition(is_any=True)
    if not _ETAGS.fullmatch(header):
        return UNCONDITIONAL
    return Condition(_ETAG.findall(header))


def decode_wait(header: str) -> int | None:
    """Read the seconds of ``wait`` in ``Prefer``; ``None`` when it is not there."""
    for preference in header.split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip(" \t").lower() == "wait":
            seconds = value.strip(" \t").strip('"')
            return int(seconds) if _SECONDS.fullmatch(seconds) else None
    return None


def accepts_gzip(header: str) -> bool:
    """Read from ``Accept-Encoding`` whether the caller reads gzip."""
    weights: dict[str, str] = {}
    for coding in header.split(","):
        name, _, parameter = coding.partition(";")
        key, _, weight = parameter.partition("=")
        is_weight = key.strip(" \t").lower() == "q"
        weights[name.strip(" \t").lower()] = weight.strip(" \t") if is_weight else "1"
    weight = weights.get("gzip", weights.get("x-gzip", weights.get("*", "0")))
    return not _WEIGHT.fullmatch(weight)


@frozen
class Polled:
    """A document; ``etag`` is what names its content, as it was sent, if anything.

    ``stale_seconds``: it was current so long ago, and nobody knows whether it is now.
    """

    computer: Computer
    etag: str | None = None
    stale_seconds: int | None = None


@frozen
class Unchanged:
    """The caller has the document; ``has_waited`` when the master waits if asked to.

    ``stale_seconds``: it was current so long ago, and nobody knows whether it is now.
    """

    has_waited: bool = False
    stale_seconds: int | None = None


def encode_poll(
    computer_id: str, etag: str | None = None, wait_seconds: int | None = None
) -> HttpCall:
    """Return how to ask for the document of a computer.

    Who has the one of ``etag`` gets another one if there is one by now, or, with
    ``wait_seconds``, within that time.
    """
    plain = encode_call(get_computer(computer_id))
    if etag is None:
        return plain
    headers = {**plain.headers, "If-None-Match": etag}
    if wait_seconds is not None:
        headers["Prefer"] = f"wait={wait_seconds}"
    return evolve(plain, headers=headers)


def decode_poll(
    computer_id: str, etag: str | None, answer: HttpAnswer
) -> Polled | Unchanged:
    """Return what was answered to a poll, or raise the error of the master."""
    lowered = {name.lower(): value for name, value in answer.headers.items()}
    stale_seconds = stale_seconds_of(lowered)
    if etag is not None and answer.status == HTTPStatus.NOT_MODIFIED:
        applied = lowered.get("preference-applied", "").lower()
        return Unchanged("wait" in applied, stale_seconds)
    computer = decode_answer(get_computer(computer_id), answer)
    assert isinstance(computer, Computer), "the method table says so"
    named = lowered.get("etag", "").strip(" \t")
    is_name = len(named) <= ETAG_LENGTH_MAX and _ETAG.fullmatch(named)
    return Polled(computer, named if is_name else None, stale_seconds)
