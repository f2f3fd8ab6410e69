import io
import struct
from typing import Any

import pytest

from allaprima.bench import drawings, plots

from . import made_up

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

MOST_BYTES = 60_000


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    return plots.draw(made_up.result())


def pixels(png: bytes) -> Any:
    return Image.open(io.BytesIO(png)).convert("RGB")


def test_every_plot_is_drawn_for_light_and_dark(drawn: dict[str, bytes]) -> None:
    assert sorted(drawn) == sorted(f"{name}-{mode}.png" for name in plots.PLOTS for mode in ("light", "dark"))


@pytest.mark.parametrize("name", plots.PLOTS)
def test_a_plot_fits_the_readme(drawn: dict[str, bytes], name: str) -> None:
    for mode in plots.MODES:
        png = drawn[plots.file_name(name, mode)]
        width, height = struct.unpack(">II", png[16:24])
        assert width == round(drawings.WIDTH_IN * drawings.DPI)
        assert width / 4 < height < 2 * width
        assert len(png) < MOST_BYTES


@pytest.mark.parametrize("name", plots.PLOTS)
def test_it_is_drawn_on_its_own_paper(drawn: dict[str, bytes], name: str) -> None:
    light, dark = (pixels(drawn[plots.file_name(name, mode)]) for mode in ("light", "dark"))
    assert min(light.getpixel((0, light.height - 1))) > 240
    assert max(dark.getpixel((0, dark.height - 1))) < 40
    for picture, extreme in ((light, 0), (dark, 1)):
        ink = picture.convert("L").getextrema()[extreme]
        assert abs(ink - picture.convert("L").getpixel((0, 0))) > 150, "letters stand out from the paper"


@pytest.mark.parametrize("name", plots.PLOTS)
def test_nothing_is_cut_off(drawn: dict[str, bytes], name: str) -> None:
    picture = pixels(drawn[plots.file_name(name, "light")]).convert("L")
    edges = [(0, 0, 1, picture.height), (picture.width - 1, 0, picture.width, picture.height)]
    edges += [(0, 0, picture.width, 1), (0, picture.height - 1, picture.width, picture.height)]
    assert min(picture.crop(edge).getextrema()[0] for edge in edges) > 200


def test_a_plot_of_other_data_is_known_by_its_mark(drawn: dict[str, bytes]) -> None:
    other = made_up.result(lambda found: found.update(seconds=1.5))
    assert all(plots.mark(made_up.result()) in png for png in drawn.values())
    assert not any(plots.mark(other) in png for png in drawn.values())


@pytest.mark.parametrize(
    ("lost", "gone"),
    [
        ({"rivals": []}, {"rivals"}),
        ({"scales": []}, {"scales"}),
        ({"cases": []}, {"fps", "stages", "ceilings"}),
        ({"rivals": [], "scales": [], "cases": []}, set(plots.PLOTS)),
    ],
)
def test_without_data_there_is_no_plot(lost: dict[str, Any], gone: set[str]) -> None:
    assert plots.PLOTS.keys() - plots.available(made_up.result(lambda found: found.update(lost))) == gone
    assert plots.available(None) == {}
    assert plots.markdown(None, "here") == ""


def test_what_does_not_count_is_not_drawn() -> None:
    sizes = ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))
    refused = made_up.result(*(made_up.refuse("engine", size) for size in sizes))
    assert {"stages", "ceilings"} == plots.PLOTS.keys() - plots.available(refused)
    scales = made_up.raw()["scales"][:1]
    for point in scales[0]["points"][1:]:
        point["invalid"] = ["too busy"]
    assert "scales" not in plots.available(made_up.result(lambda found: found.update(scales=scales)))


@pytest.mark.parametrize("count", [1, 3, 4])
def test_an_odd_number_of_scales_leaves_no_empty_axes(count: int) -> None:
    from matplotlib.figure import Figure

    drawing = Figure()
    result = made_up.result(lambda found: found.update(scales=found["scales"][:count]))
    drawings.scales(drawing, result, plots.MODES["light"])
    assert sum(axes.get_visible() for axes in drawing.axes) == count


def test_the_readme_shows_each_by_the_readers_colors() -> None:
    told = plots.markdown(made_up.result(), "a/b")
    assert told.count("<picture>") == len(plots.PLOTS)
    assert 'prefers-color-scheme: dark)" srcset="a/b/fps-dark.png"><img width="830" alt="Frames a second by' in told
    assert told.index("fps-light") < told.index("<details>") < told.index("stages-light") < told.index("</details>")
