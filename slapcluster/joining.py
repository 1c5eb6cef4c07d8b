"""Shell. ``node join``: an identity directory, and settings that name it."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from runtime.certificates import BadCertificate
from runtime.identity_directory import paths_below
from runtime.ports import IFileTree, Runtime
from slapcluster.first_settings import RELAY, NewSettings, render_settings
from slapcluster.outcomes import CommandFailed
from slapcluster.session import Session
from slapgrid.config import read_config
from slapgrid.joining import Invitation, Joined, NotJoined, find_joined, join
from slapgrid.settings import ConfigError
from slapgrid.settings_file import set_keys

SETTINGS_BYTES_MAX = 1024 * 1024
"""As much as nobody writes by hand."""

_NOBODY = "COMP-0"
"""Stands for the name that the master will give, while settings are tried."""


@frozen
class Destination:
    """Where the settings and the identity directory of a computer are."""

    config_path: Path
    home: Path


def join_cloud(
    session: Session,
    invitation: Invitation,
    destination: Destination,
    new: NewSettings,
    *,
    is_forced: bool,
) -> Joined:
    """Come in, and write both; what cannot be written is found before it is asked."""
    file = destination.config_path.absolute()
    home = str(destination.home.absolute())

    async def main(runtime: Runtime) -> Joined:
        tree = runtime.file_tree(str(file.parent))
        before = _read(tree, file.name) or render_settings(new)
        present = _check(before, invitation.url, home, file)
        known = find_joined(runtime, home)
        if present not in {"", known.name if known else ""} and not is_forced:
            raise CommandFailed(
                f"{file} is of {present} already: --force makes it another computer."
            )
        joined = await join(runtime, invitation, home)
        keys = _keys(joined.computer_id, joined.master_urls, home)
        after = set_keys(before, "slapos", keys | _needed(before, keys, file))
        if _read(tree, file.name) != after:
            tree.make_directory("")
            status = tree.status(file.name)
            mode = 0o644 if status is None else status.mode
            tree.write(file.name, after.encode(), mode)
        return joined

    try:
        return session.launch(main)
    except (BadCertificate, NotJoined) as error:
        raise CommandFailed(f"{error}.") from error


def _check(before: str, url: str, home: str, file: Path) -> str:
    """Return whose settings these are; refuse those that no agent will read."""
    keys = _keys(_NOBODY, (url,), home)
    try:
        config = read_config(set_keys(before, "slapos", keys))
        assert config.identity_directory == home
        named = {key: value for key, value in keys.items() if key != "computer_id"}
        return read_config(set_keys(before, "slapos", named)).computer_id
    except ConfigError as error:
        if str(error).startswith("[slapos] computer_id is missing"):
            return ""
        raise CommandFailed(f"{file}: {error}.") from error


def _keys(computer_id: str, urls: tuple[str, ...], home: str) -> dict[str, str]:
    paths = paths_below(home)
    return {
        "computer_id": computer_id,
        "master_url": " ".join(urls),
        "key_file": paths.key,
        "cert_file": paths.chain,
        "master_ca_file": paths.roots,
    }


def _needed(before: str, keys: Mapping[str, str], file: Path) -> dict[str, str]:
    """Return what a computer of a cloud needs besides; what is said of it stays.

    Instances need certificates of their own: nobody may read that of the computer.
    """
    config = read_config(set_keys(before, "slapos", keys))
    present = config.instance.certificate_directory
    return {
        "release_listen": config.relaying.listen or RELAY,
        "certificate_repository_path": present or f"{file.parent}/certificates",
    }


def _read(tree: IFileTree, name: str) -> str:
    try:
        return tree.read(name, SETTINGS_BYTES_MAX).decode()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise OSError(errno.EINVAL, "no text in UTF-8", tree.path(name)) from error
