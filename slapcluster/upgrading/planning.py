"""Core. What is done next so that the master takes up another release.

``plan_next_step`` says it, given what is seen. Nothing is remembered: whoever is killed
types the same again, sees how things are, and goes on. Each step may be done again.

1. The release is pushed, if there is a directory, until most regions serve it.
2. It is supplied to each computer that has the release of now, or an instance of it.
3. It is built on all of them before anything is requested: what does not build stops
   here, and the master runs what it ran.
4. The root instance is requested with it, and with all that it has.
5. Its instances take it up, one region after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from attrs import evolve, frozen

from slap.reports import ComputerReport, InstallationReport, TreeReport
from slapcluster.hosting.rolling import LEG_KEY, RELEASE_KEY, SETTLED_KEY
from slapcluster.settling import MESSAGE_WIDTH_MAX, find_installation, log_end
from slapcluster.tables import fold
from slapcluster.upgrading.rolled import (
    InstanceRolled,
    holding,
    hosts_of,
    is_supplied,
    rolled,
)


class Verb(StrEnum):
    """What a step does."""

    PUSH = "push"
    SUPPLY = "supply"
    BUILD = "wait for build"
    REQUEST = "request"
    ROLL = "wait for roll"
    DONE = "done"


WAITING = frozenset({Verb.BUILD, Verb.ROLL})


class Refused(Exception):
    """Why an upgrade does not go on; the sentence says what to do."""


@frozen
class Step:
    """What to do next; ``subject`` is the computer or instance that it is about.

    ``reason`` is what a wait waits for.
    """

    verb: Verb
    subject: str = ""
    reason: str = ""

    @property
    def about(self) -> str:
        """Return what is told of it; another wait has another one."""
        return f"{self.verb.value} {self.subject}".rstrip()


@frozen
class Target:
    """The release that is wanted; ``fingerprint`` is ``""`` of one without."""

    release_url: str
    fingerprint: str = ""
    has_directory: bool = False


@frozen
class View:
    """All that a step is chosen from.

    ``serving`` are the regions whose replicas serve the release, of ``regions``.
    ``computers`` are those that are to have it. ``changed_at`` is when the root was
    changed last, known since this command requested it. ``failed_before`` has when a
    build was reported that had failed before this command began, by computer.
    """

    tree: TreeReport
    computers: Mapping[str, ComputerReport]
    serving: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    changed_at: float | None = None
    failed_before: Mapping[str, float | None] = {}

    @property
    def is_spread(self) -> bool:
        """Whether most regions serve the release."""
        return 2 * len(self.serving) > len(self.regions)


def plan_next_step(target: Target, view: View) -> Step:
    """Return what to do next; ``Refused`` when nothing is to be done any more."""
    for step in _steps(target, view):
        return step
    return Step(Verb.DONE)


def _steps(target: Target, view: View) -> Iterator[Step]:
    """What is still to be done, in order: but for the first, as far as is known."""
    url = target.release_url
    if target.has_directory and not view.is_spread:
        yield Step(Verb.PUSH, reason=f"{len(view.serving)} regions serve it")
    for computer_id, computer in view.computers.items():
        if not is_supplied(computer, url):
            _check_served(target, view)
            yield Step(Verb.SUPPLY, computer_id)
    for computer_id, computer in view.computers.items():
        yield from _have_built(target, view, computer_id, computer)
    if all(it.is_done for it in rolled(view.tree, url, view.changed_at)):
        return
    if view.changed_at is None:
        yield Step(Verb.REQUEST, view.tree.title)
    if not is_requested(target, view):
        now = view.tree.instances[0].software_release_url
        raise Refused(f"somebody else requested the master with {now} meanwhile")
    yield from _have_rolled(target, view)


def is_requested(target: Target, view: View) -> bool:
    return view.tree.instances[0].software_release_url == target.release_url


def _check_served(target: Target, view: View) -> None:
    """Fail when a computer could build the release from nowhere."""
    if target.fingerprint and not view.serving:
        raise Refused(
            f"no replica serves release {target.fingerprint}, and not every computer"
            " has it: name the directory of it, as `make release` fills it"
        )


def _have_built(
    target: Target, view: View, computer_id: str, computer: ComputerReport
) -> Iterator[Step]:
    found = find_installation(computer, target.release_url)
    if found is None or found.reported_state == "available":
        return
    if found.reported_state == "error" and not _is_old(view, computer_id, found):
        untouched = (
            "The master was asked for it before: go back, or repair the computer."
            if is_requested(target, view)
            else "Nothing was requested: the master runs what it ran."
        )
        raise Refused(
            f"{target.release_url} does not build on {computer_id}:\n"
            f"{log_end(found.message)}\n{untouched}"
        )
    if is_requested(target, view) and computer_id not in hosts_of(view.tree):
        # It is for later; no region waits for it.
        return
    yield Step(Verb.BUILD, computer_id, _build_reason(computer_id, found))


def _is_old(view: View, computer_id: str, found: InstallationReport) -> bool:
    """Whether a failure is that of a build from before; its agent tries again."""
    return (
        computer_id in view.failed_before
        and view.failed_before[computer_id] == found.reported_at
    )


def _build_reason(computer_id: str, found: InstallationReport) -> str:
    if found.reported_state == "building":
        told = fold(found.message, MESSAGE_WIDTH_MAX)
        return f"{computer_id} builds it {told}".rstrip()
    if found.reported_state == "error":
        return (
            f"it failed on {computer_id} before, and its agent tries again:"
            f" {fold(log_end(found.message), MESSAGE_WIDTH_MAX)}"
        )
    return f"{computer_id} begins to build it"


def _have_rolled(target: Target, view: View) -> Iterator[Step]:
    instances = rolled(view.tree, target.release_url, view.changed_at)
    held = holding(instances)
    if held is not None:
        done = sum(it.is_done for it in instances)
        reason = f"{done} of {len(instances)} run it; {describe(held)}"
        yield Step(Verb.ROLL, held.title, reason)


def describe(instance: InstanceRolled) -> str:
    """Say how far an instance is, and where."""
    where = f" on {instance.computer_id}" if instance.computer_id else ""
    return f"{instance.title}{where}: {instance.sentence}"


def predict(target: Target, step: Step, view: View) -> View:
    """Return what is seen when a step was done; what is waited for has come."""
    url = target.release_url
    if step.verb is Verb.PUSH:
        return evolve(view, serving=view.regions)
    if step.verb in {Verb.SUPPLY, Verb.BUILD}:
        computer = view.computers[step.subject]
        reported = "available" if step.verb is Verb.BUILD else ""
        others = tuple(
            it for it in computer.installations if it.software_release_url != url
        )
        found = InstallationReport(url, "available", reported)
        changed = evolve(computer, installations=(*others, found))
        return evolve(view, computers={**view.computers, step.subject: changed})
    root, *regions = view.tree.instances
    if step.verb is Verb.REQUEST:
        changed_at = root.reported_at or 0.0
        root = evolve(root, software_release_url=url, reported_state="")
        tree = evolve(view.tree, instances=(root, *regions))
        return evolve(view, tree=tree, changed_at=changed_at)
    if step.verb is Verb.ROLL:
        instances = tuple(
            evolve(
                it,
                software_release_url=url,
                reported_state=it.requested_state,
                connection_parameters={
                    **it.connection_parameters,
                    RELEASE_KEY: url,
                    SETTLED_KEY: it.parameters.get(LEG_KEY, ""),
                },
            )
            for it in view.tree.instances
        )
        return evolve(view, tree=evolve(view.tree, instances=instances))
    return view


def plan_all_steps(target: Target, view: View) -> tuple[Step, ...]:
    """Return the steps that lead to the end when nothing fails meanwhile."""
    steps: list[Step] = []
    step = plan_next_step(target, view)
    while step.verb is not Verb.DONE and step not in steps:
        steps.append(step)
        view = predict(target, step, view)
        step = plan_next_step(target, view)
    return tuple(steps)
