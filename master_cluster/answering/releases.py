"""Shell. How releases are supplied, and what is reported of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.records import ReportedState
from master_cluster.store import decisions
from slap.model import SoftwareInstallation


class ReleaseAnswers:
    """Methods about software installations."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> AnswerTable:
        return {
            "supplySupply": self._supply,
            "buildingSoftwareRelease": self._release_reporter(ReportedState.BUILDING),
            "availableSoftwareRelease": self._release_reporter(ReportedState.AVAILABLE),
            "softwareReleaseError": self._release_reporter(ReportedState.ERROR),
            "destroyedSoftwareRelease": self._report_release_removed,
        }

    async def _supply(self, installation: SoftwareInstallation) -> str:
        await self._desk.decide(lambda cloud, _: decisions.supply(cloud, installation))
        url, wanted = installation.software_release_url, installation.requested_state
        return f"Supplied {url!r} to be {wanted.value}"

    def _release_reporter(
        self, reported_state: ReportedState
    ) -> Callable[..., Awaitable[object]]:
        async def report(
            software_release_url: str, computer_id: str, error_log: str = ""
        ) -> None:
            now = self._desk.now()
            await self._desk.decide(
                lambda cloud, _: decisions.report_release(
                    cloud,
                    software_release_url,
                    computer_id,
                    reported_state,
                    message=error_log,
                    now=now,
                )
            )

        return report

    async def _report_release_removed(
        self, software_release_url: str, computer_id: str
    ) -> None:
        await self._desk.decide(
            lambda cloud, _: decisions.report_release_removed(
                cloud, software_release_url, computer_id
            )
        )
