"""Core. What operators do: releases on computers, attributes, bangs, usage."""

from __future__ import annotations

from labsim.workloads.estate import Estate
from labsim.workloads.kind import Work
from labsim.workloads.operation import Operation
from slap import calls
from slap.calls import Call
from slap.model import SoftwareInstallation, SupplyState
from slap.tioxml import encode_journal
from slap.usage import Arrow, Journal, JournalEntry, Movement

SPARE_RELEASE = "http://releases.example/spare.cfg"
"""A release that no instance needs, so that it may come and go."""

BANG = ""
"""A bang wants nothing that could be found again."""

GROUPS = ("east", "west")


def _draw_supply(estate: Estate, at: float) -> Operation:
    computer = estate.computer()
    wanted = estate.entropy.choice(tuple(SupplyState)).value
    return estate.operation(at, "supply", f"spare@{computer}", wanted, computer)


def _call_supply(operation: Operation) -> Call:
    wanted = SupplyState(operation.wanted)
    return calls.supply(SoftwareInstallation(SPARE_RELEASE, operation.place, wanted))


def _draw_command(estate: Estate, at: float) -> Operation:
    computer = estate.computer()
    wanted = estate.entropy.choice((BANG, *GROUPS))
    return estate.operation(at, "operate", f"group@{computer}", wanted, computer)


def _call_command(operation: Operation) -> Call:
    computer = operation.place
    if operation.wanted == BANG:
        return calls.bang_computer(computer, "drawn")
    return calls.set_computer_attributes(computer, {"group": operation.wanted})


def _draw_usage(estate: Estate, at: float) -> Operation:
    computer = estate.computer()
    wanted = str(estate.number(f"usage of {computer}"))
    return estate.operation(at, "use", f"usage@{computer}", wanted, computer)


def _call_usage(operation: Operation) -> Call:
    entry = JournalEntry(
        kind="Sale Packing List",
        start_date="",
        stop_date=f"day {operation.wanted}",
        reference=operation.place,
        currency="",
        payment_mode="",
        arrows=(Arrow("Administration"),),
        movements=(Movement("service_module/cpu_load", "1", "0.0", "None"),),
        title="Resource consumptions",
    )
    return calls.send_usage(operation.place, encode_journal(Journal((entry,))))


SUPPLY = Work("supply", _draw_supply, _call_supply)
OPERATE = Work("operate", _draw_command, _call_command)
USE = Work("use", _draw_usage, _call_usage)
