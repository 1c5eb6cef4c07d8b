"""Pages of the documentation whose commands a test types."""

from __future__ import annotations

import re
from pathlib import Path

BLOCK = re.compile(r"^## (.*?)$|^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands_of(page: Path, section: str) -> list[str]:
    """The commands of a section of a page, in its order."""
    found: dict[str, list[str]] = {}
    title = ""
    for heading, block in BLOCK.findall(page.read_text()):
        title = heading or title
        found.setdefault(title, []).extend(block.splitlines())
    return found[section]
