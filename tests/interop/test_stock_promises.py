"""Promises that stand on the stock base class, run as the agent does, cold and warm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.real import build_runtime
from slapgrid.config import Config
from slapgrid.convergence.views import PromiseView
from slapgrid.identity import Identity
from slapgrid.layout import PROMISE_CACHE_DIRECTORY, PROMISE_RESULT_DIRECTORY
from slapgrid.promises.jobs import PromiseMode, PromiseRun
from slapgrid.promises.records import find_promises, view_promise
from slapgrid.promises.running import PromiseRound, PromiseRunner
from slapgrid.service import observe_platform
from slapgrid.warm.servers import WarmServers
from slapgrid.warm.warmth import Warmth
from tests.interop.stock import stock_environment
from tests.reactor import ReactorBench

#: As slapos.cookbook generates them, head included.
PLUGIN = """\
import sys
sys.path[0:0] = {path!r}
extra_config_dict = {extra!r}
for module in list(sys.modules):
  if 'slapos' in module or 'pkg_resources' in module:
    del sys.modules[module]
from zope.interface import implementer
from slapos.grid.promise import interface
from slapos.grid.promise.generic import GenericPromise
import os
@implementer(interface.IPromise)
class RunPromise(GenericPromise):
  def __init__(self, config):
    GenericPromise.__init__(self, config)
    self.setPeriodicity(minute=3)
  def sense(self):
    if os.path.exists('broken'):
      self.logger.error('it is broken')
    elif os.path.exists('raising'):
      raise OSError('no disc')
    else:
      self.logger.info('it is fine')
  def test(self):
    return self._test(result_count=2, failure_amount=2)
  def anomaly(self):
    return self._anomaly(result_count=3, failure_amount=2)
"""


class Bench:
    """A partition with one plug-in on the stock base class."""

    def __init__(
        self,
        run_real: ReactorBench,
        root: Path,
        *,
        is_warm: bool,
        is_path_named: bool = True,
    ) -> None:
        environment = stock_environment()
        self.run_real = run_real
        self.runtime = build_runtime(run_real.reactor)
        self.root = root / "i" / "slappart0"
        (self.root / "etc/plugin").mkdir(parents=True)
        packages = environment.parent.glob("lib/python*/site-packages")
        # An interpreter that has the packages by itself needs no path.
        self.path = [str(each) for each in packages] if is_path_named else []
        config = Config(
            computer_id="COMP-1",
            master_urls=("http://127.0.0.1:9/",),
            software_root=str(root / "s"),
            instance_root=str(root / "i"),
        )
        self.warm = WarmServers(config, self.runtime, observe_platform())
        # Whoever is root runs no partition as root: here everything is this user's.
        self.runner = PromiseRunner(
            config, self.runtime, observe_platform(), self.warm if is_warm else None
        )
        python = str(environment / "python")
        self.warmth = Warmth(str(root), "1", (python, "-I"), "", "")

    def add(self, **extra: str) -> None:
        text = PLUGIN.format(path=self.path, extra=extra)
        (self.root / "etc/plugin/check.py").write_text(text)

    def run(self, *modes: PromiseMode) -> list[PromiseRun]:
        """Run the promise once in each of these modes, with one runner."""
        files = self.runtime.file_tree(str(self.root))
        promises = find_promises(("check.py",), ())

        async def scenario() -> list[PromiseRun]:
            runs: list[PromiseRun] = []
            for mode in modes:
                wanted = PromiseRound(
                    "slappart0", files, Identity(), self.warmth, promises, mode
                )
                runs += await self.runner.run(wanted)
            await self.warm.stop()
            return runs

        return self.run_real(scenario(), timeout_seconds=120)

    def view(self) -> PromiseView:
        cache = (self.root / PROMISE_CACHE_DIRECTORY / "check").read_bytes()
        name = f"{PROMISE_RESULT_DIRECTORY}/check.status.json"
        result = (self.root / name).read_bytes()
        (promise,) = find_promises(("check.py",), ())
        return view_promise(promise, cache, result, self.runtime.calendar.now())


@pytest.fixture(params=["cold", "warm", "warm without a path"])
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, run_real: ReactorBench
) -> Bench:
    return Bench(
        run_real,
        tmp_path,
        is_warm=request.param != "cold",
        is_path_named=request.param != "warm without a path",
    )


TEST, ANOMALY = PromiseMode.TEST, PromiseMode.ANOMALY


def test_a_stock_promise_judges_by_its_earlier_runs(bench: Bench) -> None:
    """It reads its own log: one failure of two is borne, two are not."""
    bench.add()
    assert [each.is_failed for each in bench.run(TEST, TEST)] == [False, False]
    (bench.root / "broken").touch()

    runs = bench.run(TEST, TEST, TEST)

    assert [(run.is_failed, run.message) for run in runs] == [
        (False, "it is broken"),
        (True, "it is broken"),
        (True, "it is broken"),
    ]
    cache = json.loads((bench.root / PROMISE_CACHE_DIRECTORY / "check").read_text())
    assert cache["periodicity"] == 3
    assert cache["module_file"] == str(bench.root / "etc/plugin/check.py")


@pytest.mark.parametrize(
    ("extra", "may_bang"),
    [
        ({}, True),
        ({"bang-on-failure": "false"}, False),
        ({"bang-on-failure": "true"}, True),
    ],
)
def test_a_stock_promise_says_whether_it_may_bang(
    bench: Bench, extra: dict[str, str], *, may_bang: bool
) -> None:
    """Its second failure in a row is an anomaly."""
    bench.add(**extra)
    (bench.root / "broken").touch()

    runs = bench.run(ANOMALY, ANOMALY)

    assert [run.is_failed for run in runs] == [False, True]
    assert (bench.view().anomaly_at is not None) is may_bang


def test_what_a_stock_promise_raises_reaches_the_user(bench: Bench) -> None:
    """The whole traceback, where stock nodes keep the last line."""
    bench.add()
    (bench.root / "raising").touch()

    runs = bench.run(TEST, TEST)

    assert runs[1].is_failed
    assert "Traceback" in runs[1].message
    assert "OSError: no disc" in runs[1].message
