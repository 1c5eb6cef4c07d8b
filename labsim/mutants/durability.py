# ruff: noqa: E501 - a text of a source stands as it stands there
"""Core. What has to be on a disk before anybody relies on it."""

from __future__ import annotations

from labsim.mutants.mutant import Change, Mutant

FILES = "runtime/files.py"
STORAGES = "master_cluster/store/storages.py"
BACKUP = "master_cluster/store/backup.py"
LIVES = ("files",)
COMMITS = ("commits",)


def _in_files(before: str, after: str) -> tuple[Change, ...]:
    return (Change(FILES, before, after),)


MUTANTS = (
    Mutant(
        "a file has its name before its content is on the disk",
        _in_files(
            "                # The content must be on disk before its name is.\n                os.fsync(descriptor)\n",
            "",
        ),
        "After a power loss the name would be there, and the file empty or torn.",
        LIVES,
    ),
    Mutant(
        "the name of a written file is not synchronised",
        _in_files(
            "            os.fsync(directory)\n\n    def make_directory",
            "\n    def make_directory",
        ),
        "Whoever was told that a mark is written would find the old one.",
        LIVES,
    ),
    Mutant(
        "a file is written in its place",
        _in_files(
            "        unfinished = UNFINISHED_PREFIX + name\n        with self._directory(parents) as directory, _replacing(directory, unfinished):\n            descriptor",
            "        unfinished = name\n        with self._directory(parents) as directory, _replacing(directory, unfinished):\n            descriptor",
        ),
        "A power loss in the middle would leave neither the old nor the new.",
        LIVES,
    ),
    Mutant(
        "a new directory is not synchronised in the one above",
        _in_files(
            "                os.mkdir(names[depth - 1], 0o755, dir_fd=parent)\n                os.fsync(parent)\n",
            "                os.mkdir(names[depth - 1], 0o755, dir_fd=parent)\n",
        ),
        "A file is as durable as the names of all directories above it.",
        LIVES,
    ),
    Mutant(
        "a new root is not synchronised",
        _in_files(
            "    try:\n        os.fsync(descriptor)\n    finally:\n        os.close(descriptor)\n",
            "    os.close(descriptor)\n",
        ),
        "The first file of a new computer would go with its root.",
        LIVES,
    ),
    Mutant(
        "the name of a link is not synchronised",
        _in_files(
            "            os.fsync(directory)\n\n    def target", "\n    def target"
        ),
        "An instance would run from the release that it had before.",
        LIVES,
    ),
    Mutant(
        "a removal is not synchronised",
        _in_files(
            "            if is_removed:\n                os.fsync(directory)\n", ""
        ),
        "What was sent and removed would be there again, and be sent again.",
        LIVES,
    ),
    Mutant(
        "an installed instance is processed before its files are on the disk",
        (
            Change(
                "slapgrid/performing.py",
                "        failure = await self.partitions.write_out()\n",
                "        failure = None\n",
            ),
            Change(
                "slapgrid/life.py",
                "            self._agent.forget_processed()\n        self._tree",
                "            pass\n        self._tree",
            ),
        ),
        "The mark would say that an instance is there whose files a power loss took. After a start of the computer all is done again: that is left out, too.",
        ("sudden",),
    ),
    Mutant(
        "a release is complete before its files are on the disk",
        (
            Change(
                "slapgrid/software/releases.py",
                '            self._tree.write(f"{directory}/{UPLOAD_FILE}", b"")\n        return await write_out(self._runtime, self._tree.path(directory))\n',
                '            self._tree.write(f"{directory}/{UPLOAD_FILE}", b"")\n        return None\n',
            ),
        ),
        "Instances would be installed from a release of which a part is missing.",
        ("sudden",),
    ),
    Mutant(
        "a commit is told before it is on the disk",
        (
            Change(
                STORAGES,
                "            super()._finish_finish(tid)\n",
                "            self._file.flush()\n            self._pos, self._ltid = self._nextpos, tid\n            self._index.update(self._tindex)\n",
            ),
        ),
        "A power loss would take what was acknowledged.",
        COMMITS,
    ),
    Mutant(
        "the name of a new store is not synchronised",
        (Change(STORAGES, "        synchronise(directory)\n", ""),),
        "All of it would go with its name.",
        COMMITS,
    ),
    Mutant(
        "a commit that failed is not taken back on the disk",
        (
            Change(
                STORAGES,
                "        os.fsync(self._file.fileno())\n        self._files.empty()\n",
                "        self._files.empty()\n",
            ),
        ),
        "What was refused may be there after a power loss.",
        COMMITS,
    ),
    Mutant(
        "a commit that failed is not taken back",
        (Change(STORAGES, "            self._take_back(error)\n", ""),),
        "One bad moment of a disk would refuse all that follows.",
        COMMITS,
    ),
    Mutant(
        "a backup has its name before its content is on the disk",
        (
            Change(
                BACKUP,
                "            watch(done, total)\n        os.fsync(descriptor)\n",
                "            watch(done, total)\n",
            ),
        ),
        "It would be torn when it is needed: after a power loss.",
        COMMITS,
    ),
    Mutant(
        "the name of a backup is not synchronised",
        (Change(BACKUP, "    synchronise(str(target.absolute().parent))\n", ""),),
        "It was told to be there, and would be gone.",
        COMMITS,
    ),
)
