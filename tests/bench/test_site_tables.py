"""The tables of the page: what is left out, what a row is called, what it is sorted and filtered by."""

import re

from allaprima.bench import site_tables
from allaprima.bench.charts import Html
from allaprima.bench.shown import Size

from . import made_up


def heads(html: Html) -> list[str]:
    return re.findall(r"<th[^>]*scope=\"col\"[^>]*>(.*?)</th>", str(html))


def rows(html: Html) -> list[str]:
    body = re.search(r"<tbody>(.*)</tbody>", str(html), re.DOTALL)
    assert body is not None
    return re.findall(r"<tr.*?</tr>", body[1], re.DOTALL)


def test_a_column_without_anything_is_left_out() -> None:
    some = [({}, [("a", "a"), site_tables.NOTHING, ("1.0", 1)]), ({}, [("b", "b"), site_tables.NOTHING, ("2.0", 2)])]
    found = site_tables.table({"name": "words", "empty": "", "ms": ""}, some, "times")
    assert heads(found) == ["name", "ms"]
    assert [re.findall(r'data-value="(.*?)"', row) for row in rows(found)] == [["a", "1"], ["b", "2"]]
    assert all(row.count('scope="row"') == 1 for row in rows(found)), "the first cell names its row"


def test_a_row_can_be_filtered_by_device_layer_and_size() -> None:
    size: Size = (1280, 720)
    assert site_tables.of(made_up.result(), "engine", size) == {
        "data_device": made_up.result().name,
        "data_layer": "engine",
        "data_layer_name": "engine",
        "data_size": "1280\N{MULTIPLICATION SIGN}720",
    }
    assert site_tables.of(made_up.result(), "temporal") == {"data_device": made_up.result().name}


def test_every_case_has_a_row_and_the_device_a_column_only_where_there_are_two() -> None:
    first, second = made_up.result(), made_up.result(lambda found: found.update(name="another"))
    alone, both = site_tables.cases([first]), site_tables.cases([first, second])
    assert len(rows(alone)) == len(first.cases)
    assert len(rows(both)) == 2 * len(first.cases)
    assert "device" in heads(both)
    assert "device" not in heads(alone)


def test_a_case_that_does_not_count_says_why_and_is_no_other() -> None:
    found = rows(site_tables.cases([made_up.result(made_up.refuse("engine", why="a very noisy day"))]))
    (refused,) = [row for row in found if "a very noisy day" in row]
    assert ">engine<" in refused
    assert "1280" in refused


def test_a_rival_that_is_absent_says_why() -> None:
    result = made_up.result()
    found = rows(site_tables.rivals([(result, rival) for rival in result.rivals], devices=False))
    assert len(found) == len(result.rivals)
    assert sum("there is no NVIDIA card" in row for row in found) == 1


def test_all_words_are_escaped() -> None:
    hostile = made_up.result(lambda found: found["rivals"][0].update(about="<script>", note="<b>"))
    told = str(site_tables.rivals([(hostile, rival) for rival in hostile.rivals], devices=False))
    assert "<script>" not in told
    assert "<b>" not in told
    assert "&lt;script&gt;" in told
