"""Credentials in files: read when they are asked for, again when they changed."""

from __future__ import annotations

from posixpath import basename, dirname

from attrs import frozen

from runtime.ports import FileStatus, Runtime
from runtime.tls import BadCredentials, Credentials, check_credentials

CREDENTIAL_BYTES_MAX = 1024 * 1024
"""A chain of three has some kilobytes; a bundle of roots may have hundreds of them."""


@frozen
class CredentialPaths:
    """Absolute paths; a client may have neither chain nor key, which are empty then."""

    roots: str
    chain: str = ""
    key: str = ""


class CredentialFiles:
    """Gives what files say now; call it.

    While files are being replaced, or are no good, it goes on with what they said
    before, and logs that once. ``BadCredentials`` when there is nothing before.
    """

    def __init__(
        self, runtime: Runtime, paths: CredentialPaths, *, is_server: bool = False
    ) -> None:
        self._runtime = runtime
        self._paths = paths
        self._is_server = is_server
        self._statuses: tuple[FileStatus | None, ...] = ()
        self._known: Credentials | None = None

    def __call__(self) -> Credentials:
        paths = (self._paths.chain, self._paths.key, self._paths.roots)
        statuses = tuple(self._status(it) for it in paths)
        if self._known is not None and statuses == self._statuses:
            return self._known
        try:
            read = Credentials(*(self._read(it) for it in paths))
            check_credentials(read, is_server=self._is_server)
        except BadCredentials as error:
            if self._known is None:
                raise
            self._runtime.log.warn(  # noqa: G010 - Twisted's name
                "the certificate stays the one from before: {error}", error=error
            )
        else:
            self._known = read
        self._statuses = statuses
        return self._known

    def _status(self, path: str) -> FileStatus | None:
        if not path:
            return None
        try:
            return self._runtime.file_tree(dirname(path)).status(basename(path))
        except OSError:
            return None  # reading says why

    def _read(self, path: str) -> str:
        if not path:
            return ""
        tree = self._runtime.file_tree(dirname(path))
        try:
            return tree.read(basename(path), CREDENTIAL_BYTES_MAX).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise BadCredentials(f"{path} cannot be read: {error}") from error
