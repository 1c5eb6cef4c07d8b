"""The program of release 2.0: it says who it is, and all it knows as JSON.

/                    as in 1.0, and which release speaks
/about               release, title, parameters, children and shared instances
/shared/REFERENCE    as in 1.0
"""

# ruff: noqa: INP001 - a file of a release, not of a package

from __future__ import annotations

import json

import greeter


class Pages(greeter.Pages):
    """Those of 1.0, one of them longer, and a new one."""

    release = "2.0"

    def page(self, path: str, configuration: dict) -> greeter.Page:
        if path == "/about":
            about = {"release": self.release, **configuration}
            content = json.dumps(about, indent=2, sort_keys=True) + "\n"
            return greeter.Page(content, content_type="application/json")
        return super().page(path, configuration)

    def front(self, configuration: dict) -> str:
        return super().front(configuration) + f"hello {self.release}\n"


if __name__ == "__main__":
    greeter.main(Pages())
