"""Says hello over HTTP on IPv6: the program of release 1.0.

    /                    the greeting of the instance, and the addresses of its children
    /shared/REFERENCE    the greeting of a shared instance, also found by its title
                         where only one has it

What it says stands in a JSON file, which is read again at each call: a parameter that
changes is seen by the next visitor, and no connection is lost. A file that is missing,
because it is just being replaced, leaves the last good one in force.
The standard library is all that it needs.
"""

# ruff: noqa: INP001 - a file of a release, not of a package

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading  # noqa: TID251 - a program of a release has no runtime
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from urllib.parse import unquote, urlsplit

VISITORS_MAX = 64
"""At once; one more is turned away rather than served by one more thread."""

WAIT_SECONDS_MAX = 10
"""For the next bytes of a visitor."""

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Page:
    """What a visitor gets."""

    content: str
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = TEXT


NOTHING = Page("nothing here\n", HTTPStatus.NOT_FOUND)


class Pages:
    """The pages, as functions of the configuration."""

    release = "1.0"

    def page(self, path: str, configuration: dict) -> Page:
        if path == "/":
            return Page(self.front(configuration))
        if path.startswith("/shared/"):
            return shared_page(path.removeprefix("/shared/"), configuration)
        return NOTHING

    def front(self, configuration: dict) -> str:
        lines = [configuration["parameters"]["greeting"]]
        for title, connection in sorted(configuration["children"].items()):
            lines.append(f"{title}: {connection['url'] or 'not ready'}")
        return "\n".join(lines) + "\n"


def shared_page(name: str, configuration: dict) -> Page:
    hosted = configuration["shared_instances"]
    found = [it for it in hosted if it["reference"] == name]
    found = found or [it for it in hosted if it["title"] == name]
    if len(found) != 1:
        return NOTHING
    return Page(shared_greeting(found[0], configuration) + "\n")


def shared_greeting(shared: dict, configuration: dict) -> str:
    """Return its own greeting; without one it says what its host says."""
    host_greeting = configuration["parameters"]["greeting"]
    return shared["parameters"].get("greeting", host_greeting)


class Configuration:
    """The file, and the last content of it that was understood."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = json.loads(path.read_text("utf-8"))

    def read(self) -> dict:
        try:
            self._last = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            sys.stderr.write(f"{self._path} is not understood: {error}\n")
        return self._last


class Greeter(ThreadingHTTPServer):
    """A thread per visitor, up to ``VISITORS_MAX``."""

    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = VISITORS_MAX

    def __init__(
        self, address: tuple[str, int], pages: Pages, configuration: Configuration
    ) -> None:
        self.pages = pages
        self.configuration = configuration
        self._places = threading.BoundedSemaphore(VISITORS_MAX)
        super().__init__(address, Visit)

    def server_bind(self) -> None:
        """Bind without asking a name server who we are, as the base class does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request: socket.socket, client_address: tuple) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(
        self, request: socket.socket, client_address: tuple
    ) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


class Visit(BaseHTTPRequestHandler):
    """One call; longer lines and more headers than http.server takes are refused."""

    timeout = WAIT_SECONDS_MAX
    server: Greeter

    def version_string(self) -> str:
        return f"hello/{self.server.pages.release}"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        page = self.server.pages.page(path, self.server.configuration.read())
        content = page.content.encode()
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET


def main(pages: Pages) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--configuration", type=Path, required=True)
    given = parser.parse_args()
    configuration = Configuration(given.configuration)
    with Greeter((given.address, given.port), pages, configuration) as greeter:
        greeter.serve_forever()


if __name__ == "__main__":
    main(Pages())
