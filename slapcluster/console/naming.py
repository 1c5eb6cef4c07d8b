"""Shell. The names of the console: ``request``, ``supply``, ``slap`` and the others.

Functions and methods have the names and the keywords of the stock console, so that
what was written for it goes on working.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar

from attrs import frozen

from slap import calls
from slap.errors import BadRequest, NotFound, NotReady, SlapError
from slap.model import (
    Computer,
    InstanceRequest,
    PartitionKey,
    RequestedState,
    SoftwareInstallation,
    SupplyState,
)
from slap.products import ReleaseQuestion
from slap.reports import TreeReport
from slapcluster.console.connecting import Perform
from slapcluster.console.instances import (
    Instance,
    Release,
    find_instance,
    request_instance,
    sight_of,
)
from slapcluster.tables import render_plain
from slapcluster.views import connection_table, instances_table

S = TypeVar("S", RequestedState, SupplyState)


class ConsoleComputer:
    """A computer; each method asks the master how it stands now."""

    def __init__(self, perform: Perform, computer_id: str) -> None:
        self._perform = perform
        self.computer_id = computer_id

    def getId(self) -> str:
        return self.computer_id

    def getComputerPartitionList(self) -> list[Instance]:
        return [
            find_instance(self._perform, it.key).refresh()
            for it in self._look().partitions
        ]

    def getSoftwareReleaseList(self) -> list[Release]:
        return [
            Release(it.software_release_url, it.computer_id, str(it.requested_state))
            for it in self._look().installations
        ]

    def getStatus(self) -> object:
        return self._perform(calls.get_computer_status(self.computer_id))

    def bang(self, message: str = "") -> None:
        """Ask that everything on the computer be processed again."""
        self._perform(calls.bang_computer(self.computer_id, message))

    def document(self) -> object:
        return self._look()

    def __repr__(self) -> str:
        return f"<computer {self.computer_id}>"

    def __str__(self) -> str:
        seen = self._look()
        lines = [f"computer {seen.computer_id}"]
        for partition in seen.partitions:
            sight = sight_of(partition)
            what = f"{sight.requested_state} {sight.title}" if sight.title else "free"
            lines.append(f"  {sight.key.partition_id}: {what}")
        lines += [
            f"  release {it.software_release_url}: {it.requested_state}"
            for it in seen.installations
        ]
        return "\n".join(lines)

    def _look(self) -> Computer:
        answer = self._perform(calls.get_computer(self.computer_id))
        assert isinstance(answer, Computer)
        return answer


class Service:
    """A service with everything that it requested, as it was when it was asked for."""

    def __init__(self, tree: TreeReport) -> None:
        self.tree = tree

    @property
    def connection_parameters(self) -> dict[str, str]:
        return dict(self.tree.instances[0].connection_parameters)

    def document(self) -> object:
        return self.tree

    def __repr__(self) -> str:
        return f"<service {self.tree.title}>"

    def __str__(self) -> str:
        tables = (
            instances_table(self.tree),
            connection_table(self.connection_parameters),
        )
        return "\n\n".join(render_plain(table) for table in tables if table.lines)


class Products:
    """``product.NAME`` is the best release of the product, as a URL."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        releases = self.releases(ReleaseQuestion(product_title=name))
        if not releases:
            raise NotFound(f"the product {name} has no release")
        return releases[0]

    def releases(self, question: ReleaseQuestion) -> list[str]:
        answer = self._perform(calls.get_releases(question))
        assert isinstance(answer, tuple | list)
        return [str(url) for url in answer]


@frozen
class Slap:
    """What the stock library calls ``slap``, as far as a console uses it.

    ``computer_id`` is the computer that is meant where none is named.
    """

    _perform: Perform
    _computer_id: str = ""

    def registerOpenOrder(self) -> Slap:
        return self

    def registerSupply(self) -> Slap:
        return self

    def request(  # noqa: PLR0917 - the order of the stock console
        self,
        software_release: str,
        partition_reference: str,
        partition_parameter_kw: Mapping[str, object] | None = None,
        software_type: str | None = None,
        filter_kw: Mapping[str, object] | None = None,
        state: str | None = None,
        shared: bool = False,
    ) -> Instance:
        """Ask for an instance; the same again changes nothing and shows it as it is.

        One with other parameters replaces all of them. The result publishes
        ``connection_parameters``; ``state`` is started, stopped or destroyed.
        """
        wanted = InstanceRequest(
            title=str(partition_reference),
            software_release_url=str(software_release),
            software_type=software_type or "default",
            parameters=_texts("partition_parameter_kw", partition_parameter_kw),
            allocation_filter=_texts("filter_kw", filter_kw),
            requested_state=None if state is None else _choose(RequestedState, state),
            is_shared=shared,
        )
        return request_instance(self._perform, wanted)

    def supply(
        self,
        software_release: str,
        computer_guid: str | None = None,
        state: str = "available",
    ) -> None:
        """Make a release available on a computer, or have it ``destroyed`` there."""
        self._perform(
            calls.supply(
                SoftwareInstallation(
                    str(software_release),
                    self._computer(computer_guid),
                    _choose(SupplyState, state),
                )
            )
        )

    def registerComputer(self, computer_guid: str | None = None) -> ConsoleComputer:
        return ConsoleComputer(self._perform, self._computer(computer_guid))

    def registerComputerPartition(
        self, computer_guid: str, partition_id: str
    ) -> Instance:
        return find_instance(self._perform, PartitionKey(computer_guid, partition_id))

    def getSoftwareReleaseListFromSoftwareProduct(
        self,
        software_product_reference: str | None = None,
        software_release_url: str | None = None,
    ) -> list[str]:
        if (software_product_reference is None) == (software_release_url is None):
            raise BadRequest("name a product or a release, and not both")
        question = ReleaseQuestion(software_product_reference, software_release_url)
        return Products(self._perform).releases(question)

    def service(self, title: str) -> Service:
        """A service and all instances of its tree, with what they reported."""
        tree = self._perform(calls.get_tree_report(title))
        assert isinstance(tree, TreeReport)
        if not tree.instances:
            raise NotFound(f"no service {title!r}")
        return Service(tree)

    def _computer(self, computer_guid: str | None) -> str:
        found = computer_guid or self._computer_id
        if not found:
            raise BadRequest("name the computer: computer_guid='...'")
        return found


def names_of(perform: Perform, computer_id: str) -> dict[str, object]:
    """What a person finds in the console."""
    slap = Slap(perform, computer_id)
    return {
        "slap": slap,
        "request": slap.request,
        "supply": slap.supply,
        "computer": slap.registerComputer,
        "service": slap.service,
        "product": Products(perform),
        "SlapError": SlapError,
        "NotFound": NotFound,
        "NotReady": NotReady,
    }


def _texts(name: str, values: Mapping[str, object] | None) -> dict[str, str]:
    """SLAP carries texts: a value that is none is written as JSON."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise BadRequest(f"{name} must be a dictionary")
    try:
        return {
            str(key): value if isinstance(value, str) else json.dumps(value)
            for key, value in values.items()
        }
    except (TypeError, ValueError) as error:
        raise BadRequest(f"{name}: {error}") from error


def _choose(kind: type[S], word: str) -> S:
    try:
        return kind(word)
    except ValueError as error:
        raise BadRequest(f"state {word!r} is none of {', '.join(kind)}") from error
