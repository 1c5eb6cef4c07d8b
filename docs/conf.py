"""How Sphinx builds the documentation."""  # noqa: INP001 - read by its path

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx

from slap.methods import render_reference
from slap.openapi import encode_openapi

TOP = Path(__file__).resolve().parent.parent
PACKAGES = ("slap", "runtime", "master_cluster", "slapgrid", "slapcluster", "labsim")


def render_modules() -> str:
    """One line per module, in its own words: the first sentence of its docstring."""
    return "\n".join(line for package in PACKAGES for line in module_lines(package))


def module_lines(package: str) -> Iterator[str]:
    for path in sorted((TOP / package).rglob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        first = docstring.partition("\n\n")[0].replace("\n", " ").replace("|", r"\|")
        if path.name == "__init__.py":
            folder = path.parent.relative_to(TOP)
            yield f"\n**`{folder}/`** {first}\n"
        else:
            yield f"- `{path.stem}`: {first}"


project = "slapcluster"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "A SlapOS master that hosts itself"}
html_show_copyright = False

myst_enable_extensions = ["substitution"]
myst_substitutions = {
    "slap_methods": render_reference(),
    "modules": render_modules(),
}
myst_heading_anchors = 3


def write_openapi(app: Sphinx, error: Exception | None) -> None:
    """Put the description of the JSON methods beside the pages."""
    if error is None:
        (Path(app.outdir) / "openapi.json").write_bytes(encode_openapi())


def setup(app: Sphinx) -> None:
    app.connect("build-finished", write_openapi)
