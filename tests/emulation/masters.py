"""Real masters on one store, and clients that insist until they are answered."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from subprocess import Popen  # noqa: TID251 - tests watch programs from outside

from master_cluster.records import InstanceRecord
from slap.calls import (
    Call,
    HttpAnswer,
    decode_answer,
    define_computer,
    encode_call,
    request_instance,
)
from slap.errors import Unavailable
from slap.model import InstanceRequest, RequestedInstance
from tests.builders import a_computer_definition, an_instance_request
from tests.programs import eventually, free_port, is_listening, running
from tests.source_tree import TOP
from tests.unit.master_cluster.benches import StoreBench
from tests.unit.master_cluster.invariants import check_cloud

PROGRAM = (sys.executable, "-c", "from slapcluster.cli import main; main()")

ANSWER_SECONDS_MAX = 30.0
"""No answer takes longer, whoever was killed: a call that hangs fails its test."""

LISTEN_SECONDS_MAX = 30.0

STOP_SECONDS_MAX = 30.0

ATTEMPTS_MAX = 600


class Programs:
    """A storage server and masters on it, or one master on the file."""

    def __init__(self, directory: Path, master_count: int, *, is_served: bool) -> None:
        self.path = directory / "state.fs"
        self.ports = [free_port() for _ in range(master_count)]
        self._directory = directory
        self._server_port = free_port() if is_served else 0
        self._stack = ExitStack()
        self._running: dict[int, Popen[bytes]] = {}

    def start_all(self) -> None:
        if self._server_port:
            self.start_server()
        for number in range(len(self.ports)):
            self.start_master(number)

    def start_server(self) -> None:
        address = f"127.0.0.1:{self._server_port}"
        self._start(
            self._server_port, "storage", "serve", str(self.path), "--listen", address
        )

    def start_master(self, number: int) -> None:
        port = self.ports[number]
        uri = f"file:{self.path}"
        if self._server_port:
            uri = f"zeo:127.0.0.1:{self._server_port}"
        listen = f"127.0.0.1:{port}"
        self._start(port, "proxy", "--store", uri, "--listen", listen)

    def kill_server(self) -> None:
        self._kill(self._server_port)

    def kill_master(self, number: int) -> None:
        self._kill(self.ports[number])

    def stop_server(self) -> int:
        return self._stop(self._server_port)

    def stop_master(self, number: int) -> int:
        """Send SIGTERM and give the status."""
        return self._stop(self.ports[number])

    def close(self) -> None:
        self._stack.close()

    def _start(self, port: int, *arguments: str) -> None:
        argv = [*PROGRAM, *arguments]
        environment = {"PYTHONPATH": str(TOP)}
        program = self._stack.enter_context(running(argv, self._log(port), environment))
        self._running[port] = program
        eventually(
            lambda: is_listening("127.0.0.1", port), LISTEN_SECONDS_MAX, " ".join(argv)
        )

    def _stop(self, port: int) -> int:
        program = self._running.pop(port)
        program.terminate()
        return program.wait(STOP_SECONDS_MAX)

    def _kill(self, port: int) -> None:
        program = self._running.pop(port)
        program.kill()
        program.wait()

    def _log(self, port: int) -> Path:
        return self._directory / f"{port}.log"


@contextmanager
def masters(
    directory: Path, count: int = 1, *, is_served: bool = False
) -> Iterator[Programs]:
    """Masters that run while the block does."""
    programs = Programs(directory, count, is_served=is_served)
    try:
        programs.start_all()
        yield programs
    finally:
        programs.close()


class Client:
    """A client with one connection; when a master fails it, it asks the next one."""

    def __init__(self, ports: Sequence[int], first: int = 0) -> None:
        self._ports = ports
        self._turn = first
        self._connection: HTTPConnection | None = None

    def ask(self, call: Call) -> object:
        """Ask once; an error of the master or of the connection is raised."""
        wanted = encode_call(call)
        if self._connection is None:
            port = self._ports[self._turn % len(self._ports)]
            self._connection = HTTPConnection(
                "127.0.0.1", port, timeout=ANSWER_SECONDS_MAX
            )
        try:
            self._connection.request(
                wanted.verb, f"/{wanted.path}", wanted.body, dict(wanted.headers)
            )
            reply = self._connection.getresponse()
            answer = HttpAnswer(reply.status, dict(reply.getheaders()), reply.read())
        except (HTTPException, ConnectionError):
            self.close()
            raise
        return decode_answer(call, answer)

    def insist(self, call: Call) -> object:
        """Ask masters by turns until one answers; a time-out is a failure."""
        for _ in range(ATTEMPTS_MAX):
            try:
                return self.ask(call)
            except (HTTPException, ConnectionError, Unavailable):
                self.close()
                self._turn += 1
                eventually(self._is_anybody_there, LISTEN_SECONDS_MAX, "a master")
        raise AssertionError(f"{call.method} was not answered")

    def request(self, title: str) -> RequestedInstance:
        answer = self.insist(request_instance(wanted(title)))
        assert isinstance(answer, RequestedInstance)
        return answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _is_anybody_there(self) -> bool:
        port = self._ports[self._turn % len(self._ports)]
        try:
            return is_listening("127.0.0.1", port)
        except OSError:
            self._turn += 1
            return False


class Crowd:
    """Clients at work in threads; ``answered`` holds what was acknowledged so far."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self.answered: dict[str, RequestedInstance] = {}

    def format(self, partition_count: int) -> None:
        definition = a_computer_definition(partition_count)
        client = Client(self._ports)
        client.insist(define_computer(definition))
        client.close()

    @contextmanager
    def requesting(self, lists: Sequence[Sequence[str]]) -> Iterator[None]:
        """Let one client for each list request its titles, until all are answered."""
        with ThreadPoolExecutor(len(lists)) as pool:
            futures: list[Future[None]] = [
                pool.submit(self._work, titles, number)
                for number, titles in enumerate(lists)
            ]
            yield
            for future in futures:
                future.result()

    def await_answers(self, count: int) -> None:
        eventually(lambda: len(self.answered) >= count, 120, f"{count} answers")

    def _work(self, titles: Sequence[str], number: int) -> None:
        client = Client(self._ports, number)
        try:
            for title in titles:
                self._note(title, client.request(title))
        finally:
            client.close()

    def _note(self, title: str, answer: RequestedInstance) -> None:
        known = self.answered.setdefault(title, answer)
        assert (known.instance_guid, known.key) == (answer.instance_guid, answer.key)


def wanted(title: str) -> InstanceRequest:
    return an_instance_request(title=title)


def check_file(path: Path, answered: dict[str, RequestedInstance]) -> None:
    """Open the file that masters left: it is whole and has what was acknowledged."""
    bench = StoreBench(f"file:{path}")
    try:
        bench.ask(check_cloud)
        kept = bench.ask(lambda cloud: {it.title: it for it in cloud.roots()})
    finally:
        bench.close()
    lost = [title for title, it in answered.items() if not _is_kept(kept, title, it)]
    assert lost == [], f"{len(lost)} of {len(answered)} acknowledged are lost"


def _is_kept(
    kept: dict[str, InstanceRecord], title: str, answer: RequestedInstance
) -> bool:
    record = kept.get(title)
    return record is not None and (record.instance_guid, record.partition) == (
        answer.instance_guid,
        answer.key,
    )
