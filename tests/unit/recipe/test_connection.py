"""The line from a recipe to its master."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from pathlib import Path
from threading import Thread  # noqa: TID251 - recipes block, so their peer cannot

import pytest
from zc.buildout import UserError

from slap import calls
from slap.errors import Forbidden, ServerError, Unavailable, Unreachable
from slap.model import Partition, PartitionKey, RequestedState
from slapgrid.recipe import master_link
from slapgrid.recipe.connection import read_connection
from tests.unit.recipe.loopback_master import serve
from tests.unit.recipe.sections import a_buildout

DEAD = "http://127.0.0.1:1"
CALL = calls.get_partition(PartitionKey("COMP-1", "slappart3"))


@contextmanager
def peer(answer):
    """The address of something that reads a call and writes these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve_one():
            stream, _ = listener.accept()
            with stream:
                stream.recv(65536)
                # The other side may have gone, having read enough.
                try:
                    stream.sendall(answer)
                except OSError:
                    return

        thread = Thread(target=serve_one)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def perform(master_url):
    return read_connection(a_buildout(Path("/"), master_url)).perform(CALL)


def test_the_root_of_a_cloud_is_that_of_the_agent():
    """Masters are known by it, where there is one."""
    profile = a_buildout(Path("/"), "https://[fd00::1]:5443")
    assert read_connection(profile).links.links[0].roots_path == ""
    profile["slap-connection"]["master-ca-file"] = "/etc/root.crt"
    assert read_connection(profile).links.links[0].roots_path == "/etc/root.crt"


def several(*urls):
    profile = a_buildout(Path("/"), "http://127.0.0.1:1")
    profile["slap-connection"]["server-urls"] = " ".join(urls)
    return read_connection(profile)


def test_the_next_replica_is_asked_when_one_cannot_answer():
    """Dead, away, or talking nonsense; who answered is asked first the next time."""
    partition = Partition(PartitionKey("COMP-1", "slappart3"), RequestedState.DESTROYED)

    def be_away(_call):
        raise Unavailable("no quorum")

    with (
        serve(be_away) as away,
        serve(lambda _: partition) as there,
        peer(b"nonsense\r\n\r\n") as odd,
    ):
        connection = several(DEAD, away.url, odd, there.url, DEAD)
        assert connection.perform(CALL) == partition
        assert connection.perform(CALL) == partition
    assert (len(away.calls), len(there.calls)) == (1, 2)


def test_a_refusal_is_the_answer_of_all_replicas():
    def refuse(_call):
        raise Forbidden("not yours")

    with serve(refuse) as first, serve(refuse) as second, pytest.raises(Forbidden):
        several(first.url, second.url).perform(CALL)
    assert second.calls == []


def test_each_replica_that_could_not_answer_is_named():
    with pytest.raises(Unreachable, match=f"{DEAD}: .*refused; {DEAD}/x: .*refused"):
        several(DEAD, f"{DEAD}/x").perform(CALL)


def test_a_list_without_an_address_is_refused():
    with pytest.raises(UserError, match="option server-urls: no master is known"):
        several("")


def test_an_error_of_the_master_is_raised_as_its_class():
    """With its sentence and what it says of the future."""

    def refuse(_call):
        raise Unavailable("no quorum", 7)

    with serve(refuse) as master, pytest.raises(Unavailable) as caught:
        perform(master.url + "/")
    assert (caught.value.sentence, caught.value.retry_after_seconds) == ("no quorum", 7)


def test_a_master_that_does_not_listen_is_unreachable():
    """The sentence names the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match=f"^http://127.0.0.1:{port}: .*refused"):
        perform(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (b"", Unreachable, "closed connection"),
        (b"nonsense\r\n\r\n", Unreachable, "nonsense"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Unreachable, "5 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n<nothing/>", ServerError, "not understood"),
        (b"HTTP/1.1 302 Go\r\nLocation: http://x/\r\n\r\n", ServerError, "302"),
        (
            b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (master_link.ANSWER_BYTES_MAX + 1),
            Unreachable,
            "more than",
        ),
    ],
    ids=["nothing", "no HTTP", "half", "no document", "elsewhere", "too much"],
)
def test_a_wrong_answer_is_an_error_of_the_master(answer, error, sentence):
    """Bounded in size, followed nowhere, and never taken for a value."""
    with peer(answer) as master_url, pytest.raises(error, match=sentence):
        perform(master_url)


@pytest.mark.parametrize(
    "master_url", ["", "ftp://host/", "http://", "http://host:port/", "http://[::1/"]
)
def test_an_address_that_is_none_is_refused(master_url):
    """The error names the option that the agent wrote."""
    sentence = r"section \[slap-connection\], option server-url: "
    with pytest.raises(UserError, match=sentence):
        read_connection(a_buildout(Path("/"), master_url))
