"""Shell. What is done about releases by hand: shared parts, and the binary cache."""

from __future__ import annotations

from pathlib import Path

import click

from slapcluster.commands.configured import config_option
from slapcluster.printing import print_note
from slapcluster.session import Session, pass_session


@click.command(
    epilog="""Exit codes: 0 done, 1 refused: a build runs, or nothing is shared.

JSON: {is_dry, bytes, parts: [{path, bytes}], notes}."""
)
@config_option
@click.option("--dry-run", "is_dry", is_flag=True, help="Say what would be removed.")
@click.option(
    "--additional-software-directory",
    "additional",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="Another root of releases, or a release, whose parts are kept; repeat it.",
)
@pass_session
def prune(
    session: Session, config_path: Path, is_dry: bool, additional: tuple[str, ...]
) -> None:
    """Remove shared parts that no release and no partition names any more.

    The agent may run; no build may.
    """
    from slapcluster.upkeep import run_prune  # noqa: PLC0415 - loads Twisted

    pruning = run_prune(session.launch, config_path, additional, is_dry=is_dry)
    session.answer(
        {
            "is_dry": is_dry,
            "bytes": pruning.size_bytes,
            "parts": [
                {"path": part.path, "bytes": part.size_bytes} for part in pruning.parts
            ],
            "notes": list(pruning.notes),
        }
    )
    if session.is_json:
        return
    for note in pruning.notes:
        print_note(note)
    for part in pruning.parts:
        click.echo(part.path)
    verb = "would go" if is_dry else "are gone"
    click.echo(f"{len(pruning.parts)} parts, {pruning.size_bytes} bytes, {verb}")


@click.command(
    epilog="""Exit codes: 0 an entry can be used here, 1 none can.

JSON: {entries: [{sha512, software_root, multiarch, os, refusal}]}."""
)
@config_option
@click.argument("software_release_url")
@pass_session
def cachelookup(session: Session, config_path: Path, software_release_url: str) -> int:
    """Say what the binary cache has about a release, and why it is not used here."""
    from slapcluster.upkeep import run_look_up  # noqa: PLC0415 - loads Twisted

    findings = run_look_up(session.launch, config_path, software_release_url)
    entries = [
        {
            "sha512": each.release.sha512,
            "software_root": each.release.software_root,
            "multiarch": each.release.machine.multiarch,
            "os": " ".join(each.release.machine.system),
            "refusal": each.refusal,
        }
        for each in findings
        if each.release is not None
    ]
    session.answer({"entries": entries})
    if not session.is_json:
        for entry in entries:
            click.echo(
                f"{str(entry['sha512'])[:16]} {entry['multiarch']} {entry['os']}: "
                f"{entry['refusal'] or 'can be used'}"
            )
        if not entries:
            click.echo("the cache knows nothing of this release")
    return 0 if any(entry["refusal"] is None for entry in entries) else 1


@click.command(
    epilog="""Exit codes: 0 done, 1 failed, 3 the master is away.

JSON: {releases: [{directory, url, absent_seconds, is_due, users}]}."""
)
@config_option
@pass_session
def unsupplied(session: Session, config_path: Path) -> None:
    """List releases that nobody supplies any more: when they go, and what keeps them.

    Removes nothing: `software` and `run` do.
    """
    from slapcluster.upkeep import run_unsupplied  # noqa: PLC0415 - loads Twisted

    seen = run_unsupplied(session.launch, config_path)
    releases = [
        {
            "directory": each.release.directory,
            "url": each.release.software_release_url,
            "absent_seconds": round(each.absent_seconds),
            "is_due": each.is_due,
            "users": list(each.release.users or ()),
        }
        for each in seen
    ]
    session.answer({"releases": releases})
    if session.is_json:
        return
    for each in seen:
        name = each.release.software_release_url or each.release.directory
        click.echo(f"{name}: {each.sentence}")
    if not seen:
        click.echo("every release is supplied")
