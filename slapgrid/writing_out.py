"""Making durable what other programs wrote: they do not ask the disk to."""

from __future__ import annotations

from runtime.ports import Program, Runtime
from slapgrid.environment import clean_environment

#: Gigabytes of a build on a slow disk.
WRITE_OUT_SECONDS_MAX = 600.0


async def write_out(runtime: Runtime, path: str) -> str | None:
    """Make everything on the file system of this directory survive a power loss.

    Gives the reason when that fails. Without it, a mark that is on disk could say that
    a release is complete whose files are not.
    """
    ended = await runtime.processes.run(
        Program(
            ("sync", "--file-system", path),
            directory=path,
            environment=clean_environment(path),
            timeout_seconds=WRITE_OUT_SECONDS_MAX,
        )
    )
    if ended.is_success:
        return None
    return f"{path} is not on disk: {ended.output.decode(errors='replace').strip()}"
