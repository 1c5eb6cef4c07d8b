"""Core. How a command ends: an exit code, and one sentence that says what to do."""

from __future__ import annotations

from enum import IntEnum

from slap.errors import (
    MasterAway,
    MethodNotAllowed,
    NotFound,
    NotReady,
    SlapError,
    Unreachable,
)


class ExitCode(IntEnum):
    """What scripts see."""

    DONE = 0
    FAILED = 1
    PENDING = 2
    MASTER_AWAY = 3
    ANOTHER_RUNS = 10
    INTERRUPTED = 130


class CommandFailed(Exception):
    """A command that cannot do what was asked; the sentence says what to do."""

    def __init__(self, sentence: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.exit_code = exit_code


def judge(error: Exception) -> CommandFailed:
    """Return what a person is told of an error, and the exit code."""
    if isinstance(error, CommandFailed):
        return error
    if isinstance(error, SlapError):
        return _judge_answer(error)
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        name = f"{error.filename}: " if error.filename else ""
        return CommandFailed(f"{name}{reason}.")
    return CommandFailed(
        f"Unexpected {type(error).__name__}: {error}. This is a defect of slapcluster; "
        "`slapcluster --debug ...` shows where."
    )


def _judge_answer(error: SlapError) -> CommandFailed:
    said = error.sentence.rstrip(". ")
    for kind, sentence, exit_code in _ANSWERS:
        if isinstance(error, kind):
            return CommandFailed(sentence.format(said=said), exit_code)
    return CommandFailed(f"The master refuses: {said}.")


_ANSWERS: tuple[tuple[type[SlapError], str, ExitCode], ...] = (
    (
        NotReady,
        "Accepted, not there yet: {said}. Repeat the command, or add --wait.",
        ExitCode.PENDING,
    ),
    (
        Unreachable,
        "{said}. Start the master, or name another one by --master.",
        ExitCode.MASTER_AWAY,
    ),
    (
        MasterAway,
        "The master cannot answer: {said}. Try again; its log says why.",
        ExitCode.MASTER_AWAY,
    ),
    (
        NotFound,
        "{said}. `slapcluster status` lists what there is, `why TITLE` says why.",
        ExitCode.FAILED,
    ),
    (
        MethodNotAllowed,
        "{said}. This master does not know the call; it may be an older one.",
        ExitCode.FAILED,
    ),
)
"""What a person is told of each kind of error; the first that fits."""
