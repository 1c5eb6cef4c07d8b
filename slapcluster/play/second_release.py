"""Shell. Another release: the same sources, and a record that has a field more.

The master that runs it writes that field, so both releases meet records of each other
while it rolls.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from runtime.ports import Runtime
from slap.release_sums import FINGERPRINT_FILE
from slapcluster.outcomes import CommandFailed
from slapcluster.play.checkouts import Checkout
from slapcluster.play.cloud import Say
from slapcluster.play.preparing import make_readable
from slapcluster.release import ReleaseFailed, Sources, copy_files, fill_release

_REPORT = "    report: Report = Report()\n"
_IS_ROOT = "\n    @property\n    def is_root"
_EXISTING = "        existing,\n"
_REQUESTER = "        requester_guid=requester_guid,\n"

CHANGES = (
    (
        "master_cluster/records.py",
        f"{_REPORT}{_IS_ROOT}",
        f"{_REPORT}    colour: str = 'blue'\n{_IS_ROOT}",
    ),
    (
        "master_cluster/requesting.py",
        f"{_EXISTING}{_REQUESTER}",
        f"{_EXISTING}        colour='red',\n{_REQUESTER}",
    ),
    ("pyproject.toml", '\nversion = "0.1.0"\n', '\nversion = "0.1.1"\n'),
)
"""In which files of the other release what stands in the place of what."""


async def fill_second_release(
    runtime: Runtime, checkout: Checkout, directory: Path, say: Say
) -> Path:
    """Fill it below a directory, readable by all; return where it is.

    What is there before is removed.
    """
    shutil.rmtree(directory, ignore_errors=True)
    known = Sources(checkout.path)
    top, release = directory / "sources", directory / "release"
    files = (*known.project_files(), *known.profile_files(), Path("versions.cfg"))
    copy_files(known.top, files, top)
    change(top)
    sources = Sources(top, known.wheels)
    try:
        await fill_release(sources, release, runtime, checkout.environment, say)
    except ReleaseFailed as error:
        raise CommandFailed(f"The other release is not filled: {error}") from error
    make_readable(directory)
    return release


def change(top: Path) -> None:
    """Make sources those of the other release."""
    for name, before, after in CHANGES:
        text = (top / name).read_text()
        if text.count(before) != 1:
            raise CommandFailed(f"{name} has not the one place that is to be changed.")
        (top / name).write_text(text.replace(before, after))


def fingerprint_of(release: Path) -> str:
    return (release / FINGERPRINT_FILE).read_text().strip()
