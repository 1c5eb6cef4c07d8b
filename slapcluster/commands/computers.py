"""Shell. ``computer``: the machines that offer partitions."""

from __future__ import annotations

import shlex

import click

from slap.placement import ATTRIBUTE_KEYS
from slap.reports import InstanceReport
from slapcluster.commands.options import EARLIER
from slapcluster.commands.usage import usage
from slapcluster.documents import document_of
from slapcluster.outcomes import CommandFailed, ExitCode
from slapcluster.parameters import parse_pairs
from slapcluster.report_views import log_ends, reports_table, subjects_of_computer
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line
from slapcluster.usage_views import usage_table
from slapcluster.views import (
    attributes_table,
    computers_table,
    installations_table,
    instances_table,
    partitions_table,
)


@click.group()
def computer() -> None:
    """Computers: the machines that offer partitions."""


computer.add_command(usage)


@computer.command(
    "list",
    epilog="JSON: [{computer_id, partition_count, free_count, installation_count, "
    "failing_count}].",
)
@pass_session
def list_computers(session: Session) -> None:
    """List the computers."""
    cloud = session.ask(lambda master: master.cloud())
    session.answer(document_of(cloud.computers), computers_table(cloud.computers))


@computer.command(
    epilog="JSON: {computer_id, address, partitions: [{partition_id, addresses, "
    "requested_state, title, root_title, reported_state, message, capabilities, "
    "reported_at, earlier}], installations: [{software_release_url, requested_state, "
    "reported_state, message, reported_at, earlier}], attributes, "
    "usage_document_count, last_usage: as computer usage, or null}; the titles of a "
    f"free partition are null. {EARLIER}"
)
@click.argument("computer_id")
@pass_session
def info(session: Session, computer_id: str) -> None:
    """Show a computer: releases, partitions, what it reported last, attributes.

    Of what fails now, the end of the log; of its usage, the last document.
    """
    report = session.ask(lambda master: master.computer(computer_id))
    subjects = subjects_of_computer(report)
    session.answer(
        document_of(report),
        installations_table(report),
        partitions_table(report),
        reports_table(subjects),
        attributes_table(report),
        usage_table((report.last_usage,) if report.last_usage else ()),
    )
    session.add_text(log_ends(subjects))


@computer.command(
    "set", epilog=f"Keys: {', '.join(ATTRIBUTE_KEYS)}. JSON: as computer info."
)
@click.argument("computer_id")
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--unset", "removed_keys", multiple=True, metavar="KEY", help="Forget an attribute."
)
@pass_session
def set_attributes(
    session: Session,
    computer_id: str,
    pairs: tuple[str, ...],
    removed_keys: tuple[str, ...],
) -> None:
    """Say where a computer is and what it is made of, for conditions on placement."""
    said = {
        **dict.fromkeys(removed_keys, ""),
        **parse_pairs(pairs, "computer set"),
    }
    report = session.ask(
        lambda master: master.set_computer_attributes(computer_id, said)
    )
    session.answer(document_of(report), attributes_table(report))


@computer.command("request", epilog="JSON: {computer_id, title}.")
@click.argument("title")
@pass_session
def request_computer(session: Session, title: str) -> None:
    """Register a computer: the answer is the id that its agent is to use.

    The same title again is the same computer.
    """
    registered = session.ask(lambda master: master.register_computer(title))
    session.answer(
        {"computer_id": registered.computer_id, "title": title},
        Table(("computer", "title"), (line(registered.computer_id, title),)),
    )


@computer.command(epilog="JSON: {token, purpose}.")
@click.option(
    "--person",
    "is_for_person",
    is_flag=True,
    help="For `slapos configure client`, not for `slapos node register`.",
)
@pass_session
def token(session: Session, *, is_for_person: bool) -> None:
    """Make a token: whoever has it gets one certificate, within 24 hours."""
    purpose = "person" if is_for_person else "computer"
    made = session.ask(lambda master: master.token(purpose))
    session.answer(
        {"token": made, "purpose": purpose},
        Table(("token", "good for"), (line(made, purpose),)),
    )


@computer.command(
    "give-up",
    epilog="JSON: {computer_id, placed: [{title, root_title, partition}], unplaced: "
    "[the same]}. Exit codes: 0 all have a place, 2 some have none; repeat it then.",
)
@click.argument("computer_id")
@click.option(
    "--never-comes-back",
    is_flag=True,
    help="Say that you know so: nobody else can.",
)
@pass_session
def give_up(session: Session, computer_id: str, *, never_comes_back: bool) -> int:
    """Have the instances of a computer that is lost begin anew on others.

    Each gets a partition that meets the conditions of its request, and begins there
    with nothing. The computer offers no partition any more, and its certificate is
    revoked; should it come back after all, its agent has to join anew.
    """
    if not never_comes_back:
        report = session.ask(lambda master: master.computer(computer_id))
        titles = sorted(it.title for it in report.partitions if it.title)
        raise CommandFailed(
            f"{computer_id} has {', '.join(titles) or 'no instance'}: each would begin"
            " anew elsewhere, without its files. If the computer is lost for good say"
            " --never-comes-back."
        )
    tree = session.ask(lambda master: master.give_up_computer(computer_id))
    unplaced = [it for it in tree.instances if _is_on(it, computer_id)]
    placed = [it for it in tree.instances if it not in unplaced]
    session.answer(
        {
            "computer_id": computer_id,
            "placed": [_placed(it) for it in placed],
            "unplaced": [_placed(it) for it in unplaced],
        },
        instances_table(tree),
    )
    for it in unplaced:
        words = (it.title, *(("--root", it.root_title) if it.requester_title else ()))
        session.add_text(
            f"{it.title} has no place yet: `slapcluster why {shlex.join(words)}` says"
            " why; repeat the command when that is mended."
        )
    return ExitCode.PENDING if unplaced else ExitCode.DONE


def _is_on(instance: InstanceReport, computer_id: str) -> bool:
    key = instance.partition
    return key is not None and key.computer_id == computer_id


def _placed(instance: InstanceReport) -> dict[str, object]:
    return {
        "title": instance.title,
        "root_title": instance.root_title,
        "partition": document_of(instance.partition),
    }


@computer.command(epilog="JSON: {computer_id, message}.")
@click.argument("computer_id")
@click.option(
    "--message", default="asked by a person", show_default=True, help="The reason."
)
@pass_session
def bang(session: Session, computer_id: str, message: str) -> None:
    """Ask a computer to process all its partitions again."""
    session.ask(lambda master: master.bang_computer(computer_id, message))
    session.answer({"computer_id": computer_id, "message": message})
