"""Core. Whether what was asked for is there, and what is missing otherwise.

Each function returns ``""`` when there is nothing to wait for any more, else one line
about what goes on. A release that fails to build raises: it fails again until somebody
changes something. An instance that fails is waited for: its first passes often fail
while its children are not ready.
"""

from __future__ import annotations

from slap.reports import ComputerReport, InstallationReport, InstanceReport, TreeReport
from slapcluster.outcomes import CommandFailed
from slapcluster.tables import fold

MESSAGE_WIDTH_MAX = 60
"""What of a message fits beside a progress bar."""

MICROSECONDS = 1_000_000

LOG_LINES_MAX = 40
"""How much of the end of a log explains a failure; the whole is on the computer."""


def find_installation(
    report: ComputerReport, software_release_url: str
) -> InstallationReport | None:
    for installation in report.installations:
        if installation.software_release_url == software_release_url:
            return installation
    return None


def supply_activity(report: ComputerReport, software_release_url: str) -> str:
    """Tell how far a release is from being available."""
    installation = find_installation(report, software_release_url)
    if installation is None:
        raise CommandFailed(f"{software_release_url} is not supplied any more.")
    if installation.reported_state == "available":
        return ""
    if installation.reported_state == "error":
        raise CommandFailed(
            f"{software_release_url} does not build on {report.computer_id}:\n"
            + log_end(installation.message)
        )
    if installation.reported_state == "building":
        return f"building {fold(installation.message, MESSAGE_WIDTH_MAX)}".rstrip()
    return f"waiting for {report.computer_id} to begin"


def removal_activity(report: ComputerReport, software_release_url: str) -> str:
    """Tell how far a release is from being gone."""
    installation = find_installation(report, software_release_url)
    if installation is None or installation.reported_state == "destroyed":
        return ""
    return f"waiting for {report.computer_id} to remove it"


def tree_activity(tree: TreeReport, changed_at: float | None) -> str:
    """Tell which instances are not in the state that is wanted of them.

    Reports of the root from before ``changed_at`` speak of what it was.
    """
    waited_for = []
    for index, instance in enumerate(tree.instances):
        since = changed_at if index == 0 else None
        activity = instance_activity(instance, since)
        if activity:
            waited_for.append(f"{instance.title} {activity}")
    if not tree.instances:
        return "waiting for the first instance"
    if not waited_for:
        return ""
    settled_count = len(tree.instances) - len(waited_for)
    return f"{settled_count} of {len(tree.instances)} ready; " + waited_for[0]


def instance_activity(instance: InstanceReport, changed_at: float | None) -> str:
    """Tell how far an instance is from its requested state."""
    if instance.partition is None:
        return "waits for a partition"
    if instance.is_shared or instance.master_url:
        # What its computer reports is told to the other master, and not to ours.
        is_there = instance.connection_parameters or instance.master_url
        return "" if is_there else "waits for its host"
    if instance.reported_state == "error":
        return f"fails: {fold(instance.message, MESSAGE_WIDTH_MAX)}"
    if instance.reported_state != instance.requested_state:
        return f"to be {instance.requested_state}"
    reported_at = instance.reported_at
    if changed_at is not None and reported_at is not None and reported_at < changed_at:
        return "to be changed"
    return ""


def changed_at_of(timestamp: str | None) -> float | None:
    """Return when an instance was last changed, by a master that counts microseconds.

    To nodes a timestamp is opaque; this is a courtesy of our master to its people.
    """
    if timestamp is None or not timestamp.isdecimal():
        return None
    return int(timestamp) / MICROSECONDS


def log_end(log: str) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.rstrip().splitlines()[-LOG_LINES_MAX:])


def gone_activity(tree: TreeReport) -> str:
    """Tell what is left of a tree that is destroyed."""
    left = [it for it in tree.instances if it.partition is not None]
    if not left:
        return ""
    partition = left[0].partition
    assert partition is not None
    return (
        f"{len(left)} instances left; {left[0].title} still in "
        f"{partition.computer_id}/{partition.partition_id}"
    )
