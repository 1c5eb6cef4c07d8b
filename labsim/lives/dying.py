"""A host that dies before or after each effect on its files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from attrs import define, evolve, frozen
from twisted.internet.defer import Deferred

from runtime.ports import IFileTree, Runtime

EFFECTS = ("write", "make_directory", "remove", "link", "change", "remove_tree")


class Died(BaseException):
    """The program was killed here."""


@define
class Fate:
    """Lets ``effects_left`` effects happen; the next one is the last, or is not."""

    effects_left: int
    is_after: bool = False
    effect_count: int = 0

    def meet(self, effect: Callable[[], Any]) -> Any:
        self.effect_count += 1
        if self.effect_count <= self.effects_left:
            return effect()
        if self.is_after and self.effect_count == self.effects_left + 1:
            effect()
        raise Died


@frozen
class DyingTree:
    """The files of a host under a fate. It lies as ``IFileTree`` only in its type."""

    files: IFileTree
    fate: Fate

    def subtree(self, relative: str) -> DyingTree:
        return DyingTree(self.files.subtree(relative), self.fate)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.files, name)
        if name not in EFFECTS:
            return method

        def meet(*arguments: Any, **named: Any) -> Any:
            return self.fate.meet(lambda: method(*arguments, **named))

        return meet


def dying(runtime: Runtime, fate: Fate) -> Runtime:
    """The same runtime, for a program that dies as its fate says."""

    def file_tree(root: str) -> IFileTree:
        return cast("IFileTree", DyingTree(runtime.file_tree(root), fate))

    return evolve(runtime, file_tree=file_tree)


def outlive(deferred: Deferred[Any]) -> list[Any]:
    """What a Deferred gave, ``Died`` itself included."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    return results
