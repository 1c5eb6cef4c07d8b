"""Shell. Brings links into force: files, the running stunnel, its connections.

What is in force is what ``IN_FORCE`` says, a copy of the configuration that is written
last of all. So a run that was killed anywhere is finished by the next one, and what
stunnel does not take is replaced by what it had.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol

from attrs import field, frozen
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from runtime.ports import IFileTree, Runtime, TcpAddress
from stunnel_conf.journal import Journal, Live
from stunnel_conf.links import BadLinks, Endpoint, Links
from stunnel_conf.pins import Pin, check_identity, read_own, read_pin
from stunnel_conf.ports import assign, entry_name
from stunnel_conf.process import CannotClose
from stunnel_conf.rendering import (
    CONFIGURATION,
    LOG,
    OWN_PREFIX,
    PINS_PREFIX,
    Configuration,
    Passage,
    Section,
    accepts_named,
    files_named,
    passage_of,
    render,
    sections_of,
)

IN_FORCE = "in-force.conf"
ENTRIES = "entries.json"

SECRET = 0o600
RELOAD_SECONDS_MAX = 60.0
"""300 sections took 0.5 s, and 10 s where stunnel had a tenth of a core."""

LOOK_SECONDS = 0.05


class NotTaken(Exception):
    """stunnel does not take a configuration, and has what it had; says why."""


class IStunnel(Protocol):
    """A stunnel that runs, or does not: ``process.StunnelProcess``."""

    def pid(self) -> int | None: ...
    def reload(self) -> None: ...
    def listening(self) -> Collection[Endpoint]: ...
    def journal(self) -> Journal: ...
    def close(self, origins: Collection[str]) -> int: ...


@frozen
class Applied:
    """What came of it.

    ``entries`` are where programs of peers are, by ``PEER/PROGRAM``. Without a stunnel
    all is written, and it takes it when it begins. ``warnings`` are for a person.
    """

    entries: Mapping[str, Endpoint]
    is_running: bool
    is_changed: bool = False
    closed_count: int = 0
    warnings: tuple[str, ...] = field(default=())


@frozen
class Home:
    """A directory of one stunnel; its files are read and written here alone."""

    files: IFileTree

    def text(self, name: str) -> str | None:
        if self.files.status(name) is None:
            return None
        return self.files.read(name).decode()

    def ports(self) -> dict[str, int]:
        """Return the ports of entries; a file that is damaged says nothing."""
        try:
            document = json.loads(self.text(ENTRIES) or "{}")
            return {str(name): int(port) for name, port in document.items()}
        except (ValueError, TypeError, AttributeError):
            return {}

    def keep_ports(self, ports: Mapping[str, int]) -> None:
        content = json.dumps(ports, indent=1, sort_keys=True) + "\n"
        if content != self.text(ENTRIES):
            self.files.write(ENTRIES, content.encode())

    def write(self, configuration: Configuration) -> None:
        """Write the files that it names, then itself: that is the change."""
        for name, content in configuration.files.items():
            if self.text(name) != content:
                mode = SECRET if name.startswith(OWN_PREFIX) else 0o644
                self.files.write(name, content.encode(), mode)
        self.set_text(configuration.text)

    def set_text(self, text: str) -> None:
        if self.text(CONFIGURATION) != text:
            self.files.write(CONFIGURATION, text.encode())

    def forget_all_but(self, text: str) -> None:
        """Remove the files of pins and keys that a configuration does not name."""
        named = files_named(text)
        for name in self.files.list():
            if name.startswith((OWN_PREFIX, PINS_PREFIX)) and name not in named:
                self.files.remove(name)


class Applier:
    """Has one stunnel do what links say.

    Its home is a directory that exists. One at a time for each: who calls sees to that.
    """

    def __init__(self, runtime: Runtime, home: str, stunnel: IStunnel) -> None:
        self._runtime = runtime
        self._home = Home(runtime.file_tree(home))
        self._stunnel = stunnel

    async def apply(self, links: Links, read: Callable[[str], str]) -> Applied:
        """Bring links into force; what is there already is left alone.

        ``read`` gives the content of a file that the links name. ``BadLinks`` for what
        cannot be, before anything is written, and ``NotTaken``; after both all is as
        before.
        """
        configuration, entries, warnings = self._prepare(links, read)
        if self._stunnel.pid() is None:
            # Of connections that are over; while stunnel runs its log is needed.
            self._home.files.remove(LOG)
            self._home.files.remove(IN_FORCE)
            self._home.write(configuration)
            return Applied(entries, is_running=False, warnings=warnings)
        in_force, written = map(self._home.text, (IN_FORCE, CONFIGURATION))
        # Both: after a run that was killed, stunnel may have either.
        is_changed = not (configuration.text == in_force == written)
        if is_changed:
            await self._check_ports(configuration)
            self._home.write(configuration)
            await self._reload(configuration, in_force or written)
        closed_count = self._close_unwanted(configuration)
        if is_changed:
            # Last: whoever finds it knows that nothing is left to be done.
            self._home.files.write(IN_FORCE, configuration.text.encode())
        self._home.forget_all_but(configuration.text)
        return Applied(
            entries,
            is_running=True,
            is_changed=is_changed,
            closed_count=closed_count,
            warnings=warnings,
        )

    def _prepare(
        self, links: Links, read: Callable[[str], str]
    ) -> tuple[Configuration, dict[str, Endpoint], tuple[str, ...]]:
        own_text = read(links.certificate) if links.certificate else ""
        pins = read_pins(links, own_text, read) if own_text else {}
        now = self._runtime.calendar.now()
        passages, warnings = read_passages(links, read, now)
        names = [entry_name(*it) for it in links.reached]
        exported = {export.port for export in links.exports}
        ports = assign(names, links.entries, self._home.ports(), exported)
        sections = sections_of(links, ports)
        home = self._home.files.root
        configuration = render(home, sections, own_text, pins, passages)
        self._home.keep_ports(ports)
        entries = {it: Endpoint(links.entries.host, ports[it]) for it in names}
        entries |= {it.name: it.accept for it in links.gateways}
        own = read_own(links.name, own_text) if own_text else None
        return configuration, entries, (*_warn(own, pins, now), *warnings)

    async def _check_ports(self, configuration: Configuration) -> None:
        """A port that is taken makes stunnel close all others, again and again."""
        held = self._stunnel.listening()
        for section in configuration.sections:
            if section.accept in held:
                continue
            address = TcpAddress(section.accept.host, section.accept.port)
            try:
                endpoint = self._runtime.network.server_endpoint(address)
                port: IListeningPort = await endpoint.listen(Factory())
            except Exception as error:
                raise NotTaken(
                    f"{section.accept} of {section.name} cannot be listened at: {error}"
                ) from error
            await maybeDeferred(port.stopListening)

    async def _reload(self, configuration: Configuration, before: str | None) -> None:
        reasons = await self._take({it.accept for it in configuration.sections})
        if not reasons:
            return
        if before is None:
            sentence = "it has no other configuration to go back to"
        else:
            self._home.set_text(before)
            again = await self._take(accepts_named(before))
            sentence = "it has what it had" if not again else "; ".join(again)
        raise NotTaken(f"stunnel: {'; '.join(reasons)}: {sentence}")

    async def _take(self, accepts: set[Endpoint]) -> tuple[str, ...]:
        """Have stunnel read its configuration; why it does not take it, if so.

        One that cannot be bound is read again each second, and most of it is in force
        for a moment each time: so what is seen is looked at twice.
        """
        before = seen = self._stunnel.journal().reading_count
        self._stunnel.reload()
        clock = self._runtime.clock
        late_at = clock.seconds() + RELOAD_SECONDS_MAX
        while clock.seconds() < late_at:
            await deferLater(clock, LOOK_SECONDS)
            journal = self._stunnel.journal()
            if journal.reading_count > before and journal.is_taken is False:
                return tuple(journal.reasons)
            if journal.is_taken and accepts <= set(self._stunnel.listening()):
                if before < seen == journal.reading_count:
                    return ()
                seen = journal.reading_count
        return (f"says nothing for {RELOAD_SECONDS_MAX:g} s",)

    def _close_unwanted(self, configuration: Configuration) -> int:
        allowed = {
            # Who answered a gateway was verified when it did.
            it.name: it.peers if isinstance(it, Section) else None
            for it in configuration.sections
        }
        live = self._stunnel.journal().live.values()
        origins = {it.origin for it in live if is_unwanted(it, allowed)}
        try:
            return self._stunnel.close(origins)
        except CannotClose as error:
            raise NotTaken(
                f"new connections are as wanted, and {len(origins)} of peers that were"
                f" removed go on: the kernel lets nobody close them ({error});"
                " restart stunnel"
            ) from error


def is_unwanted(live: Live, allowed: Mapping[str, Collection[str] | None]) -> bool:
    """Say whether who is at the other end may not be there any more.

    Who has not proved itself yet does that by what was pinned when it came: it too.
    Sections with ``None`` have no peers by name.
    """
    peers = allowed.get(live.section, ())
    if peers is None:
        return False
    return live.subject not in {f"CN={name}" for name in peers}


def read_pins(
    links: Links, own_text: str, read: Callable[[str], str]
) -> Mapping[str, tuple[Pin, ...]]:
    """Return the pins of each peer; ``BadLinks`` names the file that is no good."""
    try:
        own = read_own(links.name, own_text)
    except BadLinks as error:
        raise BadLinks(f"certificate {links.certificate}: {error}") from error
    owners = {own.fingerprint: links.name}
    pins = {}
    for peer in links.peers:
        pinned = []
        for file in peer.certificates:
            try:
                pin = read_pin(peer.name, read(file))
            except BadLinks as error:
                raise BadLinks(f"peers.{peer.name}: {file}: {error}") from error
            owner = owners.setdefault(pin.fingerprint, peer.name)
            if owner != peer.name:
                raise BadLinks(f"peers.{peer.name}: {file} is that of {owner}")
            pinned.append(pin)
        pins[peer.name] = tuple(pinned)
    return pins


def read_passages(
    links: Links, read: Callable[[str], str], now: float
) -> tuple[list[Passage], list[str]]:
    """Return the sections of gateways, and what is to be said of them."""
    passages, warnings = [], []
    for gateway in links.gateways:
        names = ("own.key", "own.crt", "root.crt")
        key, chain, roots = (read(f"{gateway.identity}/{it}") for it in names)
        try:
            end = check_identity(key, chain, roots)
        except BadLinks as error:
            raise BadLinks(
                f"gateways.{gateway.name}: {gateway.identity}: {error}"
            ) from error
        if end <= now:
            warnings.append(
                f"the certificate in {gateway.identity} is over: servers refuse"
                f" gateway {gateway.name}"
            )
        passages.append(passage_of(gateway, key, chain, roots))
    return passages, warnings


def _warn(
    own: Pin | None, pins: Mapping[str, Sequence[Pin]], now: float
) -> Iterator[str]:
    if own is not None and own.is_late(now):
        days = (own.expires_at - now) / 86400
        end = f"ends in {days:.0f} days" if days > 0 else "is over: peers refuse it"
        yield f"the certificate of this site {end}"
    for name, pinned in pins.items():
        # One of an authority stands for each that its peer has had since.
        if not any(it.is_valid(now) or not it.is_own_issuer for it in pinned):
            yield f"{name} has no certificate that is valid now: its links are refused"
