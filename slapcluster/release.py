"""Fills the wheelhouse: all that a computer needs to build our software releases.

    python -m slapcluster.release [--output dist/release]

The directory holds ``wheelhouse/`` (our wheel, its dependencies and the tools that
build a release), ``versions.cfg`` (the pins of exactly those), ``software/`` (the
profiles), ``inputs``, ``SHA256SUMS`` of all that, and ``fingerprint``, the digest of
that list. A master serves it as it is.

A new directory is made beside the old one and takes its name when it is whole; a run
that is interrupted leaves the old one. When the inputs (our sources, the profiles, the
pins, the interpreter) have the digest that stands in ``inputs``, nothing is done.

Packages come from ``.make/cache/dist``, where set-up puts them, without any network;
what is not there comes by pip as it is configured.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import sysconfig
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import click
from attrs import field, frozen

from runtime.ports import Program, Runtime
from slap.release_sums import (
    FINGERPRINT_FILE,
    SUMS_FILE,
    BadSums,
    fingerprint_of,
    parse_sums,
    render_sums,
)
from slapcluster import pinning
from slapcluster.running import launch

TOP = Path(__file__).resolve().parent.parent

PIP_SECONDS_MAX = 900.0
"""A slow line fetches the 50 MB of a wheelhouse; a registry that hangs is given up."""

#: Any fixed date after 1980: equal sources give an equal wheel.
_SOURCE_DATE_EPOCH = "946684800"

#: Raised when the same inputs should give another directory.
_FORMAT = "2"

INPUTS_FILE = "inputs"
"""The digest of what the directory was made of."""

_PROJECT_FILES = ("pyproject.toml", "README.md", "COPYING")

Say = Callable[[str], None]


#: The lines of pip's output that say how far it is.
_STEPS = (b"Collecting ", b"Processing ", b"Building wheel")

_STEP_LENGTH_MAX = 72


class ReleaseFailed(Exception):
    """Why there is no new directory; the old one is as it was."""


@frozen
class Sources:
    """A checkout."""

    top: Path
    wheels: Path = field()
    """Packages that are here already."""

    @wheels.default
    def _wheels(self) -> Path:
        return self.top / ".make" / "cache" / "dist"

    def project_files(self) -> Iterator[Path]:
        """Yield what our wheel is made of, relative to the top."""
        patterns = self._project()["tool"]["setuptools"]["packages"]["find"]["include"]
        for name in _PROJECT_FILES:
            yield Path(name)
        for directory in sorted(self.top.iterdir()):
            is_ours = any(fnmatchcase(directory.name, it) for it in patterns)
            if is_ours and (directory / "__init__.py").is_file():
                yield from self._files(directory)

    def port_files(self) -> Iterator[Path]:
        """Yield what NEO's wheel is made of; its version stays when they change."""
        return self._files(self.top / "replication" / "neo" / "port")

    def profile_files(self) -> Iterator[Path]:
        """Yield the software releases, relative to the top."""
        return self._files(self.top / "software")

    def pins(self) -> tuple[pinning.Package, ...]:
        text = (self.top / "versions.cfg").read_text("utf-8")
        return pinning.parse_pins(text)

    def name(self) -> str:
        return str(self._project()["project"]["name"])

    def digest(self) -> str:
        """Return a digest of all that decides what the directory holds."""
        digest = hashlib.sha256()
        inputs = [*self.project_files(), *self.port_files(), *self.profile_files()]
        inputs.append(Path("versions.cfg"))
        for path in inputs:
            content = (self.top / path).read_bytes()
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
        platform = f"{sys.version_info[:2]} {sysconfig.get_platform()} {_FORMAT}"
        digest.update(platform.encode())
        return digest.hexdigest()

    def _files(self, directory: Path) -> Iterator[Path]:
        for path in sorted(directory.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(self.top)

    def _project(self) -> dict[str, dict[str, dict]]:  # type: ignore[type-arg]
        return tomllib.loads((self.top / "pyproject.toml").read_text("utf-8"))


def _nobody_watches(_: str) -> None:
    """Show nothing."""


async def fill_release(
    sources: Sources,
    output: Path,
    runtime: Runtime,
    environment: Mapping[str, str],
    say: Say,
    *,
    show_step: Say = _nobody_watches,
) -> None:
    """Make ``output`` hold what ``sources`` say; raises ``ReleaseFailed``.

    ``say`` gets sentences, ``show_step`` what is done just now. Another run at the
    same time is refused.
    """
    with _locked(output):
        draft = _clear_way(output)
        inputs = sources.digest()
        if is_whole(output, inputs):
            say(f"{output} is up to date")
            return
        started = runtime.clock.seconds()
        pip = _Pip(runtime, environment, say, show_step)
        await pip.gather(sources, draft / "wheelhouse")
        count = _complete(draft, sources, inputs)
        _replace(draft, output)
        seconds = runtime.clock.seconds() - started
        say(f"{output} is ready: {count} wheels, {seconds:.1f} s")


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    output.parent.mkdir(parents=True, exist_ok=True)
    with (output.parent / f".{output.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ReleaseFailed(f"another run fills {output} just now") from None
        yield


def _aside(output: Path) -> Path:
    return output.with_name(f".{output.name}.old")


def _clear_way(output: Path) -> Path:
    """Undo what a killed run left, and return where the draft goes."""
    aside = _aside(output)
    draft = output.with_name(f".{output.name}.new")
    if aside.exists() and not output.exists():
        aside.rename(output)
    for leftover in (aside, draft):
        shutil.rmtree(leftover, ignore_errors=True)
    return draft


def _complete(draft: Path, sources: Sources, inputs: str) -> int:
    """Put what belongs to the wheels beside them; return how many wheels there are."""
    packages = {_package_of(path) for path in (draft / "wheelhouse").iterdir()}
    dependencies = {it for it in packages if it.name != sources.name()}
    try:
        pinning.check_pinned(dependencies, sources.pins())
    except pinning.NotPinned as error:
        raise ReleaseFailed(str(error)) from error
    (draft / "versions.cfg").write_text(pinning.render_versions(packages), "utf-8")
    copy_files(sources.top, sources.profile_files(), draft)
    (draft / INPUTS_FILE).write_text(inputs + "\n", "utf-8")
    digests = {
        str(path.relative_to(draft)): _digest(path)
        for path in sorted(draft.rglob("*"))
        if path.is_file()
    }
    sums = render_sums(digests)
    (draft / SUMS_FILE).write_text(sums, "utf-8")
    (draft / FINGERPRINT_FILE).write_text(fingerprint_of(sums) + "\n", "utf-8")
    return len(packages)


def _replace(draft: Path, output: Path) -> None:
    """Give the draft its name; killed in between, the next run brings the old back."""
    os.sync()
    aside = _aside(output)
    if output.exists():
        output.rename(aside)
    draft.rename(output)
    shutil.rmtree(aside, ignore_errors=True)


def is_whole(output: Path, inputs: str) -> bool:
    """Whether the directory is what these inputs give, and nothing in it changed."""
    try:
        sums = (output / SUMS_FILE).read_text("utf-8")
        fingerprint = (output / FINGERPRINT_FILE).read_text("utf-8").strip()
        if fingerprint != fingerprint_of(sums):
            return False
        if (output / INPUTS_FILE).read_text("utf-8").strip() != inputs:
            return False
        digests = parse_sums(sums)
        return all(_digest(output / path) == it for path, it in digests.items())
    except (OSError, BadSums):
        return False


@frozen
class _Pip:
    """pip, as it is configured on this machine."""

    runtime: Runtime
    environment: Mapping[str, str]
    say: Say
    show_step: Say

    async def gather(self, sources: Sources, wheelhouse: Path) -> None:
        """Put our wheel, what it needs and the build tools into ``wheelhouse``."""
        with tempfile.TemporaryDirectory(prefix="slapcluster-release-") as directory:
            scratch = Path(directory)
            project = scratch / "project"
            # setuptools leaves files beside what it builds, and takes up old ones.
            copy_files(sources.top, sources.project_files(), project)
            constraints = scratch / "constraints.txt"
            text = pinning.render_constraints(sources.pins())
            constraints.write_text(text, "utf-8")
            argv = (
                *(sys.executable, "-m", "pip", "wheel", "--no-input"),
                *("--find-links", str(sources.wheels)),
                *("--constraint", str(constraints), "--wheel-dir", str(wheelhouse)),
                *(f"{project}[command]", *pinning.BUILD_TOOLS),
            )
            if sources.wheels.is_dir():
                self.say("gathering the packages that set-up fetched")
                if await self._run((*argv, "--no-index"), scratch) is None:
                    return
                shutil.rmtree(wheelhouse, ignore_errors=True)
            self.say("fetching packages by pip")
            failure = await self._run(argv, scratch)
            if failure is not None:
                raise ReleaseFailed(f"pip failed:\n{failure}")

    async def _run(self, argv: Iterable[str], directory: Path) -> str | None:
        """Return ``None``, or the end of what pip wrote when it failed."""
        program = Program(
            argv=tuple(argv),
            directory=str(directory),
            environment={
                **self.environment,
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "SOURCE_DATE_EPOCH": _SOURCE_DATE_EPOCH,
            },
            umask=0o022,
            timeout_seconds=PIP_SECONDS_MAX,
        )
        ended = await self.runtime.processes.run(program, self._show)
        return None if ended.is_success else ended.output.decode(errors="replace")

    def _show(self, output: bytes) -> None:
        steps = [it for it in output.splitlines() if it.startswith(_STEPS)]
        if steps:
            self.show_step(steps[-1].decode(errors="replace"))


def copy_files(top: Path, files: Iterable[Path], target: Path) -> None:
    """Copy files that are named relative to ``top`` to the same places elsewhere."""
    for path in files:
        copy = target / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(top / path, copy)


def _package_of(wheel: Path) -> pinning.Package:
    with zipfile.ZipFile(wheel) as archive:
        # Packages that a package vendors have theirs lower.
        (name,) = (
            it
            for it in archive.namelist()
            if it.endswith(".dist-info/METADATA") and it.count("/") == 1
        )
        return pinning.parse_metadata(archive.read(name).decode())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@click.command(help=__doc__)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    default=TOP / "dist" / "release",
)
def main(output: Path) -> None:
    def say(sentence: str) -> None:
        click.echo(f"{_line_start()}release: {sentence}", err=True)

    def show_step(step: str) -> None:
        if sys.stderr.isatty():
            text = f"{_line_start()}  {Path(step).name[:_STEP_LENGTH_MAX]}"
            click.echo(text, err=True, nl=False)

    environment = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - a composition root
        if not name.startswith("PYTHON")
    }

    async def fill(runtime: Runtime) -> None:
        sources = Sources(TOP)
        await fill_release(
            sources, output, runtime, environment, say, show_step=show_step
        )

    try:
        launch(fill)
    except (ReleaseFailed, OSError) as error:
        raise click.ClickException(str(error)) from error


def _line_start() -> str:
    """Return what wipes the step shown on a terminal."""
    return "\r\x1b[K" if sys.stderr.isatty() else ""


if __name__ == "__main__":
    main()
