"""The Python console: the names of the stock one, against a real mini-master."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from slap import calls
from slap.calls import Call
from slap.errors import NotFound, NotReady, Unreachable
from slapcluster.cli import slapgrid
from slapcluster.console.connecting import (
    Addressee,
    connect,
    identified,
    read_addressee,
)
from slapcluster.console.naming import names_of
from slapcluster.console.running import Prompt, run_script
from slapcluster.outcomes import CommandFailed, ExitCode
from tests.unit.slapcluster.desk import RELEASE_URL, Desk, a_desk, a_key

REQUEST = f"request('{RELEASE_URL}', 'greeter', filter_kw={{'computer_guid': 'local'}}"


@pytest.fixture
def desk() -> Iterator[Desk]:
    with a_desk() as desk:
        desk.format()
        desk.perform(calls.get_computer("local"))
        yield desk


def test_an_instance_is_shown_with_its_place_state_and_parameters(desk: Desk) -> None:
    code = f"{REQUEST}, partition_parameter_kw={{'a': 1}})"
    desk.type("console", "-c", code)
    desk.perform(calls.publish_connection(a_key(), {"url": "http://[fd00::]/"}))

    typed = desk.type("console", "-c", code)

    assert typed.exit_code == 0, typed.output
    assert typed.stdout == (
        "greeter: started on local/slappart0\n"
        f"  release     {RELEASE_URL} (default)\n"
        "  parameters  a = 1\n"
        "  publishes   url = http://[fd00::]/\n"
    )


def test_a_script_of_the_stock_console_runs_unchanged(desk: Desk) -> None:
    """Its names, keywords and blank lines after blocks; what is shown is printed."""
    script = f"""\
supply(software_release='{RELEASE_URL}', computer_guid='local')
instance = slap.registerOpenOrder().request(
    software_release='{RELEASE_URL}', partition_reference='greeter',
    partition_parameter_kw={{'greeting': 'hey'}}, software_type='default',
    filter_kw={{'computer_guid': 'local'}}, state='started', shared=False)
print(instance.getId(), instance.getState(), instance.getType())
computer = slap.registerComputer('local')
for p in computer.getComputerPartitionList():
    print(p.getId(), p.getState(), p.getInstanceParameterDict().get('greeting'))

for r in computer.getSoftwareReleaseList():
    print(r.getURI(), r.getState())

p = slap.registerComputerPartition('local', 'slappart0')
p.getConnectionParameterDict()
sorted(set(p.getInstanceParameterDict()) - {{'greeting', 'timestamp'}})[:2]
p.bang('again')
"""
    typed = desk.type("console", stdin=script)

    assert typed.exit_code == 0, typed.output
    assert typed.stdout.splitlines() == [
        "slappart0 started default",
        "slappart0 started hey",
        "slappart1 destroyed None",
        "slappart2 destroyed None",
        f"{RELEASE_URL} available",
        "{}",
        "['instance_title', 'ip_list']",
    ]


def test_json_shows_each_value_as_a_document(desk: Desk) -> None:
    typed = desk.type("--output", "json", "console", "-c", f"{REQUEST})")

    document = json.loads(typed.stdout)
    assert document["key"] == {"computer_id": "local", "partition_id": "slappart0"}
    assert document["connection_parameters"] == {}
    assert document["title"] == "greeter"


def test_an_instance_that_is_not_there_yet_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What needs it asks again, and is exit code 2; only showing it is not."""
    asked = []

    def perform(call: Call) -> object:
        asked.append(call.method)
        raise NotReady("nobody placed it")

    names = names_of(perform, "")
    shown = run_script(names, "it = request('u', 'x')\nit", is_json=False)

    assert shown == ExitCode.DONE
    assert capsys.readouterr().out == (
        "x: accepted, not there yet (nobody placed it); "
        "the same line again asks again\n"
    )
    with pytest.raises(CommandFailed) as raised:
        run_script(names, "1\nit.connection_parameters", is_json=False)
    assert raised.value.exit_code == ExitCode.PENDING
    assert raised.value.sentence.startswith("line 2: Accepted, not there yet: nobody")
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        ("computer('absent').getStatus()", 1, "line 1: "),
        ("\nrequest('u', 'x', state='begun')", 1, "line 2: The master refuses: state"),
        ("supply('u')", 1, "name the computer: computer_guid='...'"),
        ("request('u', 'x', [1])", 1, "partition_parameter_kw must be a dictionary"),
        ("1 +", 1, "SyntaxError"),
        ("x = 1\nx / 0", 1, "line 2, in <module>\n    x / 0"),
        ("raise SystemExit(7)", 7, ""),
        ("product.absent", 1, "absent"),
        ("service('absent')", 1, "absent"),
        (
            "computer('local').getComputerPartitionList()[0].getSoftwareRelease()",
            1,
            "free",
        ),
        ("try:\n    product.absent\nexcept NotFound:\n    pass", 0, ""),
    ],
)
def test_errors_are_sentences_and_exit_codes(
    desk: Desk, code: str, exit_code: int, said: str
) -> None:
    typed = desk.type("console", "-c", code)

    assert (typed.exit_code, typed.stdout) == (exit_code, "")
    assert said in typed.stderr
    assert "slapcluster/console" not in typed.stderr


def test_nothing_after_an_error_is_done(desk: Desk) -> None:
    typed = desk.type("console", "-c", "1\nproduct.absent\n2")

    assert typed.stdout == "1\n"


def test_computers_services_and_products_are_at_hand(desk: Desk) -> None:
    desk.read("product", "add", "hello", RELEASE_URL)
    script = f"{REQUEST}); product.hello; computer('local'); service('greeter')"

    shown = desk.type("console", "-c", script).stdout

    assert f"'{RELEASE_URL}'" in shown
    assert "computer local\n  slappart0: started greeter\n  slappart1: free" in shown
    assert "INSTANCE" in shown


def test_a_master_that_is_away_is_exit_code_3() -> None:
    with a_desk(has_master=False) as desk:
        typed = desk.type("console", "-c", "computer('local')")

    assert typed.exit_code == ExitCode.MASTER_AWAY


def test_the_prompt_says_a_sentence_and_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse() -> None:
        raise NotFound("no such thing")

    prompt = Prompt({"refuse": refuse})
    prompt.push("refuse()")
    prompt.push("print('on')")

    said = capsys.readouterr()
    assert said.out == "on\n"
    assert said.err.startswith("no such thing. ")
    assert said.err.count("\n") == 1


def test_a_configuration_names_master_computer_and_certificate(
    desk: Desk, tmp_path: Path
) -> None:
    """The person's certificate wins; a master that is typed wins over the file's."""
    text = """[slapos]
master_url = http://127.0.0.1:5000/ http://127.0.0.2:5000/
computer_id = local
key_file = /computer/key
cert_file = /computer/cert
[slapconsole]
cert_file = /person/cert
"""
    path = tmp_path / "slapos.cfg"
    path.write_text(text.replace("127.0.0.1:5000", "127.0.0.9:1"))
    code = "supply('u'); computer().getSoftwareReleaseList()[0].getURI()"
    words = ("console", "--cfg", str(path), "-c", code)

    without = desk.type(*words)
    typed = desk.type("--master", "http://127.0.0.1:5000/", *words)

    assert without.exit_code == ExitCode.MASTER_AWAY
    assert typed.stdout == "'u'\n"
    assert read_addressee(text, "it") == Addressee(
        ("http://127.0.0.1:5000/", "http://127.0.0.2:5000/"),
        "local",
        "/computer/key",
        "/person/cert",
    )
    assert "console" in slapgrid.commands


def test_an_identity_is_who_asks_and_whom_to_believe() -> None:
    text = "[slapos]\nmaster_url = https://[::1]/\nmaster_ca_file = /root.crt\n"
    read = read_addressee(text, "it")

    assert read.roots_path == "/root.crt"
    assert identified(read, "") == read
    assert identified(read, "/ada") == Addressee(
        ("https://[::1]/",),
        key_path="/ada/own.key",
        certificate_path="/ada/own.crt",
        roots_path="/ada/root.crt",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[slapos]\n", "master_url is missing"),
        ("computer_id", "not a configuration file"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_named(text: str, said: str) -> None:
    with pytest.raises(CommandFailed, match=said) as raised:
        read_addressee(text, "slapos.cfg")

    assert raised.value.sentence.startswith("slapos.cfg: ")


def test_a_script_is_read_from_a_file(desk: Desk, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("computer('local').getId()")

    assert desk.type("console", str(script)).stdout == "'local'\n"


def test_each_replica_is_asked_once_before_the_master_is_away() -> None:
    """Real sockets: nobody listens on port 1."""
    perform = connect(Addressee(("http://127.0.0.1:1/", "http://127.0.0.2:1/")))

    with pytest.raises(Unreachable, match=r"127\.0\.0\.2"):
        perform(Call("getRunId"))


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(CommandFailed, match="'ftp://m/' is no http address"):
        connect(Addressee(("ftp://m/",)))
