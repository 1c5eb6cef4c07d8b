"""The stock command line drives our mini-master as real processes."""

from __future__ import annotations

from tests.interop.stock_cloud import COMPUTER, RELEASE, Cloud


def test_a_life_by_the_stock_command_line(cloud: Cloud) -> None:
    """Format, supply, request, request again, read, destroy, remove: all obeyed."""
    formatted = cloud.stock("node", "format", "--now")
    supplied = cloud.stock("supply", RELEASE, COMPUTER)
    requested = cloud.stock("request", "first", RELEASE, "--parameters", "greeting=hey")
    again = cloud.stock("request", "first", RELEASE, "--parameters", "greeting=hey")
    partitions = cloud.stock(
        "console",
        stdin="computer = slap.registerComputer('local')\n"
        "for p in computer.getComputerPartitionList():\n"
        "    print(p.getId(), p.getState(), p.getInstanceParameterDict()\n"
        "          .get('greeting') if p.getState() == 'started' else None)\n\n"
        "for r in computer.getSoftwareReleaseList():\n"
        "    print(r.getURI(), r.getState())\n\n",
    )

    assert "successfully prepared the computer" in formatted
    assert "Done." in supplied
    assert "State is : started." in requested
    assert "State is : started." in again
    assert "slappart0 started hey" in partitions
    assert "slappart1 destroyed None" in partitions
    assert f"{RELEASE} available" in partitions

    destroyed = cloud.stock("request", "first", RELEASE, "--state", "destroyed")
    removed = cloud.stock("remove", RELEASE, COMPUTER)

    assert "State is : destroyed." in destroyed
    assert "Done." in removed
    report = cloud.ours("computer", "info", COMPUTER)
    assert [
        (p["partition_id"], p["requested_state"]) for p in report["partitions"]
    ] == [
        ("slappart0", "destroyed"),
        ("slappart1", ""),
    ]


def test_a_full_computer_refuses_the_stock_request_with_not_found(cloud: Cloud) -> None:
    cloud.format()
    for title in ("first", "second"):
        cloud.stock("request", title, RELEASE)

    status, output = cloud.stock_status("request", "third", RELEASE)

    assert status != 0
    assert "NotFoundError" in output
    why = cloud.ours("why", "third")
    assert why["partition"] is None
    assert sum(condition["excluded_count"] for condition in why["conditions"]) >= 2


def test_a_stock_bang_and_rename_are_obeyed(cloud: Cloud) -> None:
    """A bang gives every instance of the computer a new timestamp."""
    cloud.format()
    cloud.stock("request", "first", RELEASE)
    read = (
        "p = slap.registerComputerPartition('local', 'slappart0')\n"
        "print('timestamp', p.getInstanceParameterDict()['timestamp'])\n"
    )

    before = cloud.stock("console", stdin=read)
    cloud.stock("node", "bang", "-m", "all again")
    after = cloud.stock("console", stdin=read)

    assert timestamp_in(before) != timestamp_in(after)


def timestamp_in(output: str) -> str:
    (line,) = [line for line in output.splitlines() if "timestamp " in line]
    return line.split()[-1]
