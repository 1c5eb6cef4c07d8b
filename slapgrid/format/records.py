"""Core. How a formatted computer is written down: ``computer_xml`` and its history."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, datetime

from slap.marshalling import Value, dumps

#: Years of changes; a computer changes when it gets partitions or another network.
VERSION_COUNT_MAX = 200
INDENTATION = "  "
_ELEMENT = re.compile(r"<(\w+)>([^<]*)</\1>|<[^>]*>")
_ARCHIVE_DATE = (1980, 1, 1, 0, 0, 0)


def render_xml(document: dict[str, Value]) -> bytes:
    """A marshalled document with an element on each line, as stock nodes keep it."""
    lines = []
    depth = 0
    for found in _ELEMENT.finditer(dumps(document).decode("ascii")):
        element = found[0]
        if element.startswith("</"):
            depth -= 1
        if found[1] is not None and not found[2]:
            element = f"<{found[1]}/>"
        lines.append(f"{INDENTATION * depth}{element}\n")
        is_opening = found[1] is None and not element.endswith("/>")
        if is_opening and not element.startswith("</"):
            depth += 1
    return "".join(lines).encode("ascii")


def add_version(archive: bytes | None, name: str, content: bytes, now: float) -> bytes:
    """An archive of former versions with one more; raises ``BadZipFile``.

    A version that is the last one already is not added again: whoever was interrupted
    between the archive and the file does both again.
    """
    versions: list[tuple[str, bytes]] = []
    if archive is not None:
        with zipfile.ZipFile(io.BytesIO(archive)) as known:
            versions = [(it.filename, known.read(it)) for it in known.infolist()]
    if archive is not None and versions and versions[-1][1] == content:
        return archive
    date = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H:%M")
    versions.append((f"{name}.{date}", content))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as new:
        for title, each in versions[-VERSION_COUNT_MAX:]:
            entry = zipfile.ZipInfo(title, _ARCHIVE_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, each)
    return written.getvalue()
