import re

import pytest

from allaprima.bench import charts
from allaprima.bench.catalogue import Scale, Trials
from allaprima.bench.charts import Axis, Html, curve, el, join

from . import made_up


def places(html: str, name: str, attribute: str) -> list[float]:
    """The values of an attribute, of all elements of a name."""
    return [float(value) for value in re.findall(rf'<{name}\b[^>]* {attribute}="([-\d.]+)%?"', html)]


def test_text_is_never_markup() -> None:
    assert el("p", "<script>", el("b", "&")) == "<p>&lt;script&gt;<b>&amp;</b></p>"
    assert el("p", title='"><x') == '<p title="&quot;&gt;&lt;x"></p>'
    assert el("p", class_="a", data_device="b", aria_label=None) == '<p class="a" data-device="b"></p>'
    assert join(["<", Html("<br>"), 1]) == "&lt;<br>1"


def test_an_axis_has_whole_decades() -> None:
    axis = Axis([2.5, 72, 0])
    assert (axis.low, axis.high, axis.ticks) == (1, 100, [1, 10, 100])
    assert [axis.place(value) for value in (0, 1, 10, 100, 900)] == [0, 0, 50, 100, 100]
    assert (Axis([5, 5]).low, Axis([5, 5]).high) == (1, 10)
    assert (Axis([10]).low, Axis([10]).high) == (10, 100)
    assert (Axis([]).low, Axis([]).high) == (1, 10)
    assert "0.1" in Axis([0.3]).row("bar named")


def test_a_dot_lies_between_the_least_and_the_most() -> None:
    axis = Axis([1, 100])
    html = charts.dot(axis, Trials.of([1, 10, 100]), "c1")
    assert places(html, "circle", "cx") == [50]
    spread = html.split("spread")[0].rsplit("<line", 1)[1]
    assert re.findall(r'x\d="([\d.]+)%"', spread) == ["0.00", "100.00"]
    stem = charts.dot(axis, Trials.of([100]), "c1", origin=10).split("stem")[0].rsplit("<line", 1)[1]
    assert re.findall(r'x\d="([\d.]+)%"', stem) == ["50.00", "100.00"]


def test_parts_lie_beside_each_other() -> None:
    html = charts.stack({"a": 0.25, "b": 0.75}, {"a": "c0", "b": "c5"})
    assert places(html, "rect", "x") == [0, 25]
    assert places(html, "rect", "width") == [25, 75]
    assert places(charts.gauge(1.7, "c0"), "rect", "width") == [100, 100]


@pytest.mark.parametrize("scale", made_up.result().scales, ids=lambda scale: scale.over)
def test_a_curve_goes_through_its_points(scale: Scale) -> None:
    html = curve(scale, "<unit>")
    across, down = places(html, "circle", "cx"), places(html, "circle", "cy")
    values = [point.fps if scale.over == "streams" else point.ms for point in scale.points]
    assert (across[0], across[-1]) == (charts.LEFT, charts.RIGHT)
    assert across == sorted(across)
    order = sorted(range(len(values)), key=lambda k: values[k])
    assert sorted(down, reverse=True) == pytest.approx([down[k] for k in order]), "more is higher"
    assert all(0 < top < charts.PLOT_PX for top in down)
    assert html.count("knee") == (3 if scale.knee else 0)
    assert "<unit>" not in html


def test_points_that_do_not_count_and_a_knee_outside_are_not_drawn() -> None:
    def change(found: made_up.Json) -> None:
        found["scales"] = found["scales"][:1]
        found["scales"][0]["points"][-1]["invalid"] = ["too busy"]
        found["scales"][0]["knee"] = 8.0

    (scale,) = made_up.result(change).scales
    html = curve(scale, "Mpx")
    assert html.count("<circle") == len(scale.points) - 1
    assert "knee" not in html


def test_values_that_are_all_alike_make_a_flat_curve() -> None:
    def flat(found: made_up.Json) -> None:
        for scale in found["scales"]:
            for point in scale["points"]:
                point.update(x=1, ms=5, fps=200)

    for scale in made_up.result(flat).scales:
        assert len(set(places(curve(scale, "x"), "circle", "cy"))) == 1
