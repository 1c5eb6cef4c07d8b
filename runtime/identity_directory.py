"""Identity directories: who somebody is, and whom he believes, as files.

``root.crt`` has the roots, ``own.key`` and ``own.crt`` the key and its chain. One of a
replica may have ``region.key`` and ``region.crt``, which sign in its region; the
offline directory of the root has ``root.key``.

1. A key is on disk before a certificate is asked for it. A key without a certificate is
   asked for again: whoever signs gives the same key the same answer.
2. A chain is checked before it is written, and replaces the one before as a whole.
3. Renewal keeps the key: key and chain are two files, which no power loss may part.
"""

from __future__ import annotations

from collections.abc import Callable
from posixpath import join
from typing import TypeVar

from attrs import frozen

from runtime.certificates import (
    TEXT_BYTES_MAX,
    BadCertificate,
    Described,
    check_authority,
    check_chain,
    check_key,
    describe,
    describe_first,
    is_root,
    load_key,
)
from runtime.holdings import ROOTS, UNSIGNED, CalendarEntry, Holding
from runtime.identity_files import CredentialPaths
from runtime.ports import IFileTree

T = TypeVar("T")


def paths_below(directory: str) -> CredentialPaths:
    """Return those of an identity directory."""
    return CredentialPaths(
        join(directory, ROOTS),
        join(directory, Holding.OWN.chain_name),
        join(directory, Holding.OWN.key_name),
    )


@frozen
class Held:
    """A key with its chain, which was checked; all in PEM."""

    chain: str
    key: str
    roots: str
    described: Described


@frozen
class IdentityDirectory:
    """The directory at the root of ``tree``; what is missing is an empty text.

    ``BadCertificate`` names the file at fault.
    """

    tree: IFileTree

    def roots(self) -> str:
        return self._read(ROOTS)

    def key(self, holding: Holding = Holding.OWN) -> str:
        """Return a key that its owner alone can read."""
        found = self.tree.status(holding.key_name)
        if found is not None and found.mode & 0o077:
            path = self.tree.path(holding.key_name)
            raise BadCertificate(
                f"{path} may be read by others: `chmod 600 {path}`, and begin anew in "
                "another directory if somebody did"
            )
        text = self._read(holding.key_name)
        if text:
            self._checked(holding.key_name, lambda: load_key(text))
        return text

    def chain(self, holding: Holding = Holding.OWN) -> str:
        return self._read(holding.chain_name)

    def make_key(self, make: Callable[[], str], holding: Holding = Holding.OWN) -> str:
        """Return the key that is there, else one that is made and written now."""
        self.tree.make_directory("", 0o700)
        found = self.key(holding)
        if found:
            return found
        made = make()
        self.tree.write(holding.key_name, made.encode(), 0o600)
        return made

    def keep_roots(self, text: str) -> None:
        """Write the roots; those that are there are not exchanged."""
        for each in self._checked(ROOTS, lambda: describe(text)):
            if not each.is_authority:
                raise BadCertificate(f"{each.name} is no root: it may sign nothing")
        if not is_root(text):
            raise BadCertificate("the root is not one certificate that signed itself")
        present = self.roots()
        if not present:
            self.tree.make_directory("", 0o700)
            self.tree.write(ROOTS, text.encode())
        elif describe_first(present).digest != describe_first(text).digest:
            raise BadCertificate(
                f"{self.tree.path(ROOTS)} is the root of another cloud: use another "
                "directory"
            )

    def keep_chain(
        self, chain: str, now: float, holding: Holding = Holding.OWN
    ) -> Described:
        """Write a chain that fits the key and leads to the root."""
        described = self._check(holding, self.key(holding), chain, self.roots(), now)
        if self.chain(holding) != chain:
            self.tree.write(holding.chain_name, chain.encode())
        return described

    def held(self, now: float, holding: Holding = Holding.OWN) -> Held:
        """Return what is held, fit for use now."""
        key, chain, roots = self.key(holding), self.chain(holding), self.roots()
        described = self._check(holding, key, chain, roots, now)
        return Held(chain, key, roots, described)

    def calendar(self, now: float) -> tuple[CalendarEntry, ...]:
        """Return what there is, the root first; a key alone is an entry too."""
        return tuple(
            self._entry(it, now)
            for it in (Holding.ROOT, Holding.REGION, Holding.OWN)
            if self._is_there(it.key_name) or self._is_there(it.chain_name)
        )

    def _entry(self, holding: Holding, now: float) -> CalendarEntry:
        problem, described = "", None
        try:
            if self._is_there(holding.key_name) and not self._is_there(
                holding.chain_name
            ):
                return CalendarEntry(holding, problem=UNSIGNED)
            described = describe_first(self.chain(holding))
            if holding is Holding.ROOT and not self._is_there(holding.key_name):
                check_authority(self.roots(), self.roots(), now)
            else:
                self.held(now, holding)
        except BadCertificate as error:
            problem = str(error)
        if described is None:
            return CalendarEntry(holding, problem=problem)
        return CalendarEntry(
            holding,
            described.name,
            described.uris[0] if len(described.uris) == 1 else "",
            described.issuer,
            described.addresses,
            described.serial,
            described.digest,
            described.starts_at,
            described.expires_at,
            described.renew_at,
            problem,
        )

    def _is_there(self, name: str) -> bool:
        return self.tree.status(name) is not None

    def _check(
        self, holding: Holding, key: str, chain: str, roots: str, now: float
    ) -> Described:
        for name, text in (
            (holding.key_name, key),
            (holding.chain_name, chain),
            (ROOTS, roots),
        ):
            if not text:
                raise BadCertificate(f"there is no {self.tree.path(name)}")
        check = check_chain if holding is Holding.OWN else check_authority

        def described() -> Described:
            check_key(key, chain)
            return check(chain, roots, now)

        return self._checked(holding.chain_name, described)

    def _checked(self, name: str, check: Callable[[], T]) -> T:
        try:
            return check()
        except BadCertificate as error:
            raise BadCertificate(f"{self.tree.path(name)}: {error}") from error

    def _read(self, name: str) -> str:
        try:
            return self.tree.read(name, TEXT_BYTES_MAX).decode()
        except FileNotFoundError:
            return ""
        except UnicodeDecodeError as error:
            raise BadCertificate(f"{self.tree.path(name)} is no text") from error
