"""``slapcluster storage``: what it writes and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.master_cluster.benches import StoreBench
from tests.unit.slapcluster.desk import Desk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "state.fs"
    bench = StoreBench(f"file:{path}")
    bench.format(3)
    bench.request()
    bench.close()
    return path


def test_a_backup_is_made_verified_and_restored(path: Path) -> None:
    desk = Desk(has_master=False)
    copy, other = path.with_name("copy.fs"), path.with_name("other.fs")

    made = desk.read("storage", "backup", f"file:{path}", str(copy))
    verified = desk.read("storage", "verify", str(copy), "--digest", made["digest"])
    restored = desk.read("storage", "restore", str(copy), f"file:{other}")

    assert made == verified == restored["content"]
    assert (made["partition_count"], made["instance_count"]) == (3, 1)
    assert (restored["lost"], restored["is_done"]) == (None, True)


def test_a_dry_run_says_what_would_be_lost_and_loses_nothing(path: Path) -> None:
    desk = Desk(has_master=False)
    copy = path.with_name("copy.fs")
    desk.read("storage", "backup", f"file:{path}", str(copy))
    bench = StoreBench(f"file:{path}", seed=1)
    bench.request("later")
    bench.close()
    before = path.read_bytes()

    would = desk.read("storage", "restore", str(copy), f"file:{path}", "--dry-run")

    assert would["content"]["instance_count"] == 1
    assert would["lost"]["instance_count"] == 2
    assert not would["is_done"]
    assert path.read_bytes() == before


def test_tables_are_for_people(path: Path) -> None:
    desk = Desk(has_master=False)

    verified = desk.type("storage", "verify", str(path))
    restored = desk.type("storage", "restore", str(path), f"file:{path}", "--dry-run")

    assert verified.exit_code == restored.exit_code == 0
    assert "instances         1" in verified.stdout
    assert "WOULD BE LOST" in restored.stdout


def regions_of(*names: str) -> tuple[str, ...]:
    return tuple(word for name in names for word in ("--region", name))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("backup", "zeo:[::1]:8100", "copy.fs"), "name the file that it serves"),
        (("backup", "memory:", "copy.fs"), "write file:PATH"),
        (("backup", "neo:[::1]:2051", "copy.fs"), "names no NEO cluster"),
        (("backup", "neo:a@[::1]:2051", "{path}"), "is there already"),
        (("restore", "copy.fs", "neo:a@[::1]:2051"), "cannot be opened"),
        (("restore", "{path}", "neo:a@localhost:2051"), "write a numeric one"),
        (("backup", "file:missing.fs", "copy.fs"), "cannot be opened"),
        (("backup", "file:{path}", "{path}"), "is there already"),
        (("verify", "missing.fs"), "cannot be opened"),
        (("verify", "{path}", "--digest", "0"), "has the digest"),
        (("restore", "{path}", "file:{path}"), "--force replaces it"),
        (("restore", "{path}", "{path}"), "write file:PATH"),
        (("serve", "{path}", "--listen", "localhost:1"), "write a numeric address"),
        (("create", "d", *regions_of("a", "b", "a")), "region a is there twice"),
        (("create", "d", *regions_of("A", "b", "c")), "no name of a region"),
        (("create", "d", *regions_of("a", "b")), "2 regions: an odd number"),
        (("create", "d", *regions_of(*"abc"), "--name", "a b"), "lower-case letters"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    filled = [it.format(path=path) for it in arguments]

    result = Desk(has_master=False).type("storage", *filled)

    assert result.exit_code == 1
    assert sentence in result.stderr.replace("\n", " ")
