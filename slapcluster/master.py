"""Shell. The master as commands ask it: typed questions over calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from attrs import frozen

from slap import calls
from slap.calls import Call
from slap.model import (
    Computer,
    InstanceRequest,
    RequestedInstance,
    SoftwareInstallation,
)
from slap.products import ProductReport, ProductsReport
from slap.pushing import (
    FileReport,
    HeldRelease,
    ReleaseOffer,
    ReleasePiece,
    ReleasesReport,
)
from slap.replicas import ListedReplica, ReplicasReport
from slap.reports import AllocationReport, CloudReport, ComputerReport, TreeReport
from slap.statuses import AccessStatus
from slap.transfer import Piece, TransferReport
from slap.usage import UsageList, UsageReport

T = TypeVar("T")


@frozen
class Master:
    """Whoever answers calls, the time that passes between them, and the date.

    Every question raises the errors of ``slap.errors``.
    """

    perform: Callable[[Call], Awaitable[object]]
    pause: Callable[[float], Awaitable[None]]
    seconds: Callable[[], float]
    now: Callable[[], float]

    async def cloud(self) -> CloudReport:
        return await self._ask(CloudReport, calls.get_cloud_report())

    async def computer(self, computer_id: str) -> ComputerReport:
        return await self._ask(ComputerReport, calls.get_computer_report(computer_id))

    async def set_computer_attributes(
        self, computer_id: str, attributes: Mapping[str, str]
    ) -> ComputerReport:
        return await self._ask(
            ComputerReport, calls.set_computer_attributes(computer_id, attributes)
        )

    async def give_up_computer(self, computer_id: str) -> TreeReport:
        return await self._ask(TreeReport, calls.give_up_computer(computer_id))

    async def tree(self, title: str) -> TreeReport:
        return await self._ask(TreeReport, calls.get_tree_report(title))

    async def why(self, title: str, root_title: str) -> AllocationReport:
        return await self._ask(
            AllocationReport, calls.explain_allocation(title, root_title)
        )

    async def usage(self, computer_id: str, since: float, after: str) -> UsageList:
        return await self._ask(UsageList, calls.list_usage(computer_id, since, after))

    async def usage_document(self, computer_id: str, document_id: str) -> UsageReport:
        return await self._ask(
            UsageReport, calls.get_usage_document(computer_id, document_id)
        )

    async def request_instance(self, wanted: InstanceRequest) -> RequestedInstance:
        return await self._ask(RequestedInstance, calls.request_instance(wanted))

    async def supply(self, installation: SoftwareInstallation) -> None:
        await self.perform(calls.supply(installation))

    async def bang_computer(self, computer_id: str, message: str) -> None:
        await self.perform(calls.bang_computer(computer_id, message))

    async def register_computer(self, title: str) -> Computer:
        return await self._ask(Computer, calls.request_computer(title))

    async def token(self, purpose: str) -> str:
        return await self._ask(str, calls.get_token(purpose))

    async def products(self) -> ProductsReport:
        return await self._ask(ProductsReport, calls.get_products())

    async def replicas(self) -> ReplicasReport:
        return await self._ask(ReplicasReport, calls.get_replicas())

    async def forget_replica(self, url: str) -> ReplicasReport:
        return await self._ask(ReplicasReport, calls.forget_replica(url))

    async def releases(self) -> ReleasesReport:
        return await self._ask(ReleasesReport, calls.get_releases_held())

    async def offer_release(self, offer: ReleaseOffer) -> HeldRelease:
        return await self._ask(HeldRelease, calls.offer_release(offer))

    async def receive_release(self, piece: ReleasePiece) -> FileReport:
        return await self._ask(FileReport, calls.receive_release(piece))

    async def forget_release(self, fingerprint: str) -> ReleasesReport:
        return await self._ask(ReleasesReport, calls.forget_release(fingerprint))

    async def computer_status(self, computer_id: str) -> AccessStatus:
        return await self._ask(AccessStatus, calls.get_computer_status(computer_id))

    async def transfer(self) -> TransferReport:
        return await self._ask(TransferReport, calls.get_transfer())

    async def freeze(self) -> TransferReport:
        return await self._ask(TransferReport, calls.freeze())

    async def move(self, replicas: tuple[ListedReplica, ...]) -> TransferReport:
        return await self._ask(TransferReport, calls.move(replicas))

    async def receive(self, piece: Piece) -> TransferReport:
        return await self._ask(TransferReport, calls.receive(piece))

    async def open_received(self, digest: str) -> TransferReport:
        return await self._ask(TransferReport, calls.open_received(digest))

    async def add_product_release(
        self, title: str, software_release_url: str
    ) -> ProductReport:
        return await self._ask(
            ProductReport, calls.add_product_release(title, software_release_url)
        )

    async def remove_product_release(
        self, title: str, software_release_url: str
    ) -> ProductReport:
        return await self._ask(
            ProductReport, calls.remove_product_release(title, software_release_url)
        )

    async def _ask(self, kind: type[T], call: Call) -> T:
        answer = await self.perform(call)
        # The codec of the method gives this type or an error.
        assert isinstance(answer, kind)
        return answer
