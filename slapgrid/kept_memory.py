"""What an agent remembers, on disk: read once, written when it is another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from attrs import frozen

from runtime.ports import IFileTree, Runtime
from slap.freshness import UNSEEN, decode_freshness
from slap.replicas import ListedReplica
from slapgrid.convergence.retrying import RetryMemory, decode_memory, encode_memory
from slapgrid.layout import FRESHNESS_FILE, RETRY_MEMORY


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
            _write(self._tree, RETRY_MEMORY, encoded)
        except OSError as error:
            # A full disk must not stop what frees it; a restart then waits less.
            self._log.warn("memory not saved: {error}", error=error)
        else:
            self._saved = encoded


@frozen
class Known:
    """What was seen of the masters of a cloud, and the replicas that it has."""

    seen: bytes = UNSEEN
    listed: tuple[ListedReplica, ...] = ()


class KeptFreshness:
    """What was seen of the masters of these addresses, which know what each other does.

    It has all addresses by which they are known, configured ones and those that they
    told. Another list with none of them is that of another cloud, where it means
    nothing; one address in common is one master in common. A bit of the file that went
    bad could name what nobody will ever know: it is digested.
    """

    def __init__(
        self, runtime: Runtime, tree: IFileTree, master_urls: tuple[str, ...]
    ) -> None:
        self._log = runtime.log
        self._tree = tree
        self._master_urls = master_urls
        self._saved = b""

    def recall(self) -> Known:
        """What is on disk; nothing when the file is not there or is broken."""
        try:
            self._saved = self._tree.read(FRESHNESS_FILE)
            text, digest, master_urls, *told = json.loads(self._saved)
            listed = tuple(ListedReplica(*it) for it in (told[0] if told else ()))
            urls = {*master_urls, *(it.url for it in listed)}
            is_ours = not urls.isdisjoint(self._master_urls)
            is_whole = digest == _digest(text)
            known = Known(decode_freshness(text), listed)
            return known if is_ours and is_whole else Known()
        except FileNotFoundError:
            return Known()
        except (
            OSError,
            ValueError,
            TypeError,
            AttributeError,
            RecursionError,
        ) as error:
            self._log.warn("{error}: what was seen is unknown", error=error)
            return Known()

    def save(self, known: Known) -> None:
        """Write it, if it is not what was written last."""
        text = known.seen.hex()
        listed = [(it.url, it.region) for it in known.listed]
        kept = (text, _digest(text), self._master_urls, listed)
        encoded = json.dumps(kept, indent=1).encode()
        if known.seen == UNSEEN or encoded == self._saved:
            return
        try:
            _write(self._tree, FRESHNESS_FILE, encoded)
        except OSError as error:
            self._log.warn("what was seen is not saved: {error}", error=error)
        else:
            self._saved = encoded


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _write(tree: IFileTree, path: str, content: bytes) -> None:
    tree.make_directory(path.rpartition("/")[0], 0o700)
    tree.write(path, content, 0o600)
