"""Shell. Who is who: certificates of instances and computers, tokens to come in."""

from __future__ import annotations

from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.provisioning import Purpose
from master_cluster.store import provisioning
from master_cluster.store.outages import StillInDoubt
from master_cluster.store.provisioning import NewKeys
from slap.admissions import Token, render_token
from slap.errors import BadRequest
from slap.methods import EXTENSION
from slap.model import Certificate, PartitionKey

OTHERWISE = "with another token if this one is refused"


class CertificateAnswers:
    """Methods about certificates; the others speak other dialects."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> AnswerTable:
        return {
            "getComputerPartitionCertificate": self.certificate_of_partition,
            "generateComputerCertificate": self.issue_computer_certificate,
            "revokeComputerCertificate": self.revoke_computer_certificate,
            EXTENSION + "token": self._give_named_token,
        }

    async def certificate_of_partition(self, partition: PartitionKey) -> Certificate:
        """Return the certificate of who is in a partition, empty when nobody is."""
        record = await self._desk.ask(lambda cloud: cloud.partition(partition))
        if record.occupant_guid is None:
            return provisioning.EMPTY
        return await self.certificate_of_instance(record.occupant_guid)

    async def certificate_of_instance(self, instance_guid: str) -> Certificate:
        """Return the certificate and key of an instance, the same ones each time.

        ``NotFound`` for an unknown instance and a shared one.
        """
        now = self._desk.now()
        found = await self._desk.read(
            provisioning.find_instance_certificate, instance_guid, now
        )
        if found is not None:
            return found
        keys = self._new_keys()
        return await self._desk.decide(
            lambda cloud, _: provisioning.issue_instance_certificate(
                cloud, instance_guid, keys, now
            )
        )

    async def issue_computer_certificate(self, computer_id: str) -> Certificate:
        """Return a new certificate and key; ``BadRequest`` while one is active."""
        now, keys = self._desk.now(), self._new_keys()
        return await self._desk.decide(
            lambda cloud, _: provisioning.issue_computer_certificate(
                cloud, computer_id, keys, now
            )
        )

    async def revoke_computer_certificate(self, computer_id: str) -> None:
        """Revoke the certificate of a computer; ``NotFound`` without one."""
        now = self._desk.now()
        await self._desk.decide(
            lambda cloud, _: provisioning.revoke_computer_certificate(
                cloud, computer_id, now
            )
        )

    async def give_token(self, purpose: Purpose) -> str:
        """Return a new token, good for one certificate."""
        now, home = self._desk.now(), self._desk.home
        digest = "" if home is None else home.root_digest()
        token = render_token(Token(self._desk.keys.new_token(), digest))
        await self._desk.decide(
            lambda cloud, _: provisioning.give_token(cloud, token, purpose, now)
        )
        return token

    async def register_computer(self, token: str, title: str) -> Certificate:
        """Take a token for the certificate of the computer of a title."""
        now, keys = self._desk.now(), self._new_keys()
        try:
            return await self._desk.decide(
                lambda cloud, _: provisioning.register_computer(
                    cloud, token, title, keys, now
                )
            )
        except StillInDoubt as doubt:
            key = f"the certificate of the computer {title!r}, {OTHERWISE}"
            raise doubt.named(key) from doubt

    async def register_person(self, token: str) -> Certificate:
        """Take a token for a certificate of the person."""
        now, keys = self._desk.now(), self._new_keys()
        try:
            return await self._desk.decide(
                lambda cloud, _: provisioning.register_person(cloud, token, keys, now)
            )
        except StillInDoubt as doubt:
            key = f"a certificate of the person, {OTHERWISE}"
            raise doubt.named(key) from doubt

    async def _give_named_token(self, purpose: str) -> str:
        if purpose not in tuple(Purpose):
            raise BadRequest(f"purpose: {purpose!r} is neither computer nor person")
        return await self.give_token(Purpose(purpose))

    def _new_keys(self) -> NewKeys:
        keys, home = self._desk.keys, self._desk.home
        region = None if home is None else home.region(self._desk.now())
        return NewKeys(keys.new_private_key(), keys.new_private_key(), region)
