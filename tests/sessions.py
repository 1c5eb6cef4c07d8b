"""Sessions of commands that are typed in tests."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from runtime.ports import Runtime
from slapcluster.session import Launch

T = TypeVar("T")


def once(launch: Launch) -> Launch:
    """Launch at most once, as in a process of its own: no reactor starts twice."""
    launched: list[object] = []

    def launch_once(main: Callable[[Runtime], Coroutine[Any, Any, T]], /) -> T:
        assert not launched, "this command would start a reactor again"
        launched.append(main)
        return launch(main)

    return launch_once
