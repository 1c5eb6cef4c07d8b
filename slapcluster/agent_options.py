"""Core. What the options of a pass ask for, whichever way they are written."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen

from slapgrid.selection import ALL, Selection


@frozen
class PassOptions:
    """``settings`` win over the file, by the name of their key there.

    A dry run changes nothing, so it may run beside an agent and takes no lock.
    """

    selection: Selection = ALL
    settings: Mapping[str, str] = field(default=MappingProxyType({}))
    log_path: str | None = None
    is_verbose: bool = False
    is_dry_run: bool = False


def split_names(text: str | None) -> tuple[str, ...] | None:
    """The names of a list with commas or blanks; ``None`` when there is none."""
    return tuple((text or "").replace(",", " ").split()) or None
