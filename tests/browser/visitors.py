"""A master as computers and command lines call it, beside the browser."""

from __future__ import annotations

import urllib.error
import urllib.request

from attrs import frozen

from slap import calls
from slap.calls import Call, HttpAnswer, decode_answer, encode_call
from slap.model import PartitionKey, RequestedInstance
from tests.builders import (
    COMPUTER_ID,
    SOFTWARE_RELEASE_URL,
    a_computer_definition,
    an_installation,
    an_instance_request,
)

LOG = """\
Installing instance.
  While:
    Installing hello.
Error: the port 8080 of [2001:db8::2] is taken by <another program>
"""


@frozen
class Cloud:
    """A master at an address."""

    url: str

    def perform(self, call: Call) -> object:
        wanted = encode_call(call)
        sending = urllib.request.Request(
            f"{self.url}/{wanted.path}",
            data=wanted.body or None,
            headers=dict(wanted.headers),
            method=wanted.verb,
        )
        try:
            with urllib.request.urlopen(sending, timeout=30) as reply:
                answer = HttpAnswer(reply.status, dict(reply.headers), reply.read())
        except urllib.error.HTTPError as error:
            answer = HttpAnswer(error.code, dict(error.headers), error.read())
        return decode_answer(call, answer)

    def request(self, title: str, **more) -> PartitionKey:
        answer = self.perform(
            calls.request_instance(an_instance_request(title=title, **more))
        )
        assert isinstance(answer, RequestedInstance)
        return answer.key

    def populate(self) -> None:
        """Two computers, trees in every state, and a request without a place."""
        self.perform(calls.define_computer(a_computer_definition(8)))
        other = a_computer_definition(3, computer_id="COMP-2")
        self.perform(calls.define_computer(other))
        self.perform(calls.supply(an_installation()))
        self.perform(calls.report_available(SOFTWARE_RELEASE_URL, COMPUTER_ID))
        building = "https://releases.example/database/software.cfg"
        self.perform(calls.supply(an_installation(software_release_url=building)))
        self.perform(calls.report_building(building, COMPUTER_ID))
        here = {"computer_guid": COMPUTER_ID}
        shop = self.request(
            "shop",
            parameters={"greeting": "hello", "_": '{"workers": 4, "domains": ["a"]}'},
            allocation_filter=here,
        )
        self.perform(calls.report_started(shop))
        links = {"url": "https://[2001:db8::2]:8443/", "user": "admin"}
        self.perform(calls.publish_connection(shop, links))
        front = self.request("front", requester=shop, allocation_filter=here)
        self.perform(calls.report_started(front))
        database = self.request("database", requester=shop, allocation_filter=here)
        self.perform(calls.report_instance_error(database, LOG))
        notes = self.request("notes", allocation_filter=here)
        self.perform(calls.report_stopped(notes))
        self.request("waiting for its computer", allocation_filter=here)
        try:
            self.request("nowhere", allocation_filter={"computer_guid": "COMP-9"})
        except Exception as error:  # noqa: BLE001 - any refusal
            assert "nowhere" in str(error)  # noqa: PT017 - a refusal is what is wanted
