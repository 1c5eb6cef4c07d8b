"""How a computer stands, from its own files."""

from __future__ import annotations

import pytest

from labsim.models.buildout import BuildoutModel, simulated_platform
from labsim.world.world import World
from slapcluster.standing_views import standing_sentences, standing_tables
from slapgrid.convergence.retrying import Effort
from slapgrid.convergence.views import ProgramState
from slapgrid.standing import Standing
from slapgrid.status import observe_standing
from tests.unit.slapgrid.test_agent_in_world import URL, SmallCloud


def look(cloud: SmallCloud) -> Standing:
    assert cloud.supervision is not None
    runtime = cloud.computer.runtime
    tree = runtime.file_tree(cloud.config.instance_root)
    tree.write("sv.sock", b"")
    return cloud.world.result(
        observe_standing(cloud.config, runtime, simulated_platform(), cloud.supervision)
    )


@pytest.fixture
def cloud() -> SmallCloud:
    return SmallCloud(World(seed=20261121))


def test_what_runs_and_what_is_there_is_shown(cloud: SmallCloud) -> None:
    """After the agent is gone too: nothing of it is asked."""
    cloud.start_agent()
    cloud.supply()
    cloud.request("first")
    cloud.wait_for("first", "started", 200)
    cloud.world.run_for(5)

    standing = look(cloud)

    first = standing.partitions[0]
    assert [each.program_state for each in first.programs] == [ProgramState.RUNNING]
    assert (first.is_processed, first.error) == (True, "")
    assert [it.software_release_url for it in standing.releases] == [URL]
    assert standing.releases[0].is_completed
    assert {each.kind for each in standing.last_passes} >= {"instance", "software"}
    assert (standing.retries, standing.supervision) == ((), "")
    cloud.finish()


def test_what_is_tried_again_is_shown_with_its_reason_and_time() -> None:
    """A build that failed, and when its turn comes."""
    broken = BuildoutModel(breaks=lambda _: True)
    cloud = SmallCloud(World(seed=20261121), broken)
    cloud.start_agent()
    cloud.supply()
    cloud.request("first")
    cloud.wait_for("first", "error", 400)

    standing = look(cloud)

    (retry,) = [it for it in standing.retries if it.effort is Effort.PROVE]
    assert retry.name == "slappart0"
    assert retry.due_at > retry.tried_at
    assert "it is not alive" in retry.message
    titles = [table.title for table in standing_tables(standing) if table.lines]
    assert "Tried again" in titles
    assert "Promises that are not kept" in titles
    cloud.finish()


def test_a_computer_that_was_never_formatted_has_a_status_too(
    cloud: SmallCloud,
) -> None:
    """Everything is absent, and a sentence says that nothing can be seen."""
    runtime = cloud.computer.runtime
    supervision = cloud.build_supervision(runtime)

    standing = cloud.world.result(
        observe_standing(cloud.config, runtime, simulated_platform(), supervision)
    )

    assert [each.is_formatted for each in standing.partitions] == [False] * 4
    assert standing_sentences(standing) == (
        "No agent runs: what runs goes on, and nothing changes.\n"
        "No program can be seen: supervisord does not run."
    )
