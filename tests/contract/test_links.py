"""Links in force: real stunnels, each beside a program that echoes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import threading  # noqa: TID251 - programs of this test
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, field, frozen
from click.testing import CliRunner, Result

from runtime.ports import Runtime
from runtime.real import build_runtime
from slapcluster.cli import cli
from slapcluster.session import Session
from stunnel_conf.applying import IN_FORCE, Applied, Applier, NotTaken
from stunnel_conf.links import Endpoint, Export, Links, Peer, Span
from stunnel_conf.pins import sign_itself
from stunnel_conf.process import CannotClose, StunnelProcess
from stunnel_conf.rendering import CONFIGURATION
from tests import programs
from tests.reactor import ReactorBench
from tests.sessions import once

OUTSIDE = "::1"
ANSWER_SECONDS = 5.0


class Killed(BaseException):
    """The process that applies links ends here."""


class Echo:
    """A program that says what it is told."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = Endpoint(*self._listener.getsockname())
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                opened, _ = self._listener.accept()
                threading.Thread(target=self._echo, args=(opened,), daemon=True).start()

    def _echo(self, opened: socket.socket) -> None:
        with opened, suppress(OSError):
            while content := opened.recv(4096):
                opened.sendall(content)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Site:
    """A site: a home, a key, an echo that it exports, a stunnel when it is begun."""

    def __init__(
        self, name: str, home: Path, run: ReactorBench, stack: ExitStack
    ) -> None:
        self.name = name
        self.home = home
        self.runtime = build_runtime(run.reactor)
        self._run = run
        self._stack = stack
        self.echo = stack.enter_context(closing(Echo()))
        self.port = programs.free_port(OUTSIDE)
        self._first_entry = programs.free_port()
        self.files: dict[str, str] = {}
        self.renew(name)
        home.mkdir()

    def renew(self, file: str, *, days: int = 9) -> None:
        """Have a key and certificate in a file of that name, ``.pem`` and ``.crt``."""
        key = self.runtime.keys.new_private_key()
        now = self.runtime.calendar.now()
        certificate = sign_itself(self.name, key, now, days)
        self.files |= {f"{file}.pem": key + certificate, f"{file}.crt": certificate}

    def links(self, exported: Collection[Site], reached: Collection[Site]) -> Links:
        peers = {
            it.name: Peer(
                it.name,
                OUTSIDE,
                (f"{it.name}.crt",),
                {"echo": it.port} if it in reached else {},
            )
            for it in (*exported, *reached)
        }
        echo = Export(
            "echo", self.port, self.echo.endpoint, frozenset(it.name for it in exported)
        )
        span = Span("127.0.0.1", self._first_entry, self._first_entry)
        return Links(
            self.name, OUTSIDE, f"{self.name}.pem", span, (echo,), tuple(peers.values())
        )

    def apply(
        self,
        links: Links,
        *others: Site,
        runtime: Runtime | None = None,
        stunnel: Any = None,
    ) -> Applied:
        files = dict(self.files)
        for it in others:
            files |= {name: text for name, text in it.files.items() if "crt" in name}
        home = str(self.home)
        applier = Applier(
            runtime or self.runtime, home, stunnel or StunnelProcess(home)
        )
        return self._run(applier.apply(links, files.__getitem__))

    def begin(self) -> None:
        argv = ("stunnel", str(self.home / CONFIGURATION))
        self._stack.enter_context(programs.running(argv, self.home / "output"))
        stunnel = StunnelProcess(str(self.home))
        programs.eventually(stunnel.listening, programs.END_SECONDS, "it listens")

    def end(self) -> None:
        stunnel = StunnelProcess(str(self.home))
        pid = stunnel.pid()
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        programs.eventually(
            lambda: stunnel.pid() is None, programs.END_SECONDS, "stunnel ends"
        )

    def knock(self) -> socket.socket:
        """A connection to what it reaches, which may come to nothing."""
        entry = ("127.0.0.1", self._first_entry)
        knocking = self._stack.enter_context(socket.create_connection(entry))
        knocking.settimeout(ANSWER_SECONDS)
        return knocking


def answers(opened: socket.socket) -> bool:
    """Whether the echo at its other end still says what it is told."""
    try:
        opened.sendall(b"hello")
        return opened.recv(5) == b"hello"
    except (ConnectionError, TimeoutError):
        return False


@pytest.fixture
def sites(run_real: ReactorBench, tmp_path: Path) -> Iterator[list[Site]]:
    with ExitStack() as stack:
        yield [
            Site(name, tmp_path / name, run_real, stack)
            for name in ("lyon", "tokyo", "paris")
        ]


def joined(*clients: Site, to: Site) -> Links:
    """Clients reach a place; its links."""
    links = to.links(clients, ())
    assert not to.apply(links, *clients).is_running
    to.begin()
    for it in clients:
        it.apply(it.links((), (to,)), to)
        it.begin()
    return links


def test_a_program_is_behind_the_entry_of_a_peer(sites) -> None:
    lyon, tokyo, _ = sites
    joined(tokyo, to=lyon)

    entries = tokyo.apply(tokyo.links((), (lyon,)), lyon).entries
    opened = tokyo.knock()

    assert list(entries) == ["lyon/echo"]
    assert entries["lyon/echo"] == Endpoint(*opened.getpeername())
    assert answers(opened)


def test_what_is_in_force_is_left_alone(sites) -> None:
    lyon, tokyo, _ = sites
    links = joined(tokyo, to=lyon)
    lyon.apply(links, tokyo)
    log = lyon.home / "stunnel.log"
    before = log.read_text()

    again = lyon.apply(links, tokyo)

    assert (again.is_running, again.is_changed) == (True, False)
    assert log.read_text() == before


def test_who_comes_later_is_let_in_and_nobody_is_disturbed(sites) -> None:
    lyon, tokyo, paris = sites
    joined(tokyo, to=lyon)
    paris.apply(paris.links((), (lyon,)), lyon)
    paris.begin()
    opened = tokyo.knock()
    assert answers(opened)
    assert not answers(paris.knock())

    applied = lyon.apply(lyon.links((tokyo, paris), ()), tokyo, paris)

    assert (applied.is_changed, applied.closed_count) == (True, 0)
    assert answers(paris.knock())
    assert answers(opened)


def test_who_is_removed_is_cut_off_and_nobody_else(sites) -> None:
    lyon, tokyo, paris = sites
    joined(tokyo, paris, to=lyon)
    kept, cut = tokyo.knock(), paris.knock()
    assert answers(kept)
    assert answers(cut)

    applied = lyon.apply(lyon.links((tokyo,), ()), tokyo)

    assert applied.closed_count == 1
    assert not answers(cut)
    assert not answers(paris.knock())
    assert answers(kept)
    assert answers(tokyo.knock())


def test_who_removes_a_peer_has_no_connection_to_it_either(sites) -> None:
    lyon, tokyo, _ = sites
    joined(tokyo, to=lyon)
    opened = tokyo.knock()
    assert answers(opened)

    applied = tokyo.apply(tokyo.links((), ()))

    assert applied.closed_count == 1
    assert not answers(opened)


def test_a_certificate_is_replaced_without_a_dropped_connection(sites) -> None:
    lyon, tokyo, _ = sites
    links = joined(tokyo, to=lyon)
    opened = tokyo.knock()
    assert answers(opened)
    tokyo.renew("new")
    (peer,) = links.peers
    both = evolve(peer, certificates=("tokyo.crt", "new.crt"))
    new = evolve(peer, certificates=("new.crt",))

    lyon.apply(evolve(links, peers=(both,)), tokyo)
    own = evolve(tokyo.links((), (lyon,)), certificate="new.pem")
    tokyo.apply(own, lyon)
    applied = lyon.apply(evolve(links, peers=(new,)), tokyo)

    assert applied.closed_count == 0
    assert answers(opened)
    assert answers(tokyo.knock())
    tokyo.apply(tokyo.links((), (lyon,)), lyon)
    assert not answers(tokyo.knock())
    assert answers(opened)


def test_who_has_another_certificate_of_the_same_name_gets_nowhere(sites) -> None:
    lyon, tokyo, _ = sites
    joined(tokyo, to=lyon)
    tokyo.renew("stolen-name")

    tokyo.apply(evolve(tokyo.links((), (lyon,)), certificate="stolen-name.pem"), lyon)

    assert not answers(tokyo.knock())


def test_an_expired_certificate_gets_nowhere_and_is_told(sites) -> None:
    lyon, tokyo, _ = sites
    tokyo.renew("tokyo", days=0)
    links = joined(tokyo, to=lyon)

    applied = lyon.apply(links, tokyo)

    assert applied.warnings == (
        "tokyo has no certificate that is valid now: its links are refused",
    )
    assert not answers(tokyo.knock())


def test_a_port_that_is_taken_changes_nothing(sites) -> None:
    """Otherwise stunnel would close all of its ports, again and again."""
    lyon, tokyo, _ = sites
    links = joined(tokyo, to=lyon)
    lyon.apply(links, tokyo)
    opened = tokyo.knock()
    assert answers(opened)
    (echo,) = links.exports
    with socket.create_server((OUTSIDE, 0), family=socket.AF_INET6) as other:
        second = evolve(echo, program="other", port=other.getsockname()[1])
        wanted = evolve(links, exports=(echo, second))

        with pytest.raises(NotTaken, match=r"of export\.other cannot be listened at"):
            lyon.apply(wanted, tokyo)

        assert answers(opened)
        assert answers(tokyo.knock())
    assert lyon.apply(wanted, tokyo).is_changed


@frozen
class Unlucky:
    """A stunnel; somebody takes a port when it has been looked whether it is free."""

    port: int
    stack: ExitStack
    stunnel: StunnelProcess
    _taken: list[socket.socket] = field(factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stunnel, name)

    def reload(self) -> None:
        if not self._taken:
            taken = socket.create_server((OUTSIDE, self.port), family=socket.AF_INET6)
            self._taken.append(self.stack.enter_context(taken))
        self.stunnel.reload()


def test_what_stunnel_does_not_take_is_replaced_by_what_it_had(sites) -> None:
    lyon, tokyo, _ = sites
    links = joined(tokyo, to=lyon)
    lyon.apply(links, tokyo)
    (echo,) = links.exports
    port = programs.free_port(OUTSIDE)
    wanted = evolve(links, exports=(echo, evolve(echo, program="other", port=port)))

    with ExitStack() as stack:
        stunnel = Unlucky(port, stack, StunnelProcess(str(lyon.home)))
        with pytest.raises(NotTaken, match=r"\[other\] failed|it has what it had"):
            lyon.apply(wanted, tokyo, stunnel=stunnel)

        # It listens anew once more when it is told twice.
        programs.eventually(
            lambda: answers(tokyo.knock()), programs.END_SECONDS, "the echo answers"
        )
        in_force = (lyon.home / IN_FORCE).read_text()
        assert (lyon.home / CONFIGURATION).read_text() == in_force


class Reluctant(StunnelProcess):
    """A stunnel in a kernel that lets nobody touch other processes."""

    def close(self, origins: Collection[str]) -> int:
        if origins:
            raise CannotClose("Operation not permitted")
        return 0


def test_what_cannot_be_closed_is_said_until_it_is(sites) -> None:
    lyon, tokyo, paris = sites
    joined(tokyo, paris, to=lyon)
    cut = paris.knock()
    assert answers(cut)
    wanted = lyon.links((tokyo,), ())

    for _ in range(2):
        with pytest.raises(
            NotTaken, match=r"1 of peers that were removed go on: .*res"
        ):
            lyon.apply(wanted, tokyo, stunnel=Reluctant(str(lyon.home)))
    assert not answers(paris.knock())
    assert answers(cut)
    assert lyon.apply(wanted, tokyo).closed_count == 1


class Mortal:
    """Files of which only so many changes are made."""

    def __init__(self, tree: Any, left: int) -> None:
        self._tree = tree
        self.left = left

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._tree, name)
        if name not in ("write", "remove"):
            return found

        def change(*arguments: Any) -> Any:
            if not self.left:
                raise Killed
            self.left -= 1
            return found(*arguments)

        return change


def test_who_was_killed_anywhere_is_finished_by_the_next(sites) -> None:
    lyon, tokyo, paris = sites
    links = joined(tokyo, paris, to=lyon)
    lyon.apply(links, tokyo, paris)
    wanted = (lyon.links((tokyo,), ()), lyon.links((tokyo, paris), ()))
    killed_count = 0
    for change_count in range(10):
        target = wanted[change_count % 2]
        expected = {it.name for it in target.peers}
        tree = Mortal(lyon.runtime.file_tree(str(lyon.home)), change_count)
        mortal = evolve(lyon.runtime, file_tree=lambda _, tree=tree: tree)

        try:
            lyon.apply(target, tokyo, paris, runtime=mortal)
        except Killed:
            killed_count += 1
        lyon.apply(target, tokyo, paris)

        assert answers(tokyo.knock())
        assert answers(paris.knock()) == ("paris" in expected)
        configuration = (lyon.home / CONFIGURATION).read_text()
        assert (lyon.home / IN_FORCE).read_text() == configuration
        kept = {it.name for it in lyon.home.glob("*.pem")}
        assert kept == {it for it in kept if it in configuration}
    assert killed_count > 3


def test_what_was_written_and_never_taken_is_not_in_force(sites) -> None:
    """Of a run that was killed, or one while stunnel did not run."""
    lyon, tokyo, paris = sites
    links = joined(tokyo, paris, to=lyon)
    alone = lyon.links((tokyo,), ())
    lyon.apply(alone, tokyo)
    tree = Mortal(lyon.runtime.file_tree(str(lyon.home)), 2)
    mortal = evolve(lyon.runtime, file_tree=lambda _: tree)
    with pytest.raises(Killed):
        lyon.apply(links, tokyo, paris, runtime=mortal)
    assert "paris" in (lyon.home / CONFIGURATION).read_text()

    lyon.apply(alone, tokyo)

    assert "paris" not in (lyon.home / CONFIGURATION).read_text()
    lyon.end()
    lyon.apply(links, tokyo, paris)
    lyon.begin()
    assert answers(paris.knock())
    lyon.apply(alone, tokyo)
    assert not answers(paris.knock())
    assert answers(tokyo.knock())


def test_three_hundred_links_are_in_one_stunnel(sites) -> None:
    lyon, tokyo, _ = sites
    links = joined(tokyo, to=lyon)
    (echo,) = links.exports
    opened = tokyo.knock()
    assert answers(opened)
    ports = set[int]()
    while len(ports) < 299:
        ports.add(programs.free_port(OUTSIDE))
    many = (evolve(echo, program=f"p{port}", port=port) for port in sorted(ports))

    lyon.apply(evolve(links, exports=(echo, *many)), tokyo)

    listening = StunnelProcess(str(lyon.home)).listening()
    assert {it.port for it in listening} == {lyon.port, *ports}
    assert answers(opened)


def test_the_command_makes_keys_and_brings_a_file_into_force(
    run_real: ReactorBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runtime = build_runtime(run_real.reactor)

    def typed(*arguments: str) -> Result:
        return CliRunner().invoke(
            cli,
            ("--output", "json", *arguments),
            obj=Session(launch=once(lambda main: run_real(main(runtime)))),
        )

    for name in ("lyon", "tokyo"):
        assert typed("link", "key", name).exit_code == 0
    again = typed("link", "key", "lyon")
    page = Path(__file__).parents[2] / "docs" / "links.md"
    _, tokyo = re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)
    Path("tokyo.toml").write_text(tokyo)
    applied = typed("link", "apply", "tokyo.toml", "--home", "links")
    Path("lyon.crt").write_text("nothing")
    refused = typed("link", "apply", "tokyo.toml", "--home", "links")

    assert "lyon.pem is there already" in again.output
    assert stat.S_IMODE(Path("lyon.pem").stat().st_mode) == 0o600
    document = json.loads(applied.stdout)
    assert list(document["entries"]) == ["lyon/database"]
    assert document["is_running"] is False
    assert "lyon.crt: has no certificate in PEM" in refused.output
    assert (again.exit_code, refused.exit_code) == (1, 1)
