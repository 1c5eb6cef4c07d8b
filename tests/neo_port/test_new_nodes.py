"""Storage nodes of a neo_cluster that is not made yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from tests import programs
from tests.interop.stock import neo_environment
from tests.neo_port.test_cluster import NAME, SECONDS_MAX


@frozen
class Candidate:
    """One neo_master, with its admin, that waits for storage nodes."""

    home: Path
    bin: Path
    stack: ExitStack
    address: str
    admin: str

    def run(self, command: str, bound: str, *options: str) -> None:
        argv = (str(self.bin / command), "--cluster", NAME, "--bind", bound)
        argv += ("--masters", self.address, *options)
        log = self.home / f"{command}-{bound}.log"
        self.stack.enter_context(programs.running(argv, log))

    def add_storage(self, name: str) -> str:
        """The id that the storage node with the database of that name gets."""
        address = f"127.0.0.1:{programs.free_port()}"
        database = str(self.home / f"{name}.sqlite")
        self.run("neostorage", address, "--adapter", "SQLite", "--database", database)
        return programs.eventually(
            lambda: self._id_of(address), SECONDS_MAX, f"{name} is identified"
        )

    def _id_of(self, address: str) -> str | None:
        neoctl = (str(self.bin / "neoctl"), "--address", self.admin, "print", "node")
        lines = programs.run(neoctl, timeout_seconds=SECONDS_MAX).stdout.splitlines()
        return next((it.split()[0] for it in lines if address in it), None)


@contextmanager
def candidate(home: Path) -> Iterator[Candidate]:
    environment = neo_environment()
    addresses = [f"127.0.0.1:{programs.free_port()}" for _ in range(2)]
    with ExitStack() as stack:
        made = Candidate(home, environment, stack, *addresses)
        made.run("neomaster", made.address)
        made.run("neoadmin", made.admin)
        yield made


def test_a_new_storage_node_takes_the_id_that_the_elected_neo_master_gives(
    tmp_path: Path,
) -> None:
    """And not the one that a candidate gave it, if another node has that by now."""
    with candidate(tmp_path) as loser:
        assert loser.add_storage("early") == "S1"

    with candidate(tmp_path) as elected:
        assert elected.add_storage("other") == "S1"

        assert elected.add_storage("early") == "S2"
