"""The certificates of instances, in the repository where stock nodes have them.

The certificate and the key of an instance are two files beside its partition, and only
the partition's user reads them. No single step replaces both: whoever is killed between
finds the partition not processed, and looks at both again.
"""

from __future__ import annotations

from attrs import frozen

from runtime.ports import Runtime
from slap.model import Certificate
from slapgrid.identity import Identity
from slapgrid.instance.reading import read_if_there
from slapgrid.writing_out import write_out

#: As stock nodes: nobody changes them, others do not read them.
CERTIFICATE_MODE = 0o400
#: Users of partitions pass through a repository, and do not list it.
REPOSITORY_MODE = 0o711
#: A chain of some certificates; a key is shorter.
PEM_BYTES_MAX = 64 * 1024


class BadCertificate(Exception):
    """No instance can use what the master gave; the sentence never quotes it."""


@frozen
class KeyPaths:
    """Where an instance finds a key and its certificate; empty where it has none."""

    key_file: str
    cert_file: str


class CertificateRepository:
    """The certificates of the instances of one computer, in a directory."""

    def __init__(self, runtime: Runtime, path: str) -> None:
        self._runtime = runtime
        self._tree = runtime.file_tree(path)
        # An earlier life may have been killed before it wrote out what it changed.
        self._is_written_out = False

    def keep(
        self, partition_id: str, certificate: Certificate, identity: Identity
    ) -> KeyPaths | None:
        """Have both files say what the master does, and tell where they stand.

        ``None``, and no files, when the master knows no certificates. What is as it
        should be is not touched. ``write_out`` must follow before anything remembers
        the success: a change of owner is on no disk yet.
        """
        key, text = certificate.key.encode(), certificate.certificate.encode()
        if not key.strip() and not text.strip():
            self.remove(partition_id)
            return None
        if not key.strip() or not text.strip():
            raise BadCertificate(
                f"the master gave {partition_id} only one of certificate and key: "
                "revoke the certificate there"
            )
        if max(len(key), len(text)) > PEM_BYTES_MAX:
            raise BadCertificate(
                f"the master gave {partition_id} a certificate or key of more than "
                f"{PEM_BYTES_MAX} bytes: revoke the certificate there"
            )
        if self._tree.status("") is None:
            self._tree.make_directory("", REPOSITORY_MODE)
        cert_file, key_file = _names(partition_id)
        self._keep_file(cert_file, text, identity)
        self._keep_file(key_file, key, identity)
        return KeyPaths(self._tree.path(key_file), self._tree.path(cert_file))

    def remove(self, partition_id: str) -> None:
        """Remove the certificate and key of a partition; nothing happens without."""
        for name in _names(partition_id):
            self._tree.remove(name)

    async def write_out(self) -> str | None:
        """Make what was changed durable; the reason when that fails."""
        if self._is_written_out or self._tree.status("") is None:
            return None
        self._is_written_out = True
        failure = await write_out(self._runtime, self._tree.root)
        if failure is not None:
            self._is_written_out = False
        return failure

    def _keep_file(self, name: str, content: bytes, identity: Identity) -> None:
        if read_if_there(self._tree, name, PEM_BYTES_MAX) != content:
            self._is_written_out = False
            self._tree.write(name, content, CERTIFICATE_MODE)
        found = self._tree.status(name)
        assert found is not None, "it was written"
        uid = found.uid if identity.uid is None else identity.uid
        gid = found.gid if identity.gid is None else identity.gid
        if (found.mode, found.uid, found.gid) != (CERTIFICATE_MODE, uid, gid):
            self._is_written_out = False
            self._tree.change(name, CERTIFICATE_MODE, uid, gid)


def _names(partition_id: str) -> tuple[str, str]:
    return f"{partition_id}.crt", f"{partition_id}.key"
