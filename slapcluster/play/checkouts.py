"""Shell. The directory that ``play`` is run in, and what it remembers there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from runtime.ports import Runtime
from slapcluster.play import places
from slapcluster.play.places import Record


@frozen
class Checkout:
    """Where ``play`` is run: its wheels, its record, and what the cloud must not see.

    ``environment`` is that of whoever runs it: ``make release`` may need an index.
    """

    path: Path
    environment: Mapping[str, str]

    @property
    def release_path(self) -> Path:
        return self.path / "dist" / "release"

    def wheel_names(self) -> tuple[str, ...]:
        return tuple(it.name for it in (self.release_path / "wheelhouse").iterdir())

    def record(self) -> Record | None:
        """Return what the last run wrote, ``None`` when it was ended well."""
        try:
            content = (self.path / places.RECORD_PATH).read_bytes()
        except FileNotFoundError:
            return None
        return places.decode_record(content)

    def write(self, runtime: Runtime, record: Record) -> None:
        tree = runtime.file_tree(str(self.path))
        tree.make_directory(str(Path(places.RECORD_PATH).parent))
        tree.write(places.RECORD_PATH, places.encode_record(record))

    def forget(self, runtime: Runtime) -> None:
        runtime.file_tree(str(self.path)).remove(places.RECORD_PATH)
