"""Shell. A life of the links of one site, whose applier dies after any of its effects.

Peers come, go, renew their certificates and connect all the time, also with those that
are not wanted any more. Whoever applies links is killed anywhere, stunnel too, and
the power goes. After each run that ends, who may be there is what was wanted last, and
nobody lost a connection who was wanted all the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from traceback import format_exception
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory

from labsim.lives.dying import Fate, dying, outlive
from labsim.models.reading_stunnel import Connection, ReadingStunnel
from labsim.world.world import World
from runtime.ports import Runtime, TcpAddress
from stunnel_conf.applying import Applied, Applier, NotTaken
from stunnel_conf.links import BadLinks, Endpoint, Export, Links, Peer, Span
from stunnel_conf.pins import sign_itself

HOME = "/srv/links"
OWN = "lyon"
PEERS = ("tokyo", "paris", "lima")
PROGRAMS = ("database", "web")
FIRST_PORT = 15_000
OUTSIDE = "::1"
ENTRIES = Span("127.0.0.1", 10_000, 10_009)

ROUNDS = 25
EFFECTS_MAX = 7
"""Of a change: some files, the configuration, its copy, removals."""

DYING_FRACTION = 1 / 2
TAKEN_FRACTION = UNDOING_FRACTION = ABSENT_FRACTION = 1 / 4
SUDDEN_SECONDS_MAX = 0.6
"""stunnel answers within this; a kill in the middle comes at any time of it."""

APPLYING_SECONDS_MAX = 90.0
"""A stunnel that says nothing is waited for a minute."""


@define(eq=False)
class Life:
    """A site, its stunnel, its peers and their certificates, old ones too."""

    world: World
    entropy: Random = field(init=False)
    stunnel: ReadingStunnel = field(init=False)
    files: dict[str, str] = field(factory=dict)
    _numbers: dict[str, int] = field(factory=dict)
    _pinned: dict[str, tuple[str, ...]] = field(factory=dict)
    _allowed: dict[str, frozenset[str]] = field(factory=dict)
    _ports: dict[str, int] = field(factory=dict)
    _next_port: int = 0
    _own: str = ""
    _applied: Links | None = None
    _kept: dict[str, Connection] = field(factory=dict)
    """Who was connected since the last look."""

    def __attrs_post_init__(self) -> None:
        self.entropy = self.world.entropy("links")
        runtime = self._runtime
        runtime.file_tree("/srv").make_directory("links", 0o700)
        self.stunnel = ReadingStunnel(runtime, HOME, self.entropy)
        self._own = self._renew(OWN)
        for name in PEERS:
            self._pinned[name] = (self._renew(name),)
        self._allowed = dict.fromkeys(PROGRAMS, frozenset(PEERS))
        self._ports = {it: FIRST_PORT + at for at, it in enumerate(PROGRAMS)}
        self._next_port = FIRST_PORT + len(PROGRAMS)

    @property
    def _runtime(self) -> Runtime:
        return self.world.host("site").runtime

    def play(self) -> Iterator[str]:
        self._begin()
        for _ in range(ROUNDS):
            self._knock()
            if self.entropy.random() < TAKEN_FRACTION:
                yield from self._move_to_a_taken_port()
            before = self._wishes
            self._change()
            if self.entropy.random() < DYING_FRACTION:
                self._apply_and_die()
                if self.entropy.random() < UNDOING_FRACTION:
                    self._wishes = before
                    # What was wanted for a moment may have closed some.
                    self._kept = dict(self.stunnel.connections)
            elif self.entropy.random() < ABSENT_FRACTION:
                yield from self._apply_to_none()
            yield from self._apply()
            yield from self._judge()

    @property
    def _wishes(self) -> tuple[Any, ...]:
        return dict(self._pinned), dict(self._allowed), dict(self._ports), self._own

    @_wishes.setter
    def _wishes(self, wishes: tuple[Any, ...]) -> None:
        pinned, allowed, ports, self._own = wishes
        self._pinned, self._allowed, self._ports = map(dict, (pinned, allowed, ports))

    def _begin(self) -> None:
        self.world.result(self._applier().apply(self._links(), self._read))
        assert self.stunnel.start()
        self._applied = self._links()

    def _knock(self) -> None:
        """Everybody tries everything, with all certificates that they ever had."""
        for name in PEERS:
            for number in range(self._numbers[name]):
                for program in PROGRAMS:
                    file = _file(name, number)
                    thread = self.stunnel.connect(
                        f"export.{program}", self.files[file].strip(), name
                    )
                    if thread is not None:
                        self._kept[thread] = self.stunnel.connections[thread]

    def _change(self) -> None:
        self.entropy.choice(
            (
                self._exclude_or_admit,
                self._exclude_or_admit,
                self._exchange_pin,
                self._add_pin,
                self._renew_own,
            )
        )()

    def _exclude_or_admit(self) -> None:
        program = self.entropy.choice(PROGRAMS)
        self._allowed[program] ^= {self.entropy.choice(PEERS)}

    def _exchange_pin(self) -> None:
        name = self.entropy.choice(PEERS)
        self._pinned[name] = (self._renew(name),)

    def _add_pin(self) -> None:
        name = self.entropy.choice(PEERS)
        self._pinned[name] = (self._pinned[name][-1], self._renew(name))

    def _renew_own(self) -> None:
        self._own = self._renew(OWN)

    def _move_to_a_taken_port(self) -> Iterator[str]:
        """Have another program where peers are to come in: all stays as it was.

        It is there before, or comes between the look and the signal.
        """
        program = self.entropy.choice(PROGRAMS)
        if not self._allowed[program]:
            return
        before = self._ports[program]
        port = self._ports[program] = self._next_port
        self._next_port += 1
        endpoint, closing_count = Endpoint(OUTSIDE, port), self.stunnel.closing_count
        self.stunnel.taken.add(endpoint)
        listening: list[IListeningPort] = []
        if self.entropy.random() < 1 / 2:
            address = TcpAddress(OUTSIDE, port)
            taking = self._runtime.network.server_endpoint(address)
            listening.append(self.world.result(taking.listen(Factory())))
        applying = self._applier().apply(self._links(), self._read)
        try:
            self.world.result(applying, APPLYING_SECONDS_MAX)
        except NotTaken:
            yield from self._judge()
        else:
            yield f"port {port} is taken, and nobody says so"
        if listening and self.stunnel.closing_count > closing_count:
            yield f"port {port} was taken before, and all were closed"
        for it in listening:
            it.stopListening()
        self.stunnel.taken.discard(endpoint)
        if self.entropy.random() < 1 / 2:
            self._ports[program] = before

    def _renew(self, name: str) -> str:
        """Make another certificate; return the name of its file."""
        number = self._numbers.get(name, 0)
        self._numbers[name] = number + 1
        runtime = self._runtime
        key = runtime.keys.new_private_key()
        certificate = sign_itself(name, key, runtime.calendar.now(), days=9)
        file = _file(name, number)
        self.files[file] = key + certificate if name == OWN else certificate
        return file

    def _links(self) -> Links:
        return Links(
            OWN,
            OUTSIDE,
            self._own,
            ENTRIES,
            tuple(
                Export(
                    program, port, Endpoint("127.0.0.1", 5432), self._allowed[program]
                )
                for program, port in self._ports.items()
            ),
            tuple(
                Peer(name, "2001:db8::1", self._pinned[name], {"echo": 7})
                for name in PEERS
            ),
        )

    def _read(self, file: str) -> str:
        return self.files[file]

    def _applier(self, fate: Fate | None = None) -> Applier:
        runtime = self._runtime if fate is None else dying(self._runtime, fate)
        return Applier(runtime, HOME, self.stunnel)

    def _apply_and_die(self) -> None:
        """Be killed before or after an effect, or at any time."""
        entropy = self.entropy
        fate = None
        if entropy.random() < 1 / 2:
            fate = Fate(entropy.randrange(EFFECTS_MAX), entropy.random() < 1 / 2)
        links = self._links()
        applying = Deferred.fromCoroutine(self._applier(fate).apply(links, self._read))
        ended = outlive(applying)
        self.world.run_for(entropy.uniform(0, SUDDEN_SECONDS_MAX))
        if not ended:
            applying.cancel()
        if entropy.random() < 1 / 3:
            self._restart_stunnel()
        self._knock()

    def _restart_stunnel(self) -> None:
        """It ends, and is begun again; the power may have gone."""
        self.stunnel.end()
        self._kept.clear()
        if self.entropy.random() < 1 / 2:
            self.world.host("site").bounce()
        runtime = self._runtime
        self.stunnel = ReadingStunnel(runtime, HOME, self.entropy, self.stunnel.taken)
        assert self.stunnel.start(), "stunnel does not begin with what was written"

    def _apply_to_none(self) -> Iterator[str]:
        """Apply links while stunnel is not there, and begin it then."""
        self.stunnel.end()
        applying = self._applier().apply(self._links(), self._read)
        if self.world.result(applying, APPLYING_SECONDS_MAX).is_running:
            yield "a stunnel that does not run is said to"
        self._restart_stunnel()
        self._applied = self._links()
        yield from self._judge()
        yield from self._move_to_a_taken_port()

    def _apply(self) -> Iterator[str]:
        links = self._links()
        applying = self._applier().apply(links, self._read)
        try:
            applied: Applied = self.world.result(applying, APPLYING_SECONDS_MAX)
        except (NotTaken, BadLinks) as error:
            yield f"what is good is refused: {error}"
            return
        if not applied.is_running:
            yield "a stunnel that runs is said not to"
        self._applied = links

    def _judge(self) -> Iterator[str]:
        """Compare stunnel with what was applied last."""
        assert self._applied is not None
        for export in self._applied.exports:
            section = f"export.{export.program}"
            wanted = {
                self.files[file].strip()
                for peer in self._applied.peers
                if peer.name in export.peers
                for file in peer.certificates
            }
            read = self.stunnel.sections.get(section)
            found = frozenset() if read is None else read.pinned
            is_open = Endpoint(OUTSIDE, export.port) in self.stunnel.listening()
            if is_open is not bool(wanted):
                yield f"{section}: its port is {'open' if is_open else 'closed'}"
            if found != wanted:
                yield f"{section} lets {len(found)} in, and {len(wanted)} are wanted"
        if self.stunnel.own.strip() != self.files[self._applied.certificate].strip():
            yield "its own certificate is another one"
        yield from self._judge_connections()

    def _judge_connections(self) -> Iterator[str]:
        assert self._applied is not None
        names = {f"export.{it.program}": it.peers for it in self._applied.exports}
        owners = {
            self.files[_file(name, number)].strip(): name
            for name in PEERS
            for number in range(self._numbers[name])
        }
        for thread, connection in self.stunnel.connections.items():
            owner = owners[connection.certificate]
            if owner not in names.get(connection.section, ()):
                yield f"{owner} is still at {connection.section} ({thread})"
        for thread, connection in self._kept.items():
            owner = owners[connection.certificate]
            is_wanted = owner in names.get(connection.section, ())
            if is_wanted and thread not in self.stunnel.connections:
                yield f"{owner} lost a connection to {connection.section} ({thread})"
        self._kept = dict(self.stunnel.connections)


def _file(name: str, number: int) -> str:
    return f"{name}-{number}.pem"


def find_problem(seed: int) -> str:
    """Play one life; say what does not hold, ``""`` when all does."""
    life = Life(World(seed))
    try:
        for problem in life.play():
            return problem
        life.stunnel.end()
        life.world.finish()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a problem
        return "".join(format_exception(error))
    return ""
