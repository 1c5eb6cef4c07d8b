"""A storage node of the original release, on Python 2.7, among ours."""

from __future__ import annotations

import signal
import subprocess  # noqa: TID251 - what runs
import time
from contextlib import ExitStack
from pathlib import Path

from tests import programs
from tests.capabilities import find_python, needs_python
from tests.interop.stock import neo_environment, original_neo
from tests.neo_port.faults import digest_of
from tests.neo_port.test_cluster import COMMIT_COUNT, SECONDS_MAX, NeoCluster

VERSION = "2.7"
SILENCE_SECONDS = 2
START = "from neo.scripts.neostorage import main; main()"
COMMAND = ("--cluster", "probe", "--adapter", "SQLite")


class MixedCluster(NeoCluster):
    """The second storage node is an original one."""

    def start_storage(self, number: int) -> subprocess.Popen[bytes]:
        if number == 0:
            return super().start_storage(number)
        argv = (str(find_python(VERSION)), "-c", START, *COMMAND)
        argv += ("--masters", self.master_nodes, "--bind", self.addresses[number])
        argv += ("--database", str(self.home / f"{number}.sqlite"))
        environment = {"PYTHONPATH": str(original_neo()), "PATH": "/usr/bin:/bin"}
        log = self.home / "original.log"
        return self.stack.enter_context(programs.running(argv, log, environment))


@needs_python(VERSION)
def test_a_storage_node_of_python_2_joins(tmp_path: Path) -> None:
    """It is asked whether it lives, replicates from ours and ours from it."""
    with ExitStack() as stack:
        silence = ("--silence", str(SILENCE_SECONDS))
        environment = neo_environment()
        mixed = MixedCluster(tmp_path, environment, stack, options=silence)
        mixed.commit(0, COMMIT_COUNT)
        ours, original = mixed.storages

        idle_until = time.monotonic() + 3 * SILENCE_SECONDS  # noqa: TID251
        while time.monotonic() < idle_until:  # noqa: TID251
            assert set(mixed.cells()) == {"U"}

        original.send_signal(signal.SIGKILL)
        programs.eventually(lambda: "O" in mixed.cells(), SECONDS_MAX, "it is missed")
        mixed.commit(COMMIT_COUNT, COMMIT_COUNT)
        mixed.start_storage(1)
        await_copies(mixed)
        ours.send_signal(signal.SIGKILL)
        programs.eventually(lambda: "O" in mixed.cells(), SECONDS_MAX, "ours is missed")
        mixed.commit(2 * COMMIT_COUNT, COMMIT_COUNT)
        mixed.start_storage(0)
        await_copies(mixed)

        assert mixed.commit(3 * COMMIT_COUNT, 1)[-1] == str(3 * COMMIT_COUNT + 1)
        databases = [tmp_path / f"{number}.sqlite" for number in range(2)]
        programs.eventually(
            lambda: len({digest_of(it) for it in databases}) == 1,
            SECONDS_MAX,
            "equal copies",
        )


def await_copies(mixed: MixedCluster) -> None:
    programs.eventually(
        lambda: set(mixed.cells()) == {"U"}, SECONDS_MAX, "it has replicated"
    )
