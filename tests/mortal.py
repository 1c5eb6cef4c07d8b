"""Files whose writer dies before one of them, for tests of what is left then."""

from __future__ import annotations

from typing import Any

from attrs import define, frozen

from runtime.ports import IFileTree


class Killed(BaseException):
    """The end of a program, at a step that a test chose."""


@define
class Patience:
    """How many more files are written."""

    left: int

    def use(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1


@frozen
class MortalTree:
    """A tree whose writer dies instead of writing, sooner or later."""

    tree: IFileTree
    patience: Patience

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tree, name)

    def subtree(self, relative: str) -> MortalTree:
        return MortalTree(self.tree.subtree(relative), self.patience)

    def write(self, relative: str, content: bytes, mode: int = 0o644) -> None:
        self.patience.use()
        self.tree.write(relative, content, mode)
