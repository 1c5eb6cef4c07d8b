"""A release on slapos.cookbook 1.0.514, which either agent can make instances of.

Our agent builds it. Its buildout is the published one, which is no use for instances
without repairs; stock nodes have a fork of their own instead. So that the stock agent
can make instances too, ``let_stock_agent_use`` puts the repairs in front.
"""

from __future__ import annotations

from pathlib import Path

from tests.interop.stock import recipe_wheels, stock_environment

SOFTWARE = """\
[buildout]
parts = eggs instance plugin
find-links = {wheels}
index = {wheels}
allow-hosts =

[eggs]
recipe = zc.recipe.egg
eggs = slapos.cookbook

[template]
recipe = slapos.recipe.template

[instance]
<= template
url = {home}/instance.cfg.in
output = ${{buildout:directory}}/instance.cfg

[plugin]
<= template
url = {home}/promise.py.in
output = ${{buildout:directory}}/promise.py.in
"""

INSTANCE = """\
[buildout]
parts = slap-configuration directory service once promise plugin publish
eggs-directory = ${buildout:eggs-directory}
develop-eggs-directory = ${buildout:develop-eggs-directory}
eggs-directory-version =

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration
computer = $${slap-connection:computer-id}
partition = $${slap-connection:partition-id}
url = $${slap-connection:server-url}
key = $${slap-connection:key-file}
cert = $${slap-connection:cert-file}

[directory]
recipe = slapos.cookbook:mkdirectory
etc = $${buildout:directory}/etc
service = $${:etc}/service
run = $${:etc}/run
promise = $${:etc}/promise
plugin = $${:etc}/plugin

[service]
recipe = slapos.cookbook:wrapper
command-line = /bin/sleep 1000000
wrapper-path = $${directory:service}/sleeper

[once]
recipe = slapos.cookbook:wrapper
command-line = /bin/true
wrapper-path = $${directory:run}/once

[promise]
recipe = slapos.cookbook:wrapper
command-line = /bin/true
wrapper-path = $${directory:promise}/always

[plugin]
recipe = slapos.recipe.template
url = ${buildout:directory}/promise.py.in
output = $${directory:plugin}/settings.py

[publish]
recipe = slapos.cookbook:publish
ready = yes
"""

PLUGIN = """\
import sys
sys.path[0:0] = [{packages!r}]
import os
from zope.interface import implementer
from slapos.grid.promise import interface
from slapos.grid.promise.generic import GenericPromise

@implementer(interface.IPromise)
class RunPromise(GenericPromise):
    def __init__(self, config):
        super().__init__(config)
        self.setPeriodicity(minute=2)

    def sense(self):
        path = os.path.join(self.getPartitionFolder(), "etc")
        (self.logger.info if os.path.exists(path) else self.logger.error)("etc")

    def test(self):
        return self._test(result_count=1, failure_amount=1)

    def anomaly(self):
        return self._test(result_count=1, failure_amount=1)
"""

REPAIRED = """\
#!{python}
import runpy, sys
# As with -S: the packages of the host are no part of the release.
sys.path[:] = [each for each in sys.path if "packages" not in each]
sys.argv[:1] = [{shim!r}, {script!r}]
runpy.run_path({shim!r}, run_name="__main__")
"""


def write_cookbook_release(home: Path) -> str:
    """Write the profile; its URL."""
    (home / "instance.cfg.in").write_text(INSTANCE)
    (home / "promise.py.in").write_text(render_plugin())
    url = home / "software.cfg"
    url.write_text(SOFTWARE.format(home=home, wheels=recipe_wheels()))
    return str(url)


def render_plugin() -> str:
    """A promise on slapos.core, whose path is named as generated plug-ins do."""
    (packages,) = stock_environment().parent.glob("lib/python3*/site-packages")
    return PLUGIN.format(packages=str(packages))


def let_stock_agent_use(release: Path, shim: str) -> None:
    """Have ``bin/buildout`` of the release run with the repairs of ``shim``."""
    script = release / "bin/buildout"
    python = script.read_text().partition("\n")[0].removeprefix("#!").split()[0]
    published = script.rename(script.with_name("published-buildout"))
    repaired = REPAIRED.format(python=python, shim=shim, script=str(published))
    script.write_text(repaired)
    script.chmod(0o755)
