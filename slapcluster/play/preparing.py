"""Shell. Fills the place of a cloud: directories, wheels, programs, their settings."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from runtime.ports import Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.play import computers, power, settings
from slapcluster.play.checkouts import Checkout
from slapcluster.play.choosing import run_as_user
from slapcluster.play.places import Record

INSTALL_SECONDS_MAX = 300
"""Forty wheels without a network: seconds, unless the disk is very slow."""

DIRECTORIES = (
    *("venv", "etc", "log", "run", "tmp", "home"),
    *("master", "soft", "srv"),
)
"""Of the place, and all of its user; ``release`` stays with whoever made it."""


def make_directories(runtime: Runtime, record: Record) -> None:
    parent, _, name = record.place.rpartition("/")
    tree = runtime.file_tree(parent)
    for relative in (name, *(f"{name}/{it}" for it in DIRECTORIES)):
        tree.make_directory(relative, 0o755)
        tree.change(relative, uid=record.identity.uid, gid=record.identity.gid)


def make_computers(runtime: Runtime, record: Record) -> None:
    """Make the directories and settings of computers, closed to each other."""
    tree = runtime.file_tree(record.place)
    tree.make_directory(power.DIRECTORY)
    tree.change("home", mode=0o700)
    for region, identity in record.computers.items():
        command = ("/bin/sh", f"{record.place}/{region}/etc/agent")
        conf = settings.render_supervisord(
            f"{record.place}/{region}", {"agent": command}
        )
        for name in ("", *computers.DIRECTORIES):
            tree.make_directory(f"{region}/{name}".rstrip("/"), 0o755)
        files = {
            "slapos.cfg": computers.render_agent(record, region),
            "agent": computers.render_waiting(record, region),
            "supervisord.conf": conf,
        }
        for name, text in files.items():
            tree.write(f"{region}/etc/{name}", text.encode())
        for name in ("", *computers.DIRECTORIES):
            path = f"{region}/{name}".rstrip("/")
            tree.change(path, uid=identity.uid, gid=identity.gid)
        tree.change(region, mode=0o700)
    tree.write("etc/cloud.toml", computers.render_cloud(record).encode())


def copy_release(checkout: Checkout, record: Record) -> None:
    """Copy wheels and profiles, readable by all whatever the umask was."""
    target = Path(record.place, "release")
    shutil.copytree(checkout.release_path, target, copy_function=shutil.copyfile)
    make_readable(target)


def make_readable(top: Path) -> None:
    """Let everybody read what is below a directory."""
    for directory, _, names in os.walk(top):
        Path(directory).chmod(0o755)
        for name in names:
            Path(directory, name).chmod(0o644)


async def install_programs(runtime: Runtime, record: Record, python: str) -> None:
    """Make a virtual environment from the wheels alone, which its user can change."""
    wheelhouse = Path(record.place, "release", "wheelhouse")
    pip = _pip(wheelhouse)
    venv = f"{record.place}/venv"
    installing = (
        *(f"{venv}/bin/python", f"{pip}/pip", "install", "--quiet"),
        *("--no-index", "--no-cache-dir", "--disable-pip-version-check"),
        # One user imports a third of what it installs, and keeps that compiled; others
        # cannot.
        *(() if record.computers else ("--no-compile",)),
        *(f"--find-links={wheelhouse}", "slapcluster[command]"),
    )
    # Debian's interpreter may come without ensurepip; here pip is a wheel like others.
    making = (python, "-I", "-m", "venv", "--without-pip", venv)
    for argv in (making, installing):
        ended = await run_as_user(
            runtime, record, argv, record.place, INSTALL_SECONDS_MAX
        )
        if not ended.is_success:
            raise CommandFailed(
                "The programs could not be installed from the wheelhouse:\n"
                + ended.output.decode(errors="replace")
            )


def _pip(wheelhouse: Path) -> Path:
    found = next(wheelhouse.glob("pip-*.whl"), None)
    if found is None:
        raise CommandFailed("dist/release holds no pip; remove dist and repeat.")
    return found


def write_settings(runtime: Runtime, record: Record, store_uri: str | None) -> None:
    """Write what the programs read; without a store there are none yet."""
    tree = runtime.file_tree(record.place)
    tree.write("etc/slapos.cfg", settings.render_agent(record).encode())
    programs = settings.programs_of(record, store_uri) if store_uri else {}
    content = settings.render_supervisord(record.place, programs)
    tree.write("etc/supervisord.conf", content.encode())
