"""Usage documents of ours at the stock master, which acknowledges and drops them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from runtime.real import build_runtime
from slap.replicas import Replicas
from slapgrid.slap_client import SlapClient
from tests import programs
from tests.emulation.usage_driver import a_config, build_reporter
from tests.interop.stock_agent import build_stock_computer
from tests.reactor import ReactorBench

REPORT = (
    "<consumption><movement><resource>service_module/visits</resource>"
    "<quantity>7</quantity><price>0.0</price><VAT></VAT></movement></consumption>"
)


def test_the_stock_master_takes_our_documents(run_real: ReactorBench) -> None:
    """Nothing waits for it then; what it does with them is its own."""
    port = programs.free_port()
    with TemporaryDirectory(prefix="stock-") as home:
        computer = build_stock_computer(Path(home), f"http://127.0.0.1:{port}/", 1)
        reports = computer.instance_root / "slappart0" / "var" / "xml_report"
        reports.mkdir(parents=True)
        (reports / "one").write_text(REPORT)
        config = a_config(f"http://127.0.0.1:{port}", home)
        runtime = build_runtime(run_real.reactor)

        async def report() -> str:
            client = SlapClient(runtime, Replicas(config.master_urls))
            try:
                reporter = build_reporter(runtime, config, client)
                return (await reporter.report(("slappart0",))).reason
            finally:
                await client.close()

        waiting = run_real(report())
        proxy = computer.argv("proxy", "start")
        with programs.running(proxy, computer.home / "proxy.log"):
            programs.eventually(
                lambda: programs.is_listening("127.0.0.1", port), 30, "the stock master"
            )
            delivered = run_real(report())
        again = run_real(report())

    assert waiting.startswith("0 usage documents delivered, 1 wait: no answer from")
    assert delivered == "1 usage documents delivered"
    assert again == "0 usage documents delivered"
