"""What a replica keeps of pushed releases, whenever it is killed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from master_cluster.depot import Depot, free_bytes
from master_cluster.pushed_releases import (
    FREE_BYTES_MIN,
    RELEASES_KEPT_MAX,
    check_forgotten,
    choose_leaving,
    named_in,
)
from slap.errors import BadRequest, NotFound, Refusal
from slap.pushing import HeldRelease, MissingFile, ReleasePiece
from tests.unit.master_cluster.releases import (
    PIECE_BYTES,
    SmallRelease,
    a_release,
    content_of,
    push,
    send,
)

ONE = a_release()
WHEEL = "wheelhouse/a+ours.1.whl"
KEPT = {
    **ONE.files,
    "SHA256SUMS": ONE.sums.encode(),
    "fingerprint": f"{ONE.name}\n".encode(),
}


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    return Depot(tmp_path / "depot")


def test_what_is_pushed_is_there_as_it_was(depot: Depot, tmp_path: Path) -> None:
    """And there is nothing beside it; again nothing is missing."""
    assert depot.held() == ()

    push(depot, ONE)

    assert content_of(tmp_path / "depot") == {
        f"{ONE.name}/{path}": content for path, content in KEPT.items()
    }
    (held,) = depot.held()
    assert (held.fingerprint, held.is_whole) == (ONE.name, True)
    assert depot.offer(ONE.offer).missing == ()


def test_a_file_that_is_there_is_not_asked_for_again(depot: Depot) -> None:
    first = depot.offer(ONE.offer)
    assert {it.path for it in first.missing} == set(ONE.files)

    for path in ("versions.cfg", "wheelhouse/empty.whl"):
        send(depot, ONE, MissingFile(path))
    depot.receive(ONE.piece(WHEEL, 0))

    again = depot.offer(ONE.offer)
    assert again.missing == (
        MissingFile("software/master-cluster/software.cfg"),
        MissingFile(WHEEL, PIECE_BYTES),
    )
    assert depot.held()[0].is_whole is False


def test_a_file_that_is_not_what_the_list_says_is_not_kept(depot: Depot) -> None:
    missing = depot.offer(ONE.offer).missing

    depot.receive(ONE.piece(WHEEL, 0, b"mischief"))
    with pytest.raises(BadRequest, match="SHA256SUMS says"):
        depot.receive(ONE.piece(WHEEL, PIECE_BYTES, b"mischief"))

    assert depot.offer(ONE.offer).missing == missing


@pytest.mark.parametrize("path", ["nowhere", "SHA256SUMS", "fingerprint"])
def test_a_file_that_no_list_names_is_refused(depot: Depot, path: str) -> None:
    depot.offer(ONE.offer)

    with pytest.raises(NotFound, match="offer the release first"):
        depot.receive(ReleasePiece(ONE.name, path, 4, 0, b"more"))


def test_a_gap_is_refused_with_where_to_go_on(depot: Depot) -> None:
    depot.offer(ONE.offer)
    depot.receive(ONE.piece(WHEEL, 0))

    with pytest.raises(BadRequest, match=f"offset {PIECE_BYTES}, not 8"):
        depot.receive(ONE.piece(WHEEL, 8))


def test_two_who_push_at_once_send_it_together(depot: Depot, tmp_path: Path) -> None:
    """One begins anew while the other is in the middle, and neither is disturbed."""
    depot.offer(ONE.offer)
    depot.receive(ONE.piece(WHEEL, 0))
    depot.receive(ONE.piece(WHEEL, PIECE_BYTES))
    depot.offer(ONE.offer)
    assert depot.receive(ONE.piece(WHEEL, 0)).received_byte_count == 2 * PIECE_BYTES

    push(depot, ONE)
    late = depot.receive(ONE.piece(WHEEL, 2 * PIECE_BYTES))

    assert late.is_whole
    assert content_of(tmp_path / "depot" / ONE.name) == KEPT


def test_a_file_that_the_disk_damaged_is_pushed_again(
    depot: Depot, tmp_path: Path
) -> None:
    """What is served is not what its name says: it is served no longer."""
    push(depot, ONE)
    (tmp_path / "depot" / ONE.name / WHEEL).write_bytes(b"moth")

    held = depot.offer(ONE.offer)

    assert held.missing == (MissingFile(WHEEL),)
    assert not (tmp_path / "depot" / ONE.name).exists()
    push(depot, ONE)
    assert content_of(tmp_path / "depot" / ONE.name) == KEPT


def test_a_part_that_a_power_loss_damaged_begins_anew(depot: Depot) -> None:
    depot.offer(ONE.offer)
    depot.receive(ONE.piece(WHEEL, 0, b"\0" * len(ONE.files[WHEEL])))
    (missing,) = (it for it in depot.offer(ONE.offer).missing if it.path == WHEEL)

    with pytest.raises(BadRequest):
        send(depot, ONE, missing)
    send(depot, ONE, MissingFile(WHEEL))

    assert WHEEL not in {it.path for it in depot.offer(ONE.offer).missing}


def test_a_disk_stays_free_for_the_state(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
    total = ONE.offer.byte_count
    full = Depot(tmp_path, lambda _: FREE_BYTES_MIN + total - 1)

    with pytest.raises(Refusal, match="have to stay free"):
        full.offer(ONE.offer)

    push(Depot(tmp_path, lambda _: FREE_BYTES_MIN + total), ONE)


def killed_at(step: int, do: Callable[[], None]) -> bool:
    """Do something in a process that is killed at a step; return whether it was.

    A step is what changes a file, a directory or a name.
    """
    steps = {"os.rename", "os.mkdir", "os.remove", "os.rmdir"}
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
    count = 0

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        is_written = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in steps or is_written:
            count += 1
            if count == step:
                os._exit(9)

    sys.addaudithook(look)
    do()
    os._exit(0)


def test_whoever_is_killed_anywhere_goes_on(tmp_path: Path) -> None:
    """Whatever is served is whole, at each step; the same again is all that it needs.

    Before, a damaged release is there, and afterwards it is removed: both are killed.
    """
    release = SmallRelease({WHEEL: b"a wheel", "versions.cfg": b"[versions]"})
    push(Depot(tmp_path / "damaged"), release)
    whole = content_of(tmp_path / "damaged")
    (tmp_path / "damaged" / release.name / WHEEL).unlink()
    step, is_killed = 0, True
    while is_killed:
        step += 1
        top = tmp_path / str(step)
        shutil.copytree(tmp_path / "damaged", top)
        depot = Depot(top)

        def do(depot: Depot = depot) -> None:
            push(depot, release)
            depot.forget(release.name)

        is_killed = killed_at(step, do)
        served = {
            it: whole[it] for it in content_of(top) if it.startswith(release.name)
        }
        assert served in ({}, whole) or f"{release.name}/{WHEEL}" not in served
        push(depot, release)
        depot.prepare()
        assert content_of(top) == whole
    assert step > 15


NAMES = tuple(f"{number:064x}" for number in range(9))


def held(number: int, *, is_whole: bool = True) -> HeldRelease:
    return HeldRelease(NAMES[number], is_whole, changed_at=float(number))


FULL = tuple(held(it) for it in range(RELEASES_KEPT_MAX))


@pytest.mark.parametrize(
    ("present", "coming", "named", "leaving"),
    [
        (FULL[1:], 8, (), ()),
        (FULL, 2, (), ()),
        (FULL, 8, (), (0,)),
        (FULL, 8, (0, 1), (2,)),
        ((*FULL[:3], held(7, is_whole=False)), 8, (), (7,)),
        ((*FULL[:3], held(7, is_whole=False)), 8, (7,), (0,)),
        ((*FULL, held(4)), 8, (1,), (0, 2)),
    ],
)
def test_the_oldest_one_that_nobody_has_makes_room(
    present: tuple[HeldRelease, ...],
    coming: int,
    named: tuple[int, ...],
    leaving: tuple[int, ...],
) -> None:
    found = choose_leaving(present, NAMES[coming], {NAMES[it] for it in named})

    assert found == tuple(NAMES[it] for it in leaving)


def test_a_release_that_somebody_has_never_goes() -> None:
    with pytest.raises(Refusal, match="slapcluster remove"):
        choose_leaving(FULL, NAMES[8], NAMES[:RELEASES_KEPT_MAX])
    with pytest.raises(Refusal, match="stays until"):
        check_forgotten(NAMES[1], {NAMES[1]})


def test_an_address_names_a_release_by_its_fingerprint() -> None:
    url = f"http://127.0.0.1:5000/release/{NAMES[1]}/software/hello/software.cfg"

    assert named_in([url, "http://[::1]/release/x", f"http://[::1]/{NAMES[2]}"]) == {
        NAMES[1]
    }
