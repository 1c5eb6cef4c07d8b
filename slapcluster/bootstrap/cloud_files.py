"""Shell. Reads the file of a cloud."""

from __future__ import annotations

from pathlib import Path

from slapcluster.bootstrap.wanted_cloud import (
    CLOUD_BYTES_MAX,
    BadCloud,
    WantedCloud,
    read_cloud,
)
from slapcluster.outcomes import CommandFailed


def read_file(file: Path) -> WantedCloud:
    """Return the cloud of a file; ``CommandFailed`` names what is wrong in it."""
    with file.open("rb") as opened:
        content = opened.read(CLOUD_BYTES_MAX + 1)
    if len(content) > CLOUD_BYTES_MAX:
        raise CommandFailed(f"{file} has more than {CLOUD_BYTES_MAX} bytes.")
    try:
        return read_cloud(content.decode())
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{file}: it is no text in UTF-8.") from error
    except BadCloud as error:
        raise CommandFailed(f"{file}: {error}.") from error
