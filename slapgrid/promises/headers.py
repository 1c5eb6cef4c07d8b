"""Core. The head of a plug-in, which names the ``sys.path`` that it runs under."""

from __future__ import annotations

import ast


def read_plugin_path(source: str) -> tuple[str, ...] | None:
    """The entries of the first assignment, ``sys.path[0:0] = ...``.

    ``None`` when it is another one: such a plug-in fails when it is run.
    """
    try:
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.Assign):
                if ast.unparse(statement.targets[0]) != "sys.path[0:0]":
                    return None
                return tuple(map(str, ast.literal_eval(statement.value)))
    except (ValueError, SyntaxError, TypeError, RecursionError):
        return None
    return None
