"""What the files of the kernel say."""

from __future__ import annotations

import pytest

from slapgrid.collecting.kernel_files import (
    ProcessStat,
    Traffic,
    find_mount_point,
    find_partition,
    read_busy_ticks,
    read_celsius,
    read_loads,
    read_memory,
    read_out_of_memory_kills,
    read_process,
    read_storage_bytes,
    read_traffic,
    read_uptime,
)

STAT = (
    b"4242 (a ) S (b) S 17 4242 4242 0 -1 4194560 900 80 0 0 "
    b"150 50 30 20 20 0 3 0 123456 9000000 2500 18446744073709551615 1 1 0\n"
)


def test_the_name_of_a_process_confuses_nobody() -> None:
    """It may hold brackets and spaces."""
    assert read_process(STAT) == ProcessStat(
        parent=17,
        own_ticks=200,
        children_ticks=50,
        thread_count=3,
        started_ticks=123456,
        resident_pages=2500,
    )


@pytest.mark.parametrize("content", [b"", b"1 (x) S 1 2 3", b"no process at all"])
def test_a_stat_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="short"):
        read_process(content)


def test_bytes_of_storage_are_read_and_those_of_pipes_are_not() -> None:
    content = b"rchar: 99\nwchar: 98\nread_bytes: 4096\nwrite_bytes: 8192\n"

    assert read_storage_bytes(content) == (4096, 8192)


OURS = b"SUPERVISOR_SERVER_URL=unix:///srv/sv.sock\0"
THEIRS = b"SUPERVISOR_SERVER_URL=unix:///elsewhere/sv.sock\0"


@pytest.mark.parametrize(
    ("environment", "partition_id"),
    [
        (OURS + b"SUPERVISOR_GROUP_NAME=slappart1\0HOME=/srv/slappart0", "slappart1"),
        (OURS + b"SUPERVISOR_GROUP_NAME=slappart1-prerm\0", "slappart1"),
        (OURS + b"SUPERVISOR_GROUP_NAME=watch\0HOME=/srv/slappart10/", "slappart10"),
        (THEIRS + b"SUPERVISOR_GROUP_NAME=slappart1\0HOME=/home/me", ""),
        (b"HOME=/srv/slappart0/deeper\0", ""),
        (b"HOME=/elsewhere/slappart0\0", ""),
        (b"HOME=/srv/slappart2\0", ""),
        (b"", ""),
    ],
)
def test_a_process_says_whose_it_is(environment: bytes, partition_id: str) -> None:
    known = ("slappart0", "slappart1", "slappart10")

    assert find_partition(environment, "/srv", known) == partition_id


def test_waiting_for_storage_is_no_work_of_a_processor() -> None:
    content = b"cpu  10 1 5 1000 100 2 3 4 50 0\ncpu0 1 1 1\ncpu1 1 1 1\nintr 7\n"

    assert read_busy_ticks(content) == (25, 2)


def test_memory_is_in_bytes() -> None:
    content = b"MemTotal:  100 kB\nHugePages_Total:  0\nSwapFree: 2 kB\n"

    assert read_memory(content) == {"MemTotal": 102400, "SwapFree": 2048}


def test_traffic_is_by_interface() -> None:
    content = (
        b"Inter-|   Receive                 |  Transmit\n"
        b" face |bytes    packets errs drop fifo frame compressed multicast|bytes\n"
        b"    lo:     100       1    0    0    0     0          0         0      "
        b"100       1    0    0    0     0       0          0\n"
        b"slaptap0:5000 1 0 0 0 0 0 0 700 1 0 0 0 0 0 0\n"
    )

    assert read_traffic(content) == {
        "lo": Traffic(100, 100),
        "slaptap0": Traffic(5000, 700),
    }


def test_small_files_are_understood() -> None:
    assert read_loads(b"0.50 1.25 2.00 1/900 4242\n") == (0.5, 1.25, 2.0)
    assert read_uptime(b"350735.47 234388.90\n") == 350735.47
    assert read_out_of_memory_kills(b"pgfault 1\noom_kill 3\n") == 3
    assert read_out_of_memory_kills(b"pgfault 1\n") == 0
    assert read_celsius(b"45500\n") == 45.5


def test_the_nearest_mount_point_above_a_path_is_found() -> None:
    points = ("/", "/srv", "/srv/data", "/proc")

    assert find_mount_point("/srv/data/x", points) == "/srv/data"
    assert find_mount_point("/srv/database", points) == "/srv"
    assert find_mount_point("/opt", points) == "/"
