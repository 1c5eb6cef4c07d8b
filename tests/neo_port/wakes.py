"""Polls that wait at one replica, woken by commits at another one; sockets alone."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator

from slap import calls
from slap.calls import Call, HttpAnswer, decode_answer, encode_call
from slap.liveness import liveness_headers
from slap.model import SoftwareInstallation
from tests.builders import COMPUTER_ID, a_computer_definition

HOST = "127.0.0.1"
ANSWER_SECONDS_MAX = 60
WAIT_SECONDS = 50
POLL = f"/getFullComputerInformation?computer_id={COMPUTER_ID}"


class Replica:
    """One of several masters of a store, by its port."""

    def __init__(self, port: int) -> None:
        self._port = port

    def perform(self, call: Call) -> object:
        wanted = encode_call(call)
        connection = self.connect()
        connection.request(
            wanted.verb, f"/{wanted.path}", wanted.body or None, dict(wanted.headers)
        )
        reply = connection.getresponse()
        answer = HttpAnswer(reply.status, dict(reply.getheaders()), reply.read())
        connection.close()
        return decode_answer(call, answer)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(HOST, self._port, timeout=ANSWER_SECONDS_MAX)

    def etag(self) -> str:
        connection = self.connect()
        connection.request("GET", POLL)
        reply = connection.getresponse()
        reply.read()
        connection.close()
        etag = reply.getheader("ETag")
        assert etag is not None, reply.status
        return etag

    def begin_waiting(
        self, etag: str, sign_seconds: int = 0
    ) -> http.client.HTTPConnection:
        """Ask for another document than that of ``etag``; the answer is not read."""
        connection = self.connect()
        signs = liveness_headers(sign_seconds) if sign_seconds else {}
        headers = {
            "If-None-Match": etag,
            "Prefer": f"wait={WAIT_SECONDS}",
            **signs,
        }
        connection.request("GET", POLL, headers=headers)
        return connection


def wake_seconds(one: Replica, other: Replica, count: int) -> Iterator[float]:
    """From the acknowledgement of a change at one to the woken poll at the other.

    The first way there is not counted: what waited was answered before, or after it.
    """
    one.perform(calls.define_computer(a_computer_definition(4)))
    etag = other.etag()
    for number in range(count):
        waiting = other.begin_waiting(etag)
        time.sleep(0.05)  # noqa: TID251 - until it waits
        url = f"http://releases.example/{number}.cfg"
        one.perform(calls.supply(SoftwareInstallation(url, COMPUTER_ID)))
        begun = time.monotonic()  # noqa: TID251 - of this computer, which has both
        reply = waiting.getresponse()
        seconds = time.monotonic() - begun  # noqa: TID251 - as above
        reply.read()
        assert reply.status == 200, reply.status
        etag = str(reply.getheader("ETag"))
        waiting.close()
        yield seconds
