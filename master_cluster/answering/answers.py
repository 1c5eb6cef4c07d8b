"""Shell. The table of all answers.

It names every method of ``slap.methods``: one without an answer, or an answer without a
method, keeps the master from starting.
"""

from __future__ import annotations

from master_cluster.answering.certificates import CertificateAnswers
from master_cluster.answering.computers import ComputerAnswers
from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.answering.instances import InstanceAnswers
from master_cluster.answering.releases import ReleaseAnswers
from master_cluster.answering.reports import ReportAnswers
from master_cluster.answering.usage import UsageAnswers
from slap.calls import Call
from slap.methods import METHODS


class Answers:
    """The methods of SLAP, at a desk."""

    def __init__(self, desk: Desk) -> None:
        self._table: AnswerTable = {
            **ComputerAnswers(desk).table(),
            **InstanceAnswers(desk).table(),
            **ReleaseAnswers(desk).table(),
            **CertificateAnswers(desk).table(),
            **UsageAnswers(desk).table(),
            **ReportAnswers(desk).table(),
        }
        odd = sorted(set(self._table) ^ set(METHODS))
        assert not odd, f"methods on one side only: {', '.join(odd)}"

    async def answer(self, call: Call) -> object:
        """Return the answer to a call; raises the errors of ``slap``."""
        return await self._table[call.method](**call.arguments)
