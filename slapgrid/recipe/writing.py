"""Files that are replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: str, mode: int) -> None:
    """Replace a file: readers and crashes see the old content or the new one.

    Missing directories are made. ``mode`` is that of the file, less the umask, which is
    where a site says who else may read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - a Path cannot open a descriptor
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
