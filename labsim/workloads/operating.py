"""Core. What operators do: releases on computers, attributes, bangs, usage."""

from __future__ import annotations

from labsim.history import UNREPORTED
from labsim.workloads.estate import Estate
from labsim.workloads.kind import Work, look_at_computer
from labsim.workloads.operation import Operation
from slap import calls
from slap.calls import Call
from slap.model import SoftwareInstallation, SupplyState
from slap.reports import ComputerReport
from slap.tioxml import encode_journal
from slap.usage import Arrow, Journal, JournalEntry, Movement, UsageList

SPARE_RELEASE = "http://releases.example/spare.cfg"
"""A release that no instance needs, so that it may come and go."""

BANG = ""
"""A bang wants nothing that could be found again."""

KEPT = "kept"
"""What is wanted of a usage document: each is a subject of its own."""

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
    subject = f"usage {estate.number('usage')}"
    return estate.operation(at, "use", subject, KEPT, computer)


def _call_usage(operation: Operation) -> Call:
    entry = JournalEntry(
        kind="Sale Packing List",
        start_date="",
        stop_date=operation.subject,
        reference=operation.place,
        currency="",
        payment_mode="",
        arrows=(Arrow("Administration"),),
        movements=(Movement("service_module/cpu_load", "1", "0.0", "None"),),
        title="Resource consumptions",
    )
    return calls.send_usage(operation.place, encode_journal(Journal((entry,))))


def _find_supplied(_: Operation, report: object) -> str:
    assert isinstance(report, ComputerReport)
    states = {it.software_release_url: it.reported_state for it in report.installations}
    return states.get(SPARE_RELEASE, SupplyState.DESTROYED.value) or UNREPORTED


def _find_group(_: Operation, report: object) -> str:
    assert isinstance(report, ComputerReport)
    return report.attributes.get("group", "")


def _find_kept(operation: Operation, usage: object) -> str:
    assert isinstance(usage, UsageList)
    dates = [it.stop_date for it in usage.documents]
    return (
        KEPT
        if dates.count(operation.subject) == 1
        else f"kept {dates.count(operation.subject)} times"
    )


SUPPLY = Work(
    "supply",
    "supplies",
    _draw_supply,
    _call_supply,
    look=look_at_computer,
    found=_find_supplied,
)
OPERATE = Work(
    "operate",
    "operator_commands",
    _draw_command,
    _call_command,
    look=look_at_computer,
    found=_find_group,
)
USE = Work(
    "use",
    "usage_documents",
    _draw_usage,
    _call_usage,
    look=lambda operation: calls.list_usage(operation.place),
    found=_find_kept,
)
