"""What this machine can run, and the closing line that counts what it could not.

A test that needs more than a plain machine carries one of the marks below. Where the
need is not met the test is skipped with a reason that starts with ``REFUSED``, and the
run ends with a line that counts those, so that a gap is seen and not hidden.
Registered by ``tests/conftest.py`` as a plugin.
"""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess  # noqa: TID251 - tools are programs
from collections import Counter
from pathlib import Path

import pytest

REFUSED = "this machine refuses: "


@functools.cache
def can_make_namespaces() -> bool:
    """Whether network namespaces may be made: by root as it is, by others as a user."""
    if shutil.which("unshare") is None:
        return False
    as_user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    argv = ["unshare", *as_user, "--net", "--mount", "true"]
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


@functools.cache
def can_make_devices() -> bool:
    """Whether a user who is not root may make devices in namespaces of their own."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    argv = ("unshare", "--user", "--map-user=1000", "--keep-caps", "--net")
    make = ("ip", "tuntap", "add", "dev", "slaptap0", "mode", "tap", "user", "1000")
    return (
        subprocess.run([*argv, *make], check=False, capture_output=True).returncode == 0
    )


@functools.cache
def has_ipv6_loopback() -> bool:
    """Whether ::1 can be listened on."""
    with socket.socket(socket.AF_INET6) as listener:
        try:
            listener.bind(("::1", 0))
        except OSError:
            return False
    return True


@functools.cache
def can_set_rules() -> bool:
    """Whether nft works in a network of one's own."""
    if not can_make_namespaces():
        return False
    argv = ["unshare", "--user", "--map-root-user", "--net", "nft", "list", "ruleset"]
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


@functools.cache
def find_python(version: str) -> Path | None:
    """An interpreter of that version: of the system, or of pyenv."""
    name = f"python{version}"
    directories = map(Path, os.get_exec_path())
    found = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}"))
    for candidate in (*(it / name for it in directories), *found):
        argv = [str(candidate), "-c", "import sqlite3, ssl"]
        if (
            candidate.is_file()
            and subprocess.run(argv, check=False, capture_output=True).returncode == 0
        ):
            return candidate
    return None


def needs_python(version: str) -> pytest.MarkDecorator:
    """Skip where no interpreter of that version is found."""
    reason = f"{REFUSED}Python {version}"
    return pytest.mark.skipif(find_python(version) is None, reason=reason)


needs_nft = pytest.mark.skipif(not can_set_rules(), reason=REFUSED + "rules of nft")
needs_namespaces = pytest.mark.skipif(
    not can_make_namespaces(), reason=REFUSED + "network namespaces"
)
needs_format_namespaces = pytest.mark.skipif(
    not can_make_devices(), reason=REFUSED + "devices in network namespaces"
)
needs_ipv6 = pytest.mark.skipif(
    not has_ipv6_loopback(), reason=REFUSED + "IPv6 on its loopback"
)


def describe_refusals(reasons: list[str]) -> str:
    """Render the closing line from the reasons of all skipped tests."""
    refused = Counter(r.partition(REFUSED)[2] for r in reasons if REFUSED in r)
    causes = ", ".join(f"{count} for {what}" for what, count in sorted(refused.items()))
    return f"tests that this machine refuses: {refused.total()}" + (
        f" ({causes})" if causes else ""
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what could not run, just before pytest's own counts."""
    reports = terminalreporter.stats.get("skipped", [])
    # Of a skipped test the report is its file, its line and the reason.
    reasons = [report.longrepr[-1] for report in reports]
    terminalreporter.write_line(describe_refusals(reasons))
