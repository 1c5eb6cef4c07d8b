"""Shell. Certificates and tokens that are remembered, within one transaction."""

from __future__ import annotations

from itertools import islice

from BTrees.OOBTree import OOBTree, OOTreeSet  # type: ignore[import-untyped]

from master_cluster.authority.building import Authority
from master_cluster.certificates import IssuedCertificate
from master_cluster.provisioning import TOKEN_COUNT_MAX, TokenRecord
from master_cluster.store.schema import (
    Stored,
    StoredCertificates,
    fields_after,
    fields_of,
    hashed,
    record_of,
)

PURGED_COUNT_MAX = 100
"""Expired entries that one call removes: more than it adds, and soon done."""


class Certificates:
    """The certificates of one snapshot."""

    def __init__(self, stored: StoredCertificates) -> None:
        self._stored = stored

    def authority(self) -> Authority | None:
        """Return who signs; ``None`` before the first certificate."""
        stored = self._stored.authority
        return None if stored is None else stored.read(Authority)

    def set_authority(self, authority: Authority) -> None:
        assert self._stored.authority is None, "all certificates would be worthless"
        self._stored.authority = Stored(authority)

    def of_instance(self, instance_guid: str) -> IssuedCertificate | None:
        return _read(self._stored.instances, instance_guid)

    def of_computer(self, computer_id: str) -> IssuedCertificate | None:
        """Return the certificate of a computer, without its key."""
        return _read(self._stored.computers, computer_id)

    def set_instance(self, instance_guid: str, issued: IssuedCertificate) -> None:
        self._stored.instances[instance_guid] = fields_of(issued)

    def set_computer(self, computer_id: str, issued: IssuedCertificate) -> None:
        assert not issued.key, "only the computer has its key"
        self._stored.computers[computer_id] = fields_of(issued)

    def of_other(self, name: str) -> IssuedCertificate | None:
        """Return the certificate of a replica or a link, if it was renewed here."""
        others = self._stored.others
        return None if others is None else _read(others, name)

    def set_other(self, name: str, issued: IssuedCertificate) -> None:
        if self._stored.others is None:
            self._stored.others = OOBTree()
        self._stored.others[name] = fields_of(issued)

    def keep_person(self, issued: IssuedCertificate) -> None:
        assert not issued.key, "only the person has the key"
        self._stored.persons[issued.expires_at, issued.serial] = fields_of(issued)

    def person_count(self) -> int:
        """Return how many certificates of persons are kept."""
        return len(self._stored.persons)

    def revoke_instance(self, instance_guid: str) -> None:
        """Forget the key of an instance that goes, and remember who not to trust."""
        if instance_guid in self._stored.instances:
            self._revoke(self._stored.instances, instance_guid)

    def revoke_computer(self, computer_id: str) -> None:
        self._revoke(self._stored.computers, computer_id)

    def is_revoked(self, issued: IssuedCertificate) -> bool:
        return (issued.expires_at, issued.serial) in self._stored.revoked

    def forget_expired(self, now: float) -> None:
        """Drop what time has made pointless, some at a time."""
        for entry in _expired(self._stored.revoked, now):
            self._stored.revoked.remove(entry)
        for entry in _expired(self._stored.persons, now):
            del self._stored.persons[entry]
        for _, token_hash in _expired(self._stored.token_ages, now):
            self.use_token(token_hash)

    def token(self, token_hash: str) -> TokenRecord | None:
        fields = self._stored.tokens.get(token_hash)
        return None if fields is None else record_of(TokenRecord, fields)

    def mark_token(self, token_hash: str, record: TokenRecord) -> None:
        """Remember who has used a token, for as long as it would have been good."""
        before = self._stored.tokens[token_hash]
        self._stored.tokens[token_hash] = fields_after(before, record)

    def keep_token(self, token_hash: str, record: TokenRecord) -> None:
        """Keep a token; the oldest one goes when there are too many."""
        ages = self._stored.token_ages
        if len(ages) >= TOKEN_COUNT_MAX:
            self.use_token(ages.minKey()[1])
        self._stored.tokens[token_hash] = fields_of(record)
        ages.insert((record.expires_at, token_hash))

    def use_token(self, token_hash: str) -> None:
        """Forget a token."""
        record = record_of(TokenRecord, self._stored.tokens.pop(token_hash))
        self._stored.token_ages.remove((record.expires_at, token_hash))

    def title(self, computer_id: str) -> str:
        """Return what a person called a computer, else its name."""
        title: str = self._stored.titles.get(computer_id, computer_id)
        return title

    def find_titled(self, title: str) -> str | None:
        """Return the name of the computer of a title."""
        computer_id: str | None = self._stored.titled.get(hashed(title))
        return computer_id

    def set_title(self, computer_id: str, title: str) -> None:
        self._stored.titles[computer_id] = title
        self._stored.titled[hashed(title)] = computer_id

    def _revoke(self, certificates: OOBTree, name: str) -> None:
        issued = record_of(IssuedCertificate, certificates.pop(name))
        self._stored.revoked.insert((issued.expires_at, issued.serial))


def _expired(ages: OOBTree | OOTreeSet, now: float) -> tuple[tuple[float, str], ...]:
    return tuple(islice(ages.keys(max=(now, "")), PURGED_COUNT_MAX))


def _read(certificates: OOBTree, name: str) -> IssuedCertificate | None:
    fields = certificates.get(name)
    return None if fields is None else record_of(IssuedCertificate, fields)
