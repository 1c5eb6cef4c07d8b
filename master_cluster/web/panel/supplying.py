"""Shell. The forms that supply releases to computers, and remove them."""

from __future__ import annotations

from http import HTTPStatus

from master_cluster.answering.checking import CheckedDesk
from master_cluster.answering.desk import Desk
from master_cluster.answering.releases import ReleaseAnswers
from master_cluster.store import documents
from master_cluster.store.cloud import Cloud
from master_cluster.web.panel import addresses
from master_cluster.web.panel.fields import is_address
from master_cluster.web.panel.looking import LookingPages, PageTable
from master_cluster.web.panel.pages import Pages
from master_cluster.web.panel.requesting import STALE_FORM
from master_cluster.web.panel.visits import Visit, page_answer, redirection
from slap.calls import HttpAnswer
from slap.errors import BadRequest, NotFound
from slap.model import SoftwareInstallation, SupplyState
from slap.reports import InstallationReport

_BAD = HTTPStatus.BAD_REQUEST.value


class SupplyingPages:
    """Forms about releases."""

    def __init__(self, desk: Desk, pages: Pages, looking: LookingPages) -> None:
        self._desk = desk
        self._pages = pages
        self._looking = looking

    def table(self) -> PageTable:
        return {"supply": self._supply, "remove": self._remove}

    async def _supply(self, visit: Visit) -> HttpAnswer:
        if visit.form is None:
            raise NotFound("there is no page here")
        computer_id = visit.form.text("computer_id")
        typed_url = visit.form.raw("url").strip()
        error = STALE_FORM if not visit.is_confirmed else ""
        try:
            url = visit.form.text("url").strip()
        except BadRequest as refusal:
            error = refusal.sentence
        else:
            if not is_address(url):
                error = "needed: an address, such as https://..."
        if error:
            return await self._looking.show_computer(
                visit, computer_id, typed_url=typed_url, error=error, status=_BAD
            )
        await self._answer(SoftwareInstallation(url, computer_id))
        return redirection(addresses.computer(computer_id, "supplied"))

    async def _remove(self, visit: Visit) -> HttpAnswer:
        named = visit.query if visit.form is None else visit.form
        computer_id, url = named.text("computer_id"), named.text("url")
        installation = await self._installation(computer_id, url)
        if visit.form is None or not visit.is_confirmed:
            error = "" if visit.form is None else STALE_FORM
            text = self._pages.removal(computer_id, installation, visit.token, error)
            return page_answer(text, _BAD if error else HTTPStatus.OK.value)
        await self._answer(
            SoftwareInstallation(url, computer_id, SupplyState.DESTROYED)
        )
        return redirection(addresses.computer(computer_id, "removed"))

    async def _installation(self, computer_id: str, url: str) -> InstallationReport:
        report = await self._desk.read(documents.report_of_computer, computer_id)
        for it in report.installations:
            if it.software_release_url == url:
                return it
        raise NotFound(f"{url} is not supplied to {computer_id}")

    async def _answer(self, wanted: SoftwareInstallation) -> None:
        """Supply; a removal only of what is there still."""

        def check(cloud: Cloud) -> None:
            url, computer_id = wanted.software_release_url, wanted.computer_id
            is_removal = wanted.requested_state is SupplyState.DESTROYED
            if is_removal and cloud.installation(url, computer_id) is None:
                raise NotFound(f"{url} is not supplied to {computer_id}")

        answers = ReleaseAnswers(CheckedDesk(self._desk, check))
        await answers.table()["supplySupply"](installation=wanted)
