"""Shell. What a command has at hand: the master to ask and how to answer the person."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click
from attrs import frozen

from slapcluster.master import Master
from slapcluster.printing import Progress, print_json, print_tables
from slapcluster.tables import Table

if TYPE_CHECKING:
    # Twisted is slow to load, and the shell loads this module at every TAB.
    from runtime.ports import Runtime
    from slapcluster.console.connecting import Addressee, Perform

T = TypeVar("T")


class Launch(Protocol):
    """Runs a coroutine in a world: ``running.launch``, or a simulated one in tests.

    Once in the life of a command: no reactor starts twice.
    """

    def __call__(self, main: Callable[[Runtime], Coroutine[Any, Any, T]], /) -> T: ...


def launch_for_real(main: Callable[[Runtime], Coroutine[Any, Any, T]], /) -> T:
    from slapcluster.running import launch  # noqa: PLC0415 - loads Twisted

    return launch(main)


def connect_for_real(addressee: Addressee, /) -> Perform:
    from slapcluster.console.connecting import connect  # noqa: PLC0415 - loads ssl

    return connect(addressee)


@frozen
class Session:
    """One command of one person."""

    launch: Launch = launch_for_real
    master_urls: tuple[str, ...] = ()
    identity_directory: str = ""
    is_json: bool = False
    is_debug: bool = False
    connect: Callable[[Addressee], Perform] = connect_for_real

    def ask(self, question: Callable[[Master], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine that asks the master; once in a command, as any launch."""
        return self.ask_from(lambda _, master: question(master))

    def ask_from(
        self, question: Callable[[Runtime, Master], Coroutine[Any, Any, T]]
    ) -> T:
        """Do so with one that needs more of where it runs."""

        async def main(runtime: Runtime) -> T:
            from slapcluster.asking import ask  # noqa: PLC0415 - loads Twisted

            urls, directory = self.master_urls, self.identity_directory
            return await ask(
                runtime, urls, lambda master: question(runtime, master), directory
            )

        return self.launch(main)

    def answer(self, document: object, *tables: Table) -> None:
        """Write the result: ``document`` as JSON, or the tables."""
        if self.is_json:
            print_json(document)
        else:
            print_tables(*tables)

    def add_text(self, text: str) -> None:
        """Write a text after the tables, for people alone."""
        if text and not self.is_json:
            click.echo(f"\n{text}")

    def progress(self, subject: str) -> Progress:
        return Progress(subject, is_silent=self.is_json)


pass_session = click.make_pass_decorator(Session)
