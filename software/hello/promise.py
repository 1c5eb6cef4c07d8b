"""Checks that an instance of hello does what it was asked to.

It answers, in the release that it should run, with the greeting that it should say, and
each shared instance is greeted in its own words. The line that it writes says what is
wrong, or that nothing is.
"""

# ruff: noqa: INP001 - a file of a release, not of a package

from __future__ import annotations

import argparse
import json
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import quote

from greeter import shared_greeting

START_SECONDS_MAX = 8
"""For a program that was started just now; agents allow a promise 20 s in all."""

WAIT_SECONDS = 5

PAGE_BYTES_MAX = 1024 * 1024


class Broken(Exception):
    """What is wrong."""


class Visitor:
    """Fetches pages; waits for a program that does not listen yet."""

    def __init__(self, address: str, port: int) -> None:
        self._address = address
        self._port = port
        self._deadline = _now() + START_SECONDS_MAX

    def fetch(self, path: str) -> tuple[str, str]:
        """Return the release that answers and the page."""
        while True:
            try:
                return self._fetch(path)
            except ConnectionRefusedError as error:
                if _now() > self._deadline:
                    place = f"[{self._address}]:{self._port}"
                    raise Broken(f"nothing listens on {place}") from error
                time.sleep(0.1)  # noqa: TID251 - a program of a release has no runtime

    def _fetch(self, path: str) -> tuple[str, str]:
        link = HTTPConnection(self._address, self._port, timeout=WAIT_SECONDS)
        try:
            link.request("GET", path)
            answer = link.getresponse()
            content = answer.read(PAGE_BYTES_MAX).decode(errors="replace")
        finally:
            link.close()
        if answer.status != 200:  # noqa: PLR2004 - of HTTP
            raise Broken(f"{path} answers {answer.status}")
        return answer.getheader("Server", ""), content


def check(configuration: dict, release: str, visitor: Visitor) -> None:
    """Raise ``Broken`` when a promise of the instance is not kept."""
    speaker, content = visitor.fetch("/")
    if speaker.split(" ")[0] != f"hello/{release}":
        raise Broken(f"{speaker} runs where hello/{release} should")
    _check_greeting("/", content, configuration["parameters"]["greeting"])
    for shared in configuration["shared_instances"]:
        path = f"/shared/{quote(shared['reference'], safe='')}"
        greeting = shared_greeting(shared, configuration)
        _check_greeting(path, visitor.fetch(path)[1], greeting)


def _check_greeting(path: str, content: str, greeting: str) -> None:
    if not content.startswith(greeting):
        raise Broken(f"{path} says {content[:80]!r} and not {greeting[:80]!r}")


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - a program of a release has no runtime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--release", required=True)
    parser.add_argument("--configuration", type=Path, required=True)
    given = parser.parse_args()
    try:
        configuration = json.loads(given.configuration.read_text("utf-8"))
        check(configuration, given.release, Visitor(given.address, given.port))
    except (Broken, OSError, ValueError, HTTPException) as error:
        sys.stdout.write(f"{error or type(error).__name__}\n")
        return 1
    count = len(configuration["shared_instances"])
    sys.stdout.write(f"hello {given.release} greets as asked, {count} of them shared\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
