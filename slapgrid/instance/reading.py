"""Reading what an instance may have written, or removed, or made something else."""

from __future__ import annotations

from runtime.ports import IFileTree

#: Everything that the agent reads of an instance is a short document.
DOCUMENT_BYTES_MAX = 16 * 1024 * 1024


def list_directory(files: IFileTree, directory: str) -> tuple[str, ...]:
    """The names in a directory; none when it is not there or is none."""
    try:
        return files.list(directory)
    except (FileNotFoundError, NotADirectoryError):
        return ()


def read_if_there(
    files: IFileTree, path: str, bytes_max: int = DOCUMENT_BYTES_MAX
) -> bytes | None:
    """The content; ``None`` when it is absent, no file, or longer."""
    try:
        return files.read(path, bytes_max)
    except OSError:
        # What it would say is then unknown.
        return None
