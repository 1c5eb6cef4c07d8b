"""Core. The buildout profiles that the agent writes around those of a release."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from slapgrid.config import Config

_TAIL_BEGIN = "# This is beginning of zc.buildout profile's tail added by slapgrid"
_TAIL_END = "# This is end of zc.buildout profile's tail added by slapgrid"

_TAIL_OF_BUILDOUT = """\
[buildout]
# put buildout generated binaries in specific directory
bin-directory = ${buildout:directory}/sbin

# protect software and run parts offline
offline = true
eggs-directory-version =
"""


@frozen
class SlapConnection:
    """What an instance is told of its place; the rest it asks the master.

    With ``master_ca_file`` masters are known by the root of their cloud.
    ``server_urls`` are all replicas that are known now, where there are several.
    """

    computer_id: str
    partition_id: str
    server_url: str
    software_release_url: str
    requested_state: str
    key_file: str = ""
    cert_file: str = ""
    shared_part_directories: tuple[str, ...] = ()
    build_time_part_directories: tuple[str, ...] = ()
    master_ca_file: str = ""
    server_urls: tuple[str, ...] = ()


def _one_line(value: str) -> str:
    # An option of several lines could add options and sections to the profile.
    return " ".join(value.split())


def _lines(values: tuple[str, ...]) -> str:
    return "\n  " + "\n  ".join(_one_line(value) for value in values)


def _section(name: str, options: Mapping[str, str]) -> str:
    return f"[{name}]\n" + "".join(
        f"{key} ={value}\n" if value.startswith("\n") else f"{key} = {value}\n"
        for key, value in options.items()
    )


def render_software_profile(config: Config, software_release_url: str) -> str:
    """The ``buildout.cfg`` of a release.

    The version of the egg format is not appended to the directory of eggs, since
    profiles hand that directory on to instances, where it would be appended again.
    """
    return (
        "[buildout]\n"
        f"extends = {_one_line(software_release_url)}\n"
        f"shared-part-list ={_lines(config.software.shared_part_directories)}\n"
        f"build-time-part-list ={_lines(config.software.build_time_part_directories)}\n"
        "eggs-directory-version =\n"
    )


def render_instance_tail(connection: SlapConnection) -> str:
    """What follows the template of the release in the ``buildout.cfg`` of a partition.

    The sections and their options are those that existing profiles refer to.
    """
    shared = {
        "computer-id": _one_line(connection.computer_id),
        "partition-id": _one_line(connection.partition_id),
        "server-url": _one_line(connection.server_url),
        "software-release-url": _one_line(connection.software_release_url),
        "key-file": _one_line(connection.key_file),
        "cert-file": _one_line(connection.cert_file),
    }
    ours = {}
    if connection.server_urls not in {(), (connection.server_url,)}:
        ours["server-urls"] = " ".join(map(_one_line, connection.server_urls))
    if connection.master_ca_file:
        ours["master-ca-file"] = _one_line(connection.master_ca_file)
    sections = [
        _TAIL_OF_BUILDOUT,
        _section(
            "slap-connection",
            shared
            | {
                "shared-part-list": _lines(connection.shared_part_directories),
                "build-time-part-list": _lines(connection.build_time_part_directories),
                "requested-state": _one_line(connection.requested_state),
            }
            | ours,
        ),
        "[slap_connection]\n# Kept for backward compatiblity\n"
        + "".join(
            f"{key.replace('-', '_')} = {value}\n" for key, value in shared.items()
        ),
        _section("storage-configuration", {"storage-home": ""}),
        _section("network-information", {"global-ipv4-network": ""}),
    ]
    body = "\n".join(sections)
    return f"\n{_TAIL_BEGIN}\n{body}{_TAIL_END}\n"


def render_instance_profile(template: str, connection: SlapConnection) -> str:
    """The whole ``buildout.cfg`` of a partition."""
    return f"{template.rstrip()}\n\n{render_instance_tail(connection)}"
