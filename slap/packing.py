"""Core. Bodies that were compressed on the way, read within a bound."""

from __future__ import annotations

import zlib

from attrs import evolve

from slap.calls import HttpAnswer
from slap.errors import ServerError

ACCEPTED = "gzip"
"""What a caller that unpacks says in ``Accept-Encoding``."""

_GZIP = 16 + zlib.MAX_WBITS


def unpack(answer: HttpAnswer, bytes_max: int) -> HttpAnswer:
    """The answer with its body as it was before it was packed.

    A body that is larger than ``bytes_max`` then, or that is broken, is an error of the
    replica: it is never held in memory.
    """
    coding = next(
        (
            value.strip().lower()
            for name, value in answer.headers.items()
            if name.lower() == "content-encoding"
        ),
        "",
    )
    if coding in {"", "identity"}:
        return answer
    if coding not in {ACCEPTED, "x-gzip"}:
        raise ServerError(f"the answer is packed as {coding!r}, which nobody asked for")
    unpacking = zlib.decompressobj(wbits=_GZIP)
    try:
        body = unpacking.decompress(answer.body, bytes_max + 1)
    except zlib.error as error:
        raise ServerError(f"the packed answer is broken: {error}") from error
    if len(body) > bytes_max:
        raise ServerError(f"the answer unpacks to more than {bytes_max} bytes")
    if not unpacking.eof or unpacking.unused_data:
        raise ServerError("the packed answer is broken: it ends too early or too late")
    return evolve(answer, body=body)
