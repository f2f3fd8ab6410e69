"""The page's files, without a browser: whole, safe under a strict policy, usable, in step with the server."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import allaprima.realtime.live
from allaprima.realtime.live.control import Change, State, Stats

PAGE = Path(allaprima.realtime.live.__file__).parent / "page"
FILES = sorted(file for file in PAGE.rglob("*") if file.is_file())
PAGES = [file for file in FILES if file.suffix == ".html"]
SCRIPTS = [file for file in FILES if file.suffix == ".js"]
STYLES = [file for file in FILES if file.suffix == ".css"]
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
NOT_LOADED = {"www.w3.org", "localhost"}
"""Hosts that are named and never asked: a namespace, and an example in a message."""


def name(file: Path) -> str:
    return file.relative_to(PAGE).as_posix()


def text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


class Element:
    def __init__(self, tag: str, attributes: dict[str, str], inside: "Element | None") -> None:
        self.tag, self.attributes, self.inside = tag, attributes, inside
        self.text = ""

    def within(self, tag: str) -> "Element | None":
        element = self.inside
        while element is not None and element.tag != tag:
            element = element.inside
        return element


class Document(HTMLParser):
    """All elements of a page; complains about tags that are not closed in order."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.faults: list[str] = []
        self._open: list[Element] = []
        self.feed(text(file))
        self.close()
        self.faults += [f"<{element.tag}> is not closed" for element in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [key for key, _ in attrs]
        if len(set(names)) < len(names):
            self.faults.append(f"<{tag}> has an attribute twice")
        element = Element(tag, {key: value or "" for key, value in attrs}, self._open[-1] if self._open else None)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].tag != tag:
            self.faults.append(f"</{tag}> in line {self.getpos()[0]} closes nothing")
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    @property
    def ids(self) -> list[str]:
        return [element.attributes["id"] for element in self.elements if "id" in element.attributes]


@pytest.fixture(params=PAGES, ids=name)
def document(request: pytest.FixtureRequest) -> Document:
    return Document(request.param)


def test_tags_are_closed_and_ids_are_unique(document: Document) -> None:
    assert document.faults == []
    assert len(set(document.ids)) == len(document.ids)
    assert document.elements[0].tag == "html"
    assert document.elements[0].attributes["lang"] == "en"
    assert [element.text.strip() for element in document.elements if element.tag == "title"] == ["Alla Prima"]


def test_what_is_pointed_to_is_there(document: Document) -> None:
    ids = set(document.ids)
    for element in document.elements:
        for key in ("for", "aria-labelledby", "aria-describedby", "aria-controls"):
            assert set(element.attributes.get(key, "").split()) <= ids, element.attributes
        if element.attributes.get("href", "").startswith("#"):
            assert element.attributes["href"][1:] in ids, element.attributes


def test_a_strict_policy_lets_everything_run(document: Document) -> None:
    """No inline script, style or handler: the policy is ``script-src 'self'; style-src 'self'``."""
    for element in document.elements:
        assert "style" not in element.attributes, element.attributes
        assert not [key for key in element.attributes if key.startswith("on")], element.attributes
        assert element.tag != "style"
        assert element.tag != "script" or (element.attributes["src"] and not element.text.strip())
        assert not element.attributes.get("href", "").startswith("javascript:")


def test_files_that_are_loaded_exist(document: Document) -> None:
    for element in document.elements:
        for key in ("src", "href"):
            address = element.attributes.get(key, "")
            if address and not address.startswith("#"):
                assert address.startswith("/static/"), address
                assert (PAGE / address.removeprefix("/static/")).is_file(), address


def test_every_control_has_a_name(document: Document) -> None:
    """For who does not see the page: a label, a text, or ``aria-label``."""
    labelled = {element.attributes.get("for") for element in document.elements if element.tag == "label"}
    for element in document.elements:
        if element.tag not in ("button", "input", "select", "textarea", "video", "dialog", "summary"):
            continue
        around = element.within("label")
        named = (
            element.attributes.get("aria-label")
            or element.attributes.get("aria-labelledby")
            or element.attributes.get("id") in labelled
            or (around is not None and around.text.strip())
            or (element.tag in ("button", "summary") and element.text.strip())
        )
        assert named, element.attributes


def test_pictures_and_signs_are_described_or_hidden(document: Document) -> None:
    for element in document.elements:
        if element.tag == "img":
            assert "alt" in element.attributes, element.attributes
        if element.tag == "svg":
            assert element.attributes.get("aria-hidden") == "true"
        if element.tag == "button":
            assert element.attributes.get("type") in ("button", "submit"), element.attributes


def test_messages_are_read_out() -> None:
    roles = {element.attributes.get("role") for element in Document(PAGE / "index.html").elements}
    assert {"status", "alert"} <= roles


@pytest.mark.parametrize("file", FILES, ids=name)
def test_nothing_comes_from_outside(file: Path) -> None:
    hosts = set(re.findall(r"(?:https?:|wss?:|[\"'(])//([A-Za-z0-9.-]+)", text(file)))
    assert hosts <= NOT_LOADED
    assert "@import" not in text(file)
    assert "@font-face" not in text(file)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_files_can_be_read_in_one_sitting_and_are_served(file: Path) -> None:
    pages = pytest.importorskip("allaprima.realtime.live.pages")
    assert len(text(file).splitlines()) <= 400
    assert file.suffix in pages.TYPES
    assert "col" + "our" not in text(file).lower()


@pytest.mark.parametrize("file", SCRIPTS, ids=name)
def test_scripts_make_no_html_and_run_no_text(file: Path) -> None:
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert word not in text(file)


@pytest.mark.parametrize("file", SCRIPTS, ids=name)
def test_imports_exist(file: Path) -> None:
    for names, module in re.findall(r"import \{([^}]*)\} from '\./([^']+)'", text(file)):
        exported = set(re.findall(r"export (?:async )?(?:function|class|const) (\w+)", text(PAGE / module)))
        assert {one.strip() for one in names.split(",") if one.strip()} <= exported


def reached(start: Path) -> set[Path]:
    """A script and all that it imports."""
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += [PAGE / module for module in re.findall(r"from '\./([^']+)'", text(file))]
    return found


@pytest.mark.parametrize(("page", "script"), [("index.html", "app.js"), ("player.html", "player.js")])
def test_every_id_that_the_scripts_ask_for_exists(page: str, script: str) -> None:
    ids = set(Document(PAGE / page).ids)
    asked = {one for file in reached(PAGE / script) for one in re.findall(r"byId\('([^']+)'\)", text(file))}
    assert asked
    assert asked <= ids


def test_every_script_and_style_is_used() -> None:
    used = {file for page in PAGES for file in FILES if f"/static/{name(file)}" in text(page)}
    used |= {file for start in set(used) if start.suffix == ".js" for file in reached(start)}
    assert {name(file) for file in {*SCRIPTS, *STYLES} - used} <= {"token.css"}  # the form for the token has that one


# ---- in step with the server ----


def object_of(script: str, start: str) -> str:
    return text(PAGE / script).split(start, 1)[1].split("\n}", 1)[0].split("];", 1)[0]


def test_what_is_sent_and_shown_is_in_the_schema() -> None:
    knobs = set(re.findall(r"(\w+):", object_of("controls.js", "const KNOBS = {").split("};")[0]))
    kept = set(re.findall(r"'(\w+)'", object_of("steering.js", "const KEPT = [")))
    assert {"strength", "steadiness", "transition"} <= knobs & set(Change.model_fields) & set(State.model_fields)
    assert {"mix", "strength", "steadiness", "transition", "bypass"} == kept
    used = set(re.findall(r"\bserver\.(\w+)", text(PAGE / "numbers.js")))
    assert {"fps_in", "fps_painted", "fps_sent", "latency_ms", "stages_ms", "flicker", "dropped"} <= used
    assert used <= set(Stats.model_fields)


def test_addresses_that_the_scripts_call_are_routes() -> None:
    routes = pytest.importorskip("allaprima.realtime.live.routes").ROUTES
    known = [re.compile(re.sub(r"\{\w+:((?:[^{}]|\{[\d,]+\})+)\}", r"\1", route.path) + r"\Z") for route in routes]
    called: set[str] = set()
    for file in SCRIPTS:
        called |= set(re.findall(r"['`](/(?:v1/|offer|\$\{encodeURIComponent\(name\)\}/)[^'`]*)['`]", text(file)))
    assert len(called) >= 6
    for address in called:
        path = re.sub(r"\$\{[^}]*\}", "x", address).partition("?")[0]
        assert any(pattern.match(path) for pattern in known), address
