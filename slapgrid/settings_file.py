"""Core. Keys of a settings file, changed as text: what else stands in it stays."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SECTION = re.compile(r"\[(?P<name>[^]]+)\]")
_KEY = re.compile(r"(?P<name>[^\s=:#;][^=:]*?)\s*[=:]")


def set_keys(text: str, section: str, values: Mapping[str, str]) -> str:
    """Return a settings file in which keys of a section have values.

    They stand at the end of its last part, which wins, and nowhere else any more; a
    section that is not there is added. Done again it changes nothing.
    """
    kept = _without_keys(text, section, frozenset(values))
    block = [f"{name} = {value}" for name, value in values.items()]
    headers = [(number, _section_of(line)) for number, line in enumerate(kept)]
    starts = [number for number, name in headers if name == section]
    if not starts:
        gap = [""] if kept and kept[-1].strip() else []
        return _joined([*kept, *gap, f"[{section}]", *block])
    ends = [number for number, name in headers if name and number > starts[-1]]
    end = min(ends, default=len(kept))
    while not kept[end - 1].strip():
        end -= 1
    return _joined([*kept[:end], *block, *kept[end:]])


def _without_keys(text: str, section: str, names: frozenset[str]) -> list[str]:
    kept: list[str] = []
    present, is_dropping = "", False
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", ";")):
            # Between the lines of a value too.
            kept.append(line)
            continue
        if not line[:1].isspace():
            found = _section_of(line)
            present = present if found is None else found
            key = _KEY.match(line)
            name = key["name"].lower() if key else ""
            is_dropping = found is None and present == section and name in names
        if not is_dropping:
            kept.append(line)
    return kept


def _section_of(line: str) -> str | None:
    matched = _SECTION.match(line)
    return None if matched is None else matched["name"]


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
