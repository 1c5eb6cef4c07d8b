"""What is there on this host: asked of ``ip``, read from ``/etc`` and the trees."""

from __future__ import annotations

from runtime.ports import FileKind, IFileTree, Program, Runtime
from slapgrid.environment import clean_environment
from slapgrid.format.choosing import FormatRefused
from slapgrid.format.computer import FormattedComputer
from slapgrid.format.machine import (
    Accounts,
    FoundEntry,
    ObservedFiles,
    ObservedNetwork,
    decode_accounts,
    decode_links,
    decode_routes,
)
from slapgrid.layout import RESOURCE_FILE

#: A program that reads tables of the kernel; more means that it hangs.
ASK_SECONDS_MAX = 30.0
#: 16,000 partitions with two devices each; an address takes 300 bytes, a link 1,000.
ANSWER_BYTES_MAX = 64 * 1024 * 1024
#: A record of 16,000 partitions has 40 MB; the largest /etc/passwd is far below.
FILE_BYTES_MAX = 64 * 1024 * 1024
#: The kernel reserves what is asked for before it answers with a digit.
SETTING_BYTES_MAX = 64
NONLOCAL_BINDING = ("/proc/sys/net/ipv6", "ip_nonlocal_bind")


async def observe_network(runtime: Runtime) -> ObservedNetwork:
    """Links, addresses and routes, as they are now."""
    links = await _ask(runtime, "-details", "address", "show")
    routes = [
        decode_routes(
            await _ask(runtime, f"-{version}", "route", "show", "table", "all"), version
        )
        for version in (4, 6)
    ]
    directory, name = NONLOCAL_BINDING
    setting = read_file(runtime.file_tree(directory), name, SETTING_BYTES_MAX)
    return ObservedNetwork(
        decode_links(links),
        routes[0] | routes[1],
        setting is not None and setting.strip() == b"1",
    )


async def _ask(runtime: Runtime, *words: str) -> bytes:
    ended = await runtime.processes.run(
        Program(
            ("ip", "-json", *words),
            directory="/",
            environment=clean_environment("/"),
            timeout_seconds=ASK_SECONDS_MAX,
            output_bytes_max=ANSWER_BYTES_MAX,
        )
    )
    if not ended.is_success:
        said = ended.output.decode(errors="replace").strip()
        raise FormatRefused(
            f"the network cannot be observed: {said}; install iproute2, or set "
            "ipv6_network instead of interface_name"
        )
    return ended.output.strip()


def observe_accounts(runtime: Runtime) -> Accounts:
    """The users and groups of this host's own files."""
    tree = runtime.file_tree("/etc")
    passwd, group, shadow = (
        read_file(tree, it) or b"" for it in ("passwd", "group", "shadow")
    )
    return decode_accounts(passwd, group, shadow)


def observe_files(
    runtime: Runtime, computer: FormattedComputer, roots: tuple[str, str]
) -> ObservedFiles:
    """The directories that a computer needs, and what recipes read now."""
    directories: dict[str, FoundEntry] = {}
    contents: dict[str, bytes] = {}
    for root in roots:
        _look(directories, runtime.file_tree(root), root, "")
    tree = runtime.file_tree(roots[0])
    for partition in computer.partitions:
        name = partition.path.rpartition("/")[2]
        _look(directories, tree, partition.path, name)
        if partition.path in directories:
            content = read_file(tree, f"{name}/{RESOURCE_FILE}")
            if content is not None:
                contents[f"{partition.path}/{RESOURCE_FILE}"] = content
        for storage in partition.storages:
            parent, _, last = storage.rpartition("/")
            _look(directories, runtime.file_tree(parent), storage, last)
    return ObservedFiles(directories, contents)


def _look(
    directories: dict[str, FoundEntry], tree: IFileTree, path: str, relative: str
) -> None:
    found = tree.status(relative)
    if found is not None:
        is_directory = found.kind is FileKind.DIRECTORY
        directories[path] = FoundEntry(is_directory, found.mode, found.uid)


def find_storages(runtime: Runtime, home: str) -> tuple[str, ...]:
    """The directories ``data<number>`` of the storage home, in their order."""
    if not home:
        return ()
    tree = runtime.file_tree(home)
    if tree.status("") is None:
        raise FormatRefused(
            f"instance_storage_home {home} does not exist: mount it, or remove the key"
        )
    numbers = sorted(
        int(number)
        for name in tree.list()
        if (number := name.removeprefix("data")) != name and number.isdecimal()
    )
    return tuple(f"{home.rstrip('/')}/data{number}" for number in numbers)


def read_file(
    tree: IFileTree, relative: str, bytes_max: int = FILE_BYTES_MAX
) -> bytes | None:
    """The content of a file; ``None`` when there is none, or not for us."""
    try:
        return tree.read(relative, bytes_max)
    except (FileNotFoundError, PermissionError):
        return None


def read_path(runtime: Runtime, path: str) -> bytes | None:
    """The content of the file at an absolute path."""
    directory, _, name = path.rpartition("/")
    return read_file(runtime.file_tree(directory or "/"), name)
