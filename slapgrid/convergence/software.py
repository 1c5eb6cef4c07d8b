"""Core. Which releases to build and to remove, and what to say of them."""

from __future__ import annotations

from collections.abc import Collection

from slap.model import Computer, SupplyState
from slapgrid.convergence.draft import Draft
from slapgrid.convergence.plans import (
    BuildSoftware,
    Plan,
    RecordBuilt,
    RemoveSoftware,
    ReportSoftware,
    UploadSoftware,
    Verdict,
)
from slapgrid.convergence.retrying import Effort, RetryMemory, Stage
from slapgrid.convergence.views import LocalRelease, LocalView

#: How often it is looked again who uses a release that waits to be removed.
LOOK_AGAIN_SECONDS = 60.0


def plan_software(
    desired: Computer,
    observed: LocalView,
    memory: RetryMemory,
    now: float,
    only: Collection[str] | None = None,
) -> Plan:
    """Build what is supplied, remove what is not wanted any more, say so.

    ``only`` are the URLs of the releases to plan for, all when there are none.
    """
    draft = Draft(memory, now)
    for installation in sorted(
        desired.installations, key=lambda each: each.software_release_url
    ):
        url = installation.software_release_url
        if only is not None and url not in only:
            continue
        release = observed.releases.get(url, LocalRelease(url))
        if installation.requested_state is SupplyState.AVAILABLE:
            _plan_build(draft, release)
        else:
            _plan_removal(draft, desired, release)
    return draft.finished()


def _plan_build(draft: Draft, release: LocalRelease) -> None:
    url = release.software_release_url
    if release.is_completed:
        draft.report_software(url, Verdict.AVAILABLE)
        if release.is_upload_due:
            # After the report: nothing waits for it, and it fails for no one.
            draft.add(UploadSoftware(url))
        return
    if draft.memory.stage(url, "") is Stage.BUILT:
        draft.report_software(url, Verdict.AVAILABLE)
        last = draft.memory.reported.get(url)
        if last is not None and last.text == Verdict.AVAILABLE:
            draft.add(RecordBuilt(url))
        return
    position = len(draft.actions)
    if draft.add(BuildSoftware(url)):
        draft.actions.insert(position, ReportSoftware(url, Verdict.BUILDING))
        return
    failure = draft.failure(Effort.BUILD, url)
    assert failure is not None, "only a failure delays a build"
    draft.say(f"{url} did not build, {failure.failure_count} times")
    draft.report_software(url, Verdict.ERROR, failure.message)


def _plan_removal(draft: Draft, desired: Computer, release: LocalRelease) -> None:
    url = release.software_release_url
    users = [
        partition.key.partition_id
        for partition in desired.partitions
        if partition.instance is not None
        and partition.instance.software_release_url == url
    ]
    if release.is_present:
        # An instance that was asked to run from another release still runs from this
        # one until that is built and the instance is installed from it.
        users += release.users
    if users:
        # The master asks too early; what runs from the release must not lose it.
        draft.say(f"{url} stays while {users[0]} uses it")
        draft.wake(draft.now + LOOK_AGAIN_SECONDS)
    elif release.is_present:
        draft.add(RemoveSoftware(url))
    else:
        draft.report_software(url, Verdict.DESTROYED)
