"""The page says what the results say, whatever names they hold; it asks for nothing, and works without its script."""

import asyncio
import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from allaprima.bench import chromium, site
from allaprima.bench.catalogue import Result
from allaprima.bench.shown import LAYERS, by

from . import made_up

HD = by((1280, 720))
VOID = {"meta"}
HOSTILE = '<script>alert(1)</script>"><img src=x>'


class Parsed(HTMLParser):
    """The elements in order; fails where one is closed that is not open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += data

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.elements if name == tag]


def two() -> list[Result]:
    return [made_up.result(), made_up.result(lambda found: found.update(name="second"))]


def test_the_page_has_every_case_of_every_device() -> None:
    parsed = Parsed(site.page(two()))
    rows = Counter(attributes["data-device"] for attributes in parsed.all("tr") if "data-layer" in attributes)
    assert rows["made-up"] == rows["second"] > len(made_up.result().cases)
    for words in ("72.", "nets alone", HD, "120", "Made-up(R) Processor", "bench-second.json", "knee"):
        assert words in parsed.text, words
    assert {link["href"] for link in parsed.all("a")} >= {"bench-made-up.json", "bench-second.json", "schema.json"}


def test_links_within_the_page_lead_somewhere() -> None:
    parsed = Parsed(site.page(two()))
    names = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(names) == len(set(names))
    assert {link["href"][1:] for link in parsed.all("a") if link["href"].startswith("#")} <= set(names)


def test_a_case_that_does_not_count_is_shown_with_its_reason_and_in_no_chart() -> None:
    page = site.page([made_up.result(made_up.refuse("file", why="painted <nothing>"))])
    parsed = Parsed(page)
    refused = [attributes for attributes in parsed.all("tr") if attributes.get("class") == "invalid"]
    assert ("file", HD) in {(each["data-layer"], each["data-size"]) for each in refused}
    assert "painted <nothing>" in parsed.text
    assert "16 cases; 2 do not count." in parsed.text
    bars = [each for each in parsed.all("div") if each.get("class") == "bar" and each.get("data-size") == HD]
    assert not [each for each in bars if each["data-layer"] == "file"]
    assert [each for each in bars if each["data-layer"] == "nets"]


def test_nothing_in_a_result_becomes_markup() -> None:
    def hostile(found: made_up.Json) -> None:
        found["machine"].update(cpu=HOSTILE, features=[HOSTILE], gpus=[HOSTILE], system=HOSTILE)
        found["versions"], found["settings"] = {HOSTILE: HOSTILE}, {HOSTILE: HOSTILE}
        found["ceilings"]["gflop_s"] = {HOSTILE: found["ceilings"]["gflop_s"]["f32"]}
        for case in found["cases"]:
            case.update(backend=HOSTILE, precision=HOSTILE, style=HOSTILE, effort=HOSTILE)
            case["stages_ms"] = {HOSTILE: case["fps"]}
        found["cases"][0]["invalid"] = [HOSTILE]
        for scale in found["scales"]:
            scale["says"] = scale["points"][0]["invalid"] = HOSTILE
            scale["points"][0]["invalid"] = [HOSTILE]
        for rival in found["rivals"]:
            rival.update(name=HOSTILE, note=HOSTILE)
        found["rivals"][-1]["absent"] = HOSTILE

    page = site.page([made_up.result(hostile)])
    parsed = Parsed(page)
    assert len(parsed.all("script")) == 1
    assert parsed.all("img") == []
    assert page.count("<script") == 1
    assert parsed.text.count(HOSTILE) > 50
    assert page.count("&lt;script&gt;alert") > 50


def test_it_asks_for_nothing_and_runs_nothing_else() -> None:
    page = site.page(two())
    parsed = Parsed(page)
    assert not {"link", "img", "iframe", "object", "embed", "video", "base"} & {name for name, _ in parsed.elements}
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttp|import\(", page)
    for name, attributes in parsed.elements:
        assert not {key for key in attributes if key.startswith("on") or key in ("style", "src", "srcset")}, name
    (policy,) = [each["content"] for each in parsed.all("meta") if "http-equiv" in each]
    assert policy.startswith("default-src 'none'; ")
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_tables_are_whole_without_the_script() -> None:
    page = site.page(two())
    assert {attributes["hidden"] for attributes in Parsed(page).all("form")} == {None}, "what needs the script"
    for table in re.findall(r"<table.*?</table>", page, re.DOTALL):
        width = table.split("</thead>")[0].count("<th ") + table.split("</thead>")[0].count("<th>")
        for row in re.findall(r"<tr.*?</tr>", table.split("</thead>")[1], re.DOTALL):
            assert len(re.findall(r"<t[hd][ >]", row)) == width
            assert row.count('scope="row"') == 1


def test_columns_without_figures_are_left_out() -> None:
    alone, both = site.page([made_up.result()]), site.page(two())
    assert ">watts<" not in both
    assert ">device<" in both
    assert ">device<" not in alone


def test_the_same_results_give_the_same_page() -> None:
    assert site.page(two()) == site.page(two())


def test_an_empty_catalogue_has_a_page() -> None:
    parsed = Parsed(site.page([]))
    assert site.NOTHING in parsed.text
    assert parsed.all("section") == []


def test_a_result_with_nothing_in_it_has_a_page() -> None:
    bare = made_up.result(lambda found: found.update(cases=[], scales=[], rivals=[]))
    assert [each["id"] for each in Parsed(site.page([bare])).all("section")] == ["devices"]


@pytest.mark.skipif(chromium.BINARY is None, reason="there is no Chromium on this machine")
def test_a_browser_sorts_and_filters(tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(site.page(two()), encoding="utf-8")
    asyncio.run(_sorts_and_filters(file.as_uri()))


async def _sorts_and_filters(url: str) -> None:
    heads = "[...document.querySelectorAll('#cases thead th')]"
    rows = "[...document.querySelectorAll('#cases tbody tr')].filter((row) => !row.hidden)"

    async with chromium.chromium() as browser:
        page = await browser.page(url)

        async def column(title: str) -> list[str]:
            index = await page.evaluate(f"{heads}.findIndex((head) => head.innerText.startsWith('{title}'))")
            found: list[str] = await page.evaluate(f"{rows}.map((row) => row.cells[{index}].dataset.value ?? '')")
            return found

        # By mouse, the largest first; again, the least; what has none stays last.
        p50 = f"{heads}.find((head) => head.innerText.startsWith('delay p50'))"
        await page.evaluate(f"{p50}.id = 'p50', {p50}.querySelector('button').id = 'sort'")
        for order, backward in (("descending", True), ("ascending", False)):
            await page.click("#sort")
            assert await page.evaluate("document.getElementById('p50').ariaSort") == order
            values = await column("delay p50")
            known = [float(value) for value in values if value]
            assert known == sorted(known, reverse=backward)
            assert values[len(known) :] == [""] * (len(values) - len(known))
        # By keyboard, and words from a to z; one column is the sorted one.
        await page.evaluate(f"{heads}[1].querySelector('button').focus()")
        await page.press("Enter")
        assert await column("layer") == sorted(await column("layer"))
        assert await page.evaluate("document.querySelectorAll('#cases [aria-sort]').length") == 1

        async def choose(name: str, value: str) -> None:
            field = f"document.getElementById('filter').elements.{name}"
            await page.evaluate(
                f"{field}.value = '{value}', {field}.dispatchEvent(new Event('change', {{bubbles: true}}))"
            )

        await choose("layer", "live")
        assert await column("layer") == [LAYERS["live"]] * 8
        await choose("device", "second")
        assert await column("device") == ["second"] * 4
        assert await page.evaluate("document.querySelector('#filter output').value") == "4 of 32 cases"
        assert await page.evaluate("document.querySelector('#stages .none').checkVisibility()")
        assert not await page.evaluate("document.querySelector('#speeds .none').checkVisibility()")
        await page.click("#filter button")
        await page.wait(f"{rows}.length === 32")
        # Nothing is wider than a phone.
        await page.resize(390, 800, phone=True)
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.errors == []
