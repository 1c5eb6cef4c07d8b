"""Core. The addresses of the pages: names stand in the query, whatever they hold."""

from __future__ import annotations

from slap.form import render_form

TOP = "/panel/"


def _address(path: str, /, **names: str | None) -> str:
    given = {name: text for name, text in names.items() if text}
    return f"{TOP}{path}?{render_form(given)}" if given else TOP + path


def overview() -> str:
    return TOP


def static(name: str) -> str:
    return TOP + name


def computers(sought: str = "", page: str = "") -> str:
    return _address("computers", sought=sought, page=page)


def computer(computer_id: str, done: str = "") -> str:
    return _address("computer", computer_id=computer_id, done=done)


def supply() -> str:
    return _address("supply")


def remove(computer_id: str = "", software_release_url: str = "") -> str:
    return _address("remove", computer_id=computer_id, url=software_release_url)


def trees(sought: str = "", page: str = "", done: str = "") -> str:
    return _address("trees", sought=sought, page=page, done=done)


def tree(title: str, done: str = "") -> str:
    return _address("tree", title=title, done=done)


def instance(root_title: str, *, guid: str = "", title: str = "") -> str:
    """Name an instance of a tree by its guid, or by its title alone."""
    return _address("instance", tree=root_title, guid=guid, title=title)


def why(title: str, root_title: str = "") -> str:
    return _address("why", title=title, tree=root_title)


def request(title: str = "", shape: str = "") -> str:
    return _address("request", title=title, shape=shape)


def change(title: str = "", shape: str = "") -> str:
    return _address("change", title=title, shape=shape)


def switch() -> str:
    return _address("switch")


def destroy(title: str = "") -> str:
    return _address("destroy", title=title)
