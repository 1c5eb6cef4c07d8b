"""A neo_master whose disk is full goes on, whatever it cannot write."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from neo.lib.logger import NEOLogger

from replication.neo.neo_master import NeoMaster


def test_a_verdict_that_cannot_be_kept_ends_nobody(tmp_path: Path) -> None:
    """The one of before would be taken for it: nothing is left."""
    path = tmp_path / "verdict.json"
    neo_master = SimpleNamespace(verdict="", verdict_file=str(path))
    NeoMaster.tellVerdict(neo_master, "follows another")
    was_kept = path.exists()
    # What is written first: nobody can write there.
    (tmp_path / ".verdict.json.new").mkdir()

    NeoMaster.tellVerdict(neo_master, "runs")

    assert was_kept
    assert neo_master.verdict == "runs"
    assert not path.exists()


def test_a_log_that_cannot_be_written_ends_nobody(tmp_path: Path, capfd) -> None:
    logger = NEOLogger()
    logger.setup(str(tmp_path / "log"))
    count = 200
    with logger as database:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count={pages + 4}")

    for number in range(count):
        logger.warning("%s %s", number, "x" * 200)

    assert "log: database or disk is full" in capfd.readouterr().err
    with logger as database:
        database.execute("PRAGMA max_page_count=100000")
    logger.warning("there is room")
    with logger as database:
        rows = database.execute("SELECT msg FROM log ORDER BY date").fetchall()
    assert rows[0][0].startswith("0 ")
    assert rows[-1][0] == "there is room"
    assert len(rows) < count
    logger.setup()
