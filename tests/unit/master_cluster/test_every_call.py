"""Every method of the table is called once as it should be, and once as it should not.

A new method fails here until somebody writes a right call of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from slap import calls
from slap.calls import Call
from slap.method import RPC
from slap.methods import EXTENSION, METHODS, Dialect
from slap.model import RequestedInstance, RequestedState, SupplyState
from slap.products import ReleaseQuestion
from tests.builders import (
    COMPUTER_ID,
    SOFTWARE_RELEASE_URL,
    a_computer_definition,
    a_partition_key,
    an_installation,
    an_instance_request,
)
from tests.unit.master_cluster.benches import WebBench

KEY = a_partition_key(0)
COMPUTER = {"computer_id": COMPUTER_ID}
SOFTWARE = {**COMPUTER, "software_release_url": SOFTWARE_RELEASE_URL}
REMOVED = "https://releases.example/removed/software.cfg"
USAGE = """<journal><transaction type="Sale Packing List"><title>t</title><start_date/>
<stop_date/><reference>r</reference><currency/><payment_mode/><category/>
<arrow type="Administration"/><movement><resource>s/cpu</resource><title>c</title>
<reference>slappart0</reference><quantity>1.0</quantity><price>0.0</price><VAT/>
<category/></movement></transaction></journal>"""


def rpc(name: str, **arguments: object) -> Call:
    return Call(RPC + name, arguments)


def right_calls(guid: str) -> Iterator[Call]:
    """Calls that succeed, one after the other; ``guid`` is the instance at ``KEY``."""
    yield calls.get_computer(COMPUTER_ID)
    yield Call("getComputerInformation", COMPUTER)
    yield calls.get_partition(KEY)
    yield calls.get_certificate(KEY)
    yield calls.get_computer_status(COMPUTER_ID)
    yield calls.get_instance_status(KEY)
    yield calls.get_installation_status(SOFTWARE_RELEASE_URL, COMPUTER_ID)
    yield calls.get_tree_addresses(KEY)
    yield calls.get_releases(ReleaseQuestion("erp5"))
    yield calls.get_run_id()
    yield calls.request_computer("laptop")
    yield calls.issue_computer_certificate(COMPUTER_ID)
    yield calls.revoke_computer_certificate(COMPUTER_ID)
    yield calls.request_instance(an_instance_request(title="other"))
    yield calls.publish_connection(KEY, {"url": "http://[::1]/"})
    yield calls.supply(an_installation())
    yield calls.report_building(SOFTWARE_RELEASE_URL, COMPUTER_ID)
    yield calls.report_available(SOFTWARE_RELEASE_URL, COMPUTER_ID)
    yield calls.report_software_error(SOFTWARE_RELEASE_URL, COMPUTER_ID, "no gcc")
    yield calls.report_removed(REMOVED, COMPUTER_ID)
    yield calls.report_started(KEY)
    yield calls.report_stopped(KEY)
    yield calls.report_destroyed(KEY)
    yield calls.report_instance_error(KEY, "no disk")
    yield calls.bang_instance(KEY, "late")
    yield calls.bang_computer(COMPUTER_ID, "late")
    yield calls.rename_instance(KEY, "renamed")
    yield calls.define_computer(a_computer_definition(3))
    yield calls.send_usage(COMPUTER_ID, USAGE)
    yield calls.report_requested_titles(KEY, ("child",))
    yield calls.get_products()
    yield calls.add_product_release("erp5", SOFTWARE_RELEASE_URL)
    yield calls.remove_product_release("erp5")
    yield calls.get_replicas()
    yield calls.forget_replica("http://[2001:db8::1]:5000")
    yield calls.get_cloud_report()
    yield calls.get_computer_report(COMPUTER_ID)
    yield calls.get_tree_report("renamed")
    yield calls.get_requested(KEY)
    yield calls.explain_allocation("renamed")
    yield from rpc_calls(guid)


def rpc_calls(guid: str) -> Iterator[Call]:
    one = {"instance_guid": guid}
    yield rpc("allDocs.v0.compute_node_instance_list", **COMPUTER)
    yield rpc("allDocs.v0.compute_node_software_installation_list", **COMPUTER)
    yield rpc("allDocs.v0.instance_node_instance_list", **one)
    yield rpc("allDocs.v0.instance_tree_list")
    yield rpc("allDocs.WIP.compute_node_list")
    yield rpc("get.v0.compute_node_status", **COMPUTER)
    yield rpc("get.v0.compute_partition", partition=KEY)
    yield rpc("get.v0.software_instance", **one)
    yield rpc("get.v0.instance_tree", title="renamed")
    yield rpc("get.v0.hateoas_url")
    yield rpc("get.v0.software_instance_certificate", **one)
    yield rpc("post.v0.compute_node_certificate", **COMPUTER)
    yield rpc("remove.v0.compute_node_certificate", **COMPUTER)
    yield rpc("post.v0.compute_node_usage", **COMPUTER, usage_document=USAGE)
    yield rpc("post.v0.software_installation", installation=an_installation())
    yield rpc(
        "post.v0.software_instance", instance_request=an_instance_request(title="other")
    )
    yield rpc("put.v0.compute_node_bang", **COMPUTER, message="late")
    yield rpc("put.v0.compute_node_format", definition=a_computer_definition(3))
    yield rpc("put.v0.software_installation_error", **SOFTWARE, message="no gcc")
    yield rpc(
        "put.v0.software_installation_reported_state",
        **SOFTWARE,
        reported_state="available",
    )
    yield rpc("put.v0.software_instance_bang", **one, message="late")
    yield rpc(
        "put.v0.software_instance_connection_parameter",
        **one,
        connection_parameters={"port": "80"},
    )
    yield rpc("put.v0.software_instance_error", **one, message="no disk")
    yield rpc(
        "put.v0.software_instance_reported_state",
        **one,
        reported_state=RequestedState.STARTED,
    )
    yield rpc("put.v0.software_instance_title", **one, title="again")


ELSEWHERE: Mapping[str, str] = {
    EXTENSION + "set_computer_attributes": "test_placement.py and the commands",
    EXTENSION + "give_up_computer": "test_giving_up.py",
    EXTENSION + "usage": "test_usage.py",
    EXTENSION + "usage_document": "test_usage.py",
    EXTENSION + "releases": "test_pushes.py",
    EXTENSION + "release_offer": "test_pushes.py",
    EXTENSION + "release_receive": "test_pushes.py",
    EXTENSION + "release_forget": "test_pushes.py",
    EXTENSION + "transfer": "test_transferring.py",
    EXTENSION + "freeze": "test_transferring.py",
    EXTENSION + "thaw": "test_transferring.py",
    EXTENSION + "move": "test_transferring.py",
    EXTENSION + "receive": "test_receiving.py",
    EXTENSION + "open": "test_receiving.py",
    EXTENSION + "token": "test_hateoas.py",
    EXTENSION + "roots": "test_admitting.py",
    EXTENSION + "join": "test_admitting.py",
    EXTENSION + "renew": "test_admitting.py",
}
"""Methods whose right calls are those of another test."""


@pytest.fixture
def bench() -> Iterator[WebBench]:
    bench = WebBench(default_computer_id=COMPUTER_ID)
    bench.perform(calls.define_computer(a_computer_definition(3)))
    bench.perform(calls.supply(an_installation()))
    for state in SupplyState:
        bench.perform(
            calls.supply(
                an_installation(software_release_url=REMOVED, requested_state=state)
            )
        )
    yield bench
    bench.close()


def test_every_method_answers_a_right_call(bench: WebBench) -> None:
    root = bench.perform(calls.request_instance(an_instance_request(title="root")))
    assert isinstance(root, RequestedInstance)
    assert root.instance_guid is not None

    called = set()
    for call in right_calls(root.instance_guid):
        bench.perform(call)
        called.add(call.method)

    assert set(METHODS) - called <= set(ELSEWHERE)


def without_fields(name: str) -> tuple[str, str, dict[str, str], bytes]:
    """A call that leaves out everything, or says too much where nothing is needed."""
    method = METHODS[name]
    if method.dialect is not Dialect.FORM:
        return "POST", name, {"Content-Type": "application/json"}, b'{"surplus": 1}'
    return method.verb, name, {}, b""


@pytest.mark.parametrize(
    "name",
    [it.name for it in METHODS.values() if it.arguments or it.dialect != Dialect.FORM],
)
def test_every_method_refuses_a_wrong_call(bench: WebBench, name: str) -> None:
    reply = bench.send(*without_fields(name))

    assert reply.status == 400
