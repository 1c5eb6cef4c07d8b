"""Shell. The one place where errors become sentences and exit codes."""

from __future__ import annotations

import sys
import traceback
from typing import Any, NoReturn

import click

from slapcluster.outcomes import ExitCode, judge


class Said(click.ClickException):
    """An error that is already a sentence."""

    def __init__(self, sentence: str, exit_code: ExitCode) -> None:
        super().__init__(sentence)
        self.exit_code = int(exit_code)  # type: ignore[misc] # as click's own do


class RootGroup(click.Group):
    """A command with subcommands that ends as ``ExitCode`` says.

    Nothing but ``--debug`` shows a traceback. A command line that is not understood
    is 1, not click's 2, which means here that the answer is not there yet.
    """

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        extra["standalone_mode"] = False
        try:
            outcome = super().main(*args, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(ExitCode.FAILED)
        except click.UsageError as error:
            error.show()
            sys.exit(ExitCode.FAILED)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(ExitCode.INTERRUPTED)
        sys.exit(outcome if isinstance(outcome, int) else ExitCode.DONE)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            failed = judge(error)
            raise Said(failed.sentence, failed.exit_code) from error
