"""Core. Which part of the wanted document a pass is about, as its options say."""

from __future__ import annotations

from collections.abc import Collection

from attrs import evolve, frozen

from slap.model import Computer
from slapgrid.convergence.retrying import Effort, RetryMemory
from slapgrid.layout import release_directory


@frozen
class Selection:
    """``None`` for all. A release is chosen by its URL or the digest of it.

    ``is_forced`` does again what is done already, ``is_impatient`` does not wait after
    failures; who forces does not wait either.
    """

    partition_ids: tuple[str, ...] | None = None
    releases: tuple[str, ...] | None = None
    is_forced: bool = False
    is_impatient: bool = False

    def narrow(self, desired: Computer) -> Computer:
        """The document without what is not chosen."""
        if self.partition_ids is not None:
            chosen = self.partition_ids
            desired = evolve(
                desired,
                partitions=tuple(
                    each
                    for each in desired.partitions
                    if each.key.partition_id in chosen
                ),
            )
        if self.releases is not None:
            names = self.releases
            desired = evolve(
                desired,
                installations=tuple(
                    each
                    for each in desired.installations
                    if _names_of(each.software_release_url) & set(names)
                ),
            )
        return desired

    def unknown(self, desired: Computer) -> tuple[str, ...]:
        """What is chosen and not in the document: often misspelt."""
        partitions = {each.key.partition_id for each in desired.partitions}
        releases = {
            name
            for each in desired.installations
            for name in _names_of(each.software_release_url)
        }
        return (
            *(each for each in self.partition_ids or () if each not in partitions),
            *(each for each in self.releases or () if each not in releases),
        )

    def forget_delays(
        self, memory: RetryMemory, desired: Computer, efforts: Collection[Effort]
    ) -> RetryMemory:
        """The memory in which nothing chosen waits after a failure."""
        if not (self.is_forced or self.is_impatient):
            return memory
        narrowed = self.narrow(desired)
        chosen = {each.key.partition_id for each in narrowed.partitions}
        chosen |= {each.software_release_url for each in narrowed.installations}
        return evolve(
            memory,
            attempts={
                key: attempt
                for key, attempt in memory.attempts.items()
                if not _is_about(key, chosen, efforts)
            },
        )


#: Everything, as far as it is due.
ALL = Selection()


def _names_of(software_release_url: str) -> set[str]:
    return {software_release_url, release_directory(software_release_url)}


def _is_about(key: str, names: Collection[str], efforts: Collection[Effort]) -> bool:
    effort, _, name = key.partition(" ")
    return name in names and Effort(effort) in efforts
