"""Core. The calendar of certificates, for people: what is due, and who does what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from types import MappingProxyType

from attrs import frozen

from runtime.holdings import UNSIGNED, CalendarEntry, Holding
from slapcluster.instants import show_instant
from slapcluster.tables import Table, fold, line

PROBLEM_WIDTH_MAX = 60


class Outlook(StrEnum):
    """How a certificate stands; ``LATE`` is one whose renewal did not come."""

    GOOD = "good"
    DUE = "due"
    LATE = "late"
    WAITING = "waiting"
    USELESS = "useless"


@frozen
class Forecast:
    """A certificate, how it stands, and what a person has to do, ``""`` if nothing."""

    entry: CalendarEntry
    outlook: Outlook
    advice: str


def forecast(
    entries: Collection[CalendarEntry], now: float, home: str
) -> tuple[Forecast, ...]:
    """Say of each certificate of a directory what is to be done."""
    is_signing = any(it.holding is Holding.REGION and not it.problem for it in entries)
    found = []
    for it in entries:
        outlook = _outlook(it, now)
        advice = ""
        if outlook is not Outlook.GOOD:
            advise = _OF_HOLDING[it.holding]
            advice = advise(it, outlook, home, is_signing)
        found.append(Forecast(it, outlook, advice))
    return tuple(found)


def _outlook(entry: CalendarEntry, now: float) -> Outlook:
    if entry.problem == UNSIGNED:
        return Outlook.WAITING
    if entry.problem:
        return Outlook.USELESS
    if entry.is_late(now):
        return Outlook.LATE
    return Outlook.DUE if entry.is_due(now) else Outlook.GOOD


def _of_root(_: CalendarEntry, __: Outlook, ___: str, ____: bool) -> str:
    return "make a new root, and new certificates of all"


def _of_region(entry: CalendarEntry, _: Outlook, home: str, __: bool) -> str:
    name = entry.name.removeprefix("region ") or "NAME"
    return (
        f"`slapcluster authority request region {name} --home {home}`, then sign it "
        "with the root and install it"
    )


def _of_own(entry: CalendarEntry, outlook: Outlook, home: str, is_signing: bool) -> str:
    role, _, name = entry.identity.removeprefix("urn:slapcluster:").partition(":")
    is_computer = role == "computer"
    if outlook is Outlook.DUE and (is_computer or is_signing):
        return ""
    if outlook is Outlook.LATE and is_computer:
        return "its agent cannot renew it: look at the log of `slapgrid run`"
    if is_computer:
        return "join again with a new token: `slapcluster node join`"
    asked = f"{role or 'ROLE'} {name or 'NAME'} --home {home}"
    options = "".join(f" --address {it}" for it in entry.addresses)
    again = f"`slapcluster authority request {asked}{options}`"
    return again if is_signing else f"{again}, then sign it with its region"


_OF_HOLDING: Mapping[Holding, Callable[[CalendarEntry, Outlook, str, bool], str]] = (
    MappingProxyType(
        {Holding.ROOT: _of_root, Holding.REGION: _of_region, Holding.OWN: _of_own}
    )
)


def calendar_table(forecasts: Collection[Forecast]) -> Table:
    """Who, by whom, from when to when, and how it stands."""
    return Table(
        ("file", "of", "signed by", "from", "until", "renewed from", "is"),
        tuple(
            line(
                it.entry.holding.chain_name,
                it.entry.identity.removeprefix("urn:slapcluster:") or it.entry.name,
                it.entry.issuer,
                show_instant(it.entry.starts_at),
                show_instant(it.entry.expires_at),
                show_instant(it.entry.renew_at),
                it.outlook,
            )
            for it in forecasts
        ),
        title="Certificates",
    )


def calendar_sentences(forecasts: Collection[Forecast]) -> str:
    """What is wrong, and what to do, one sentence a line."""
    sentences = []
    for it in forecasts:
        if it.outlook is Outlook.USELESS:
            sentences.append(f"{fold(it.entry.problem, 2 * PROBLEM_WIDTH_MAX)}.")
        if it.advice:
            sentences.append(f"{it.entry.holding.chain_name}: {it.advice}.")
    return "\n".join(sentences)
