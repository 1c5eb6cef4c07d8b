"""Shell. The table of all answers.

It names every method of ``slap.methods``: one without an answer, or an answer without a
method, keeps the master from starting.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from master_cluster.answering.admissions import AdmissionAnswers
from master_cluster.answering.certificates import CertificateAnswers
from master_cluster.answering.computers import ComputerAnswers
from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.answering.forwarder import Forwarder
from master_cluster.answering.instances import InstanceAnswers
from master_cluster.answering.products import ProductAnswers
from master_cluster.answering.pushes import PushAnswers, find_named
from master_cluster.answering.registrations import RegistrationAnswers
from master_cluster.answering.releases import ReleaseAnswers
from master_cluster.answering.replicas import ReplicaAnswers
from master_cluster.answering.reports import ReportAnswers
from master_cluster.answering.rpc_computers import RpcComputerAnswers
from master_cluster.answering.rpc_instances import RpcInstanceAnswers
from master_cluster.answering.statuses import StatusAnswers
from master_cluster.answering.transfer import StandingWatch, TransferAnswers
from master_cluster.answering.usage import UsageAnswers
from master_cluster.doubts import key_of_call
from master_cluster.remembering import Lasting
from master_cluster.store.outages import StillInDoubt
from slap.calls import Call
from slap.methods import METHODS
from slap.model import ComputerDefinition


class Answers:
    """The methods of SLAP, at a desk."""

    def __init__(
        self,
        desk: Desk,
        forwarder: Forwarder | None = None,
        configured_products: Mapping[str, str] = MappingProxyType({}),
        watch: StandingWatch | None = None,
        pushes: PushAnswers | None = None,
    ) -> None:
        pushes = pushes or PushAnswers(desk.runtime, None, None)
        self._desk = desk
        legacy: AnswerTable = {
            **ComputerAnswers(desk).table(),
            **InstanceAnswers(desk, forwarder).table(),
            **ReleaseAnswers(desk).table(),
            **CertificateAnswers(desk).table(),
            **AdmissionAnswers(desk).table(),
            **UsageAnswers(desk).table(),
            **RegistrationAnswers(desk).table(),
            **StatusAnswers(desk).table(),
            **ProductAnswers(desk, configured_products).table(),
            **ReplicaAnswers(desk).table(),
            **pushes.table(lambda: desk.ask(find_named)),
            **TransferAnswers(desk, watch or StandingWatch(desk)).table(),
            **ReportAnswers(desk).table(),
        }
        self._table: AnswerTable = {
            **legacy,
            **RpcComputerAnswers(desk, legacy).table(),
            **RpcInstanceAnswers(desk, legacy).table(),
        }
        odd = sorted(set(self._table) ^ set(METHODS))
        assert not odd, f"methods on one side only: {', '.join(odd)}"

    async def answer(self, call: Call) -> object:
        """Return the answer to a call; raises the errors of ``slap``."""
        answer = await self.answer_lasting(call)
        return answer.answer if isinstance(answer, Lasting) else answer

    async def answer_lasting(self, call: Call) -> object:
        """Return the same, as ``Lasting`` when it is known what could change it."""
        try:
            answer = await self._table[call.method](**call.arguments)
        except StillInDoubt as doubt:
            raise doubt.named(key_of_call(call.method, call.arguments)) from doubt
        computer_id = speaker(call)
        if computer_id is not None:
            self._desk.contacts.hear(computer_id, self._desk.now())
        return answer


SPOKEN_BY_COMPUTERS = frozenset(
    {
        "getFullComputerInformation",
        "getComputerInformation",
        "loadComputerConfigurationFromXML",
        "computerBang",
        "useComputer",
        "buildingSoftwareRelease",
        "availableSoftwareRelease",
        "destroyedSoftwareRelease",
        "softwareReleaseError",
    }
)
"""Methods that a computer calls in its own name."""


def speaker(call: Call) -> str | None:
    """Return the computer that makes a call, ``None`` when a person does."""
    if call.requester is not None:
        return call.requester.computer_id
    if call.method not in SPOKEN_BY_COMPUTERS:
        return None
    match call.arguments:
        case {"computer_id": str(computer_id)}:
            return computer_id
        case {"definition": ComputerDefinition(computer_id=computer_id)}:
            return computer_id
    return None
