"""What a browser understands of a page: its texts, its forms, its structure."""

from __future__ import annotations

from html.parser import HTMLParser

from attrs import define, field

VOID = {"input", "link", "meta", "br"}


@define
class Tag:
    """An element and what it holds."""

    name: str
    attributes: dict[str, str]
    children: list[Tag | str] = field(factory=list)

    def text(self) -> str:
        return "".join(it if isinstance(it, str) else it.text() for it in self.children)

    def all(self, *names: str, **attributes: str) -> list[Tag]:
        """The elements below, of a name and with these attributes."""
        found: list[Tag] = []
        for it in self.children:
            if isinstance(it, Tag):
                is_wanted = not names or it.name in names
                if is_wanted and attributes.items() <= it.attributes.items():
                    found.append(it)
                found.extend(it.all(*names, **attributes))
        return found

    def one(self, *names: str, **attributes: str) -> Tag:
        (found,) = self.all(*names, **attributes)
        return found

    def fields(self) -> dict[str, str]:
        """What a form sends as it stands, without its buttons."""
        sent = {}
        for it in self.all("input", "textarea"):
            kind = it.attributes.get("type", "text")
            is_off = kind in ("radio", "checkbox") and "checked" not in it.attributes
            if it.name == "textarea":
                # A browser drops the first end of line, and sends CR LF.
                text = it.text().removeprefix("\n").replace("\n", "\r\n")
                sent[it.attributes["name"]] = text
            elif not is_off:
                sent[it.attributes["name"]] = it.attributes.get("value", "")
        return sent


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.path = [Tag("document", {})]

    def handle_starttag(self, tag, attrs):
        made = Tag(tag, {name: value or "" for name, value in attrs})
        self.path[-1].children.append(made)
        if tag not in VOID:
            self.path.append(made)

    def handle_startendtag(self, tag, attrs):
        self.path[-1].children.append(Tag(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.path[-1].name == tag, f"</{tag}> ends <{self.path[-1].name}>"
        self.path.pop()

    def handle_data(self, data):
        self.path[-1].children.append(data)


def read_page(text: str) -> Tag:
    """Parse a page; each element must be closed where it was opened."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    (document,) = reader.path
    return document


def flaws(page: Tag) -> list[str]:
    """What makes a page hard to use without eyes or hands."""
    found = []
    ids = [it.attributes["id"] for it in page.all() if "id" in it.attributes]
    found += [f"id {it} twice" for it in {it for it in ids if ids.count(it) > 1}]
    labelled = {it.attributes.get("for") for it in page.all("label")}
    wrapped = [id(it) for label in page.all("label") for it in label.all("input")]
    for it in page.all("input", "textarea", "select"):
        is_hidden = it.attributes.get("type") == "hidden"
        if not (is_hidden or it.attributes.get("id") in labelled or id(it) in wrapped):
            found.append(f"no label: {it.attributes}")
        for described in it.attributes.get("aria-describedby", "").split():
            if described not in ids:
                found.append(f"described by {described}, which is nowhere")
    if len(page.all("h1")) != 1 or len(page.all("main")) != 1:
        found.append("not one heading and one main part")
    found += [
        "table without caption" for t in page.all("table") if not t.all("caption")
    ]
    found += [f"empty {it.name}" for it in page.all("a", "button") if not it.text()]
    found += [
        f"{it.name} has {name}"
        for it in page.all()
        for name in it.attributes
        if name.startswith("on") or name == "style"
    ]
    found += [f"<{it.name}>" for it in page.all("script", "style", "iframe", "object")]
    return found
