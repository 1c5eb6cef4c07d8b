"""What an agent remembers, on disk: read once, written when it is another one."""

from __future__ import annotations

from collections.abc import Callable

from runtime.ports import IFileTree, Runtime
from slapgrid.convergence.retrying import RetryMemory, decode_memory, encode_memory
from slapgrid.layout import RETRY_MEMORY


class KeptMemory:
    """The memory of one computer. Nothing is read before it is asked for."""

    def __init__(self, runtime: Runtime, tree: IFileTree) -> None:
        self._log = runtime.log
        self._tree = tree
        self._memory: RetryMemory | None = None
        self._saved = b""

    def recall(self) -> RetryMemory:
        """What is remembered; nothing when the file is not there or is broken."""
        if self._memory is None:
            try:
                self._saved = self._tree.read(RETRY_MEMORY)
                self._memory = decode_memory(self._saved)
            except FileNotFoundError:
                self._memory = RetryMemory()
            except (OSError, ValueError) as error:
                self._log.warn("{error}: starting afresh", error=error)
                self._memory = RetryMemory()
        return self._memory

    def change(self, change: Callable[[RetryMemory], RetryMemory]) -> None:
        """Remember something else; on disk with the next ``save``."""
        self._memory = change(self.recall())

    def save(self) -> None:
        """Write it, if it is not what was written last."""
        encoded = encode_memory(self.recall())
        if encoded == self._saved:
            return
        try:
            directory = RETRY_MEMORY.rpartition("/")[0]
            self._tree.make_directory(directory, 0o700)
            self._tree.write(RETRY_MEMORY, encoded, 0o600)
        except OSError as error:
            # A full disk must not stop what frees it; a restart then waits less.
            self._log.warn("memory not saved: {error}", error=error)
        else:
            self._saved = encoded
