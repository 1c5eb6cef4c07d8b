"""Shell. Each page as a function of what it shows."""

from __future__ import annotations

from collections.abc import Sequence

from master_cluster.paging import Page
from master_cluster.records import RefusalRecord
from master_cluster.web.panel.fields import InstanceForm
from master_cluster.web.panel.nesting import Nested
from master_cluster.web.panel.templating import Templates
from master_cluster.web.panel.versions import Difference
from master_cluster.web.panel.words import DONE_SENTENCES
from slap.reports import (
    AllocationReport,
    ComputerReport,
    ComputerSummary,
    InstallationReport,
    InstanceReport,
    PartitionReport,
    TreeSummary,
)


class Pages:
    """Renders values; asks nobody."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    def overview(
        self,
        computers: Page[ComputerSummary],
        trees: Page[TreeSummary],
        refusals: Sequence[RefusalRecord],
    ) -> str:
        return self._render(
            "overview.html", computers=computers, trees=trees, refusals=refusals
        )

    def computers(self, computers: Page[ComputerSummary], sought: str) -> str:
        return self._render("computers.html", computers=computers, sought=sought)

    def computer(
        self,
        report: ComputerReport,
        partitions: Page[PartitionReport],
        sought: str,
        token: str,
        *,
        done: str = "",
        heard_at: float | None = None,
        typed_url: str = "",
        error: str = "",
    ) -> str:
        return self._render(
            "computer.html",
            report=report,
            partitions=partitions,
            sought=sought,
            token=token,
            done=DONE_SENTENCES.get(done, ""),
            heard_at=heard_at,
            typed_url=typed_url,
            error=error,
        )

    def trees(self, trees: Page[TreeSummary], sought: str, done: str = "") -> str:
        sentence = DONE_SENTENCES.get(done, "")
        return self._render("trees.html", trees=trees, sought=sought, done=sentence)

    def tree(
        self,
        root: InstanceReport,
        instances: Page[Nested],
        sought: str,
        token: str,
        done: str = "",
    ) -> str:
        return self._render(
            "tree.html",
            root=root,
            instances=instances,
            sought=sought,
            token=token,
            done=DONE_SENTENCES.get(done, ""),
        )

    def instance(self, report: InstanceReport) -> str:
        return self._render("instance.html", report=report)

    def why(self, report: AllocationReport) -> str:
        return self._render("why.html", report=report)

    def new_instance(self, form: InstanceForm, token: str, error: str = "") -> str:
        return self._render("request.html", form=form, token=token, error=error)

    def change(
        self,
        form: InstanceForm,
        token: str,
        error: str = "",
        differences: Sequence[Difference] = (),
    ) -> str:
        return self._render(
            "change.html", form=form, token=token, error=error, differences=differences
        )

    def destruction(
        self,
        root: InstanceReport,
        instance_count: int,
        token: str,
        error: str = "",
    ) -> str:
        return self._render(
            "destroy.html",
            root=root,
            instance_count=instance_count,
            token=token,
            error=error,
        )

    def removal(
        self,
        computer_id: str,
        installation: InstallationReport,
        token: str,
        error: str = "",
    ) -> str:
        return self._render(
            "remove.html",
            computer_id=computer_id,
            installation=installation,
            token=token,
            error=error,
        )

    def refusal(self, status: int, sentence: str) -> str:
        """Render why there is no page."""
        return self._render("refusal.html", status=status, sentence=sentence)

    def _render(self, name: str, **values: object) -> str:
        return self._templates.render(name, values)
