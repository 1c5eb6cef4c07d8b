"""Shell. Which masters the console calls, and its calls: one after the other.

The console needs no reactor: a person waits for each answer.
"""

from __future__ import annotations

import configparser
from collections.abc import Callable

from attrs import evolve, frozen

from runtime.identity_directory import paths_below
from slap.calls import Call
from slapcluster.outcomes import CommandFailed
from slapgrid.recipe.master_link import link_all

Perform = Callable[[Call], object]
"""Performs a call; raises ``SlapError``."""


@frozen
class Addressee:
    """The masters, at least one, and what calls to them say by default."""

    master_urls: tuple[str, ...]
    computer_id: str = ""
    key_path: str = ""
    certificate_path: str = ""
    roots_path: str = ""


def read_addressee(text: str, name: str) -> Addressee:
    """Read the ``slapos.cfg`` of a computer, or of a person: only the addresses.

    A certificate in ``[slapconsole]`` is the person's and wins over the computer's.
    """
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise CommandFailed(f"{name}: not a configuration file: {error}.") from error

    def value(key: str, *sections: str) -> str:
        found = (parser.get(it, key, fallback="").strip() for it in sections)
        return next(filter(None, found), "")

    master_urls = tuple(value("master_url", "slapos").split())
    if not master_urls:
        raise CommandFailed(f"{name}: [slapos] master_url is missing.")
    return Addressee(
        master_urls,
        value("computer_id", "slapos"),
        value("key_file", "slapconsole", "slapos"),
        value("cert_file", "slapconsole", "slapos"),
        value("master_ca_file", "slapos"),
    )


def identified(addressee: Addressee, identity_directory: str) -> Addressee:
    """Return who asks as the owner of an identity directory, if there is one."""
    if not identity_directory:
        return addressee
    paths = paths_below(identity_directory)
    return evolve(
        addressee,
        key_path=paths.key,
        certificate_path=paths.chain,
        roots_path=paths.roots,
    )


def connect(addressee: Addressee) -> Perform:
    """Return what performs calls: at the replica that answered last, or else another.

    Each replica is asked at most once for a call.
    """
    try:
        links = link_all(
            addressee.master_urls,
            addressee.key_path,
            addressee.certificate_path,
            addressee.roots_path,
        )
    except ValueError as error:
        raise CommandFailed(f"The master's address {error}.") from error
    return links.perform
