"""How Sphinx builds the documentation."""  # noqa: INP001 - read by its path

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from attrs import NOTHING
from sphinx.application import Sphinx

from slap.methods import render_reference
from slap.openapi import encode_openapi
from slapgrid.config import every_key
from slapgrid.settings import NEGATED_FLAG, Area, Key
from slapgrid.stock_keys import IGNORED, IGNORED_SECTIONS, REFUSED

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


def render_settings() -> str:
    """Tables of the keys of ``slapos.cfg``: read, ignored, refused."""
    read = [
        (
            f"`[{key.section}] {key.name}`",
            key.kind.what,
            render_default(area, key),
            key.meaning,
        )
        for area, key in every_key()
    ]
    ignored = [(f"`[{place[0]}] {place[1]}`", why) for place, why in IGNORED.items()]
    ignored += [
        (f"`[{section}]`, all keys", "other programs read it")
        for section in sorted(IGNORED_SECTIONS)
    ]
    refused = [(f"`[{place[0]}] {place[1]}`", why) for place, why in REFUSED.items()]
    return "\n\n".join(
        (
            "## Keys that are read",
            render_table(("key", "value", "default", "meaning"), read),
            "## Stock keys that change nothing here",
            render_table(("key", "why"), ignored),
            "## Stock keys that are refused",
            render_table(("key", "why"), refused),
        )
    )


def render_default(area: Area, key: Key) -> str:
    default = area.default(key)
    if default is NOTHING:
        return "mandatory"
    if default is None or default in ("", ()):
        return ""
    if key.kind is NEGATED_FLAG:
        default = not default
    if isinstance(default, bool):
        return str(default).lower()
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def render_table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *sorted(rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
    "agent_settings": render_settings(),
}
myst_heading_anchors = 3


def write_openapi(app: Sphinx, error: Exception | None) -> None:
    """Put the description of the JSON methods beside the pages."""
    if error is None:
        (Path(app.outdir) / "openapi.json").write_bytes(encode_openapi())


def setup(app: Sphinx) -> None:
    app.connect("build-finished", write_openapi)
