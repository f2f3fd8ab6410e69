"""The page says what the report says, whatever names it holds; the video shows every column in its place."""

import re
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from allaprima.bench import page
from allaprima.realtime.errors import ConfigError, SinkError

RATE = Fraction(25)
RED, GREEN, BLUE = (200, 40, 40), (40, 160, 60), (40, 60, 200)
VOID = {"meta", "link", "img"}


def plain(color: tuple[int, int, int], frames: int = 3, size: tuple[int, int] = (80, 60)) -> list[Any]:
    return [np.full((*size[::-1], 3), color, np.uint8)] * frames


def decoded(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]


# ---- the video ----


def test_a_video_has_every_column_in_its_place(tmp_path: Path) -> None:
    columns = {"input": plain(RED), "per frame": plain(GREEN), "default": plain(BLUE)}
    page.side_by_side(tmp_path / "new" / "a.mp4", columns, RATE)
    shown = decoded(tmp_path / "new" / "a.mp4")
    assert [picture.shape for picture in shown] == [(60, 240, 3)] * 3
    for k, color in enumerate((RED, GREEN, BLUE)):
        assert np.abs(shown[0][30:58, 80 * k + 4 : 80 * k + 76].mean((0, 1)) - color).max() < 6
        assert shown[0][2:22, 80 * k + 2 : 80 * k + 30].min() < 60, "the label's paper"
        assert shown[0][2:22, 80 * k + 2 : 80 * k + 60].min(-1).max() > 150, "its letters"


def test_the_video_plays_everywhere_and_from_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    page.side_by_side(path, {"odd": plain(RED, 12, (81, 61)), "même": plain(BLUE, 12, (81, 61))}, RATE)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.average_rate, stream.frames) == (160, 60, RATE, 12)
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (1, 1)
        keys = [packet.pts for packet in container.demux(stream) if packet.is_keyframe and packet.size]
    assert len(keys) == 2, "stepping back starts at the key frame before"
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("count", "size", "per_row", "cell"),
    [
        (1, (1280, 720), 1, (1280, 720)),
        (2, (640, 360), 2, (640, 360)),
        (3, (640, 360), 3, (640, 360)),
        (4, (640, 360), 2, (640, 360)),
        (6, (640, 360), 3, (640, 360)),
        (3, (768, 576), 2, (768, 576)),
        (6, (1280, 720), 2, (960, 540)),
        (2, (3840, 2160), 2, (960, 540)),
        (5, (333, 111), 3, (332, 110)),
    ],
)
def test_columns_are_as_large_as_fits(count: int, size: page.Size, per_row: int, cell: page.Size) -> None:
    assert page._layout(count, size) == (per_row, cell)


def test_a_row_that_is_not_full_is_filled_up(tmp_path: Path) -> None:
    columns = {name: plain(RED, 1, (700, 20)) for name in "abc"}
    page.side_by_side(tmp_path / "a.mp4", columns, RATE)
    (shown,) = decoded(tmp_path / "a.mp4")
    assert shown.shape == (40, 1400, 3)
    assert np.abs(shown[22:38, 720:1380].mean((0, 1)) - page.EMPTY).max() < 4


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({}, "equally long"),
        ({"a": [], "b": []}, "equally long"),
        ({"a": plain(RED, 3), "b": plain(RED, 2)}, r"equally long, not \[2, 3\]"),
        ({"a": plain(RED), "b": plain(RED, 3, (40, 60))}, r"one size, not \[\(40, 60\), \(80, 60\)\]"),
    ],
)
def test_columns_that_do_not_go_together_are_told(columns: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        page.side_by_side(tmp_path / "a.mp4", columns, RATE)
    assert list(tmp_path.iterdir()) == []


# ---- the page ----


class Reader(HTMLParser):
    """Elements as ``(tag, attributes)``, the text inside each tag; every element is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def entry(name: str = "clip", **more: Any) -> dict[str, Any]:
    return {"name": name, "frames": 60, "e_warp": {"default": 0.0001}, "root_e_warp": {"default": 0.01}} | more


def written(folder: Path, *footage: dict[str, Any], **more: Any) -> Reader:
    videos, strips = more.pop("videos", {}), more.pop("strips", {})
    path = page.write(folder, {"footage": list(footage), **more}, videos, strips)
    assert path == folder / "index.html"
    return Reader(path.read_text(encoding="utf-8"))


def test_figures_of_any_shape_are_one_table() -> None:
    found = page.flatten(
        entry(
            root_e_warp={"per frame": 0.04, "default": 0.01},
            sharpness_ratio={"full": {"default": 0.9}, "half": {"default": 0.95}},
            trials=[1, 2, 3],
            distance=0.5,
        )
    )
    assert found == {
        ("frames", ""): 60,
        ("root_e_warp", "per frame"): 0.04,
        ("root_e_warp", "default"): 0.01,
        ("root_e_warp", "default / per frame"): 0.25,
        ("sharpness_ratio, full", "default"): 0.9,
        ("sharpness_ratio, half", "default"): 0.95,
        ("distance", ""): 0.5,
    }


def test_every_cell_stands_under_its_head(tmp_path: Path) -> None:
    shimmer, never = {"input": 0.0123456, "default": 0.002}, {"default": -1}
    footage = [
        entry("plain", lag=0.25),
        entry("still", root_e_warp={"holding": 0.02, "default": 0.01}, shimmer=shimmer),
        entry("cut", frames_until_recovered_from_cut=never, counted=True),
    ]
    read = written(tmp_path, *footage)
    above, below, *rows = read.rows
    assert above == ["name", "frames", "root E_warp", "lag", "shimmer", "frames until recovered from cut", "counted"]
    assert below == ["default", "holding", "input", "default", "default"]
    assert rows == [
        ["plain", "60", "0.01", "-", "0.25", "-", "-", "-", "-"],
        ["still", "60", "0.01", "0.02", "-", "0.01235", "0.002", "-", "-"],
        ["cut", "60", "0.01", "-", "-", "-", "-", "never", "yes"],
    ]
    sorting = {button["data-column"] for button in read.all("button") if "data-column" in button}
    assert sorting == {str(index) for index in range(len(rows[0]))}
    values = [cell["data-value"] for cell in read.all("td")]
    assert values[8 + 4] == "0.0123456", "sorted by all its digits"
    assert values[16 + 6] == "Infinity", "never is later than any number of frames"
    assert [link["href"] for link in read.all("a")] == ["#footage-0", "#footage-1", "#footage-2"]
    assert {"footage-0", "footage-1", "footage-2"} <= {figure["id"] for figure in read.all("figure")}


def test_few_groups_are_shown_until_more_are_asked_for(tmp_path: Path) -> None:
    read = written(tmp_path, entry(stale={"default": 0.1}, style_loss={"default": 0.2}))
    chosen = {button["data-shows"]: button["aria-pressed"] for button in read.all("button") if "data-shows" in button}
    assert chosen == {"root_e_warp": "true", "stale": "false", "style_loss": "true"}
    assert {cell.get("data-group") for cell in read.all("td")} == {None, *chosen}
    unknown = written(tmp_path, {"name": "a", "anything": {"x": 1}})
    assert [button["aria-pressed"] for button in unknown.all("button") if "data-shows" in button] == ["true"]


def test_bars_machine_settings_and_means_are_told(tmp_path: Path) -> None:
    bars = [
        {"what": "flicker", "measured": 0.43, "unit": "", "bar": "<= 0.5", "met": True},
        {"what": "drift", "measured": 2.5, "unit": "%", "bar": "<= 2", "met": False},
    ]
    read = written(
        tmp_path,
        entry(),
        bars=bars,
        means={"default": {"flicker": 0.43}, "averaging": {"flicker": 0.8, "lag": 1.0}},
        machine={"cpu": "Some <CPU>", "cores": 2, "features": ["AVX2"], "gpus": [], "system": "linux", "time": "now"},
        settings={"style": "great-wave", "steadiness": 0.85},
        versions={"av": "18.1"},
    )
    assert "1 of 2 bars met" in read.texts["h2"]
    assert read.texts["em"] == ["≤ 0.5: met", "≤ 2: MISSED"]
    assert [item["class"] for item in read.all("li")] == ["met", "missed"]
    assert read.texts["h1"] == ["Steadiness: great-wave"]
    assert read.texts["p"][:3] == [
        "Some <CPU>, 2 cores, AVX2, linux, now",
        "style great-wave, steadiness 0.85",
        "av 18.1",
    ]
    assert ["default", "0.43", "-"] in read.rows


def test_videos_and_strips_stand_with_their_footage(tmp_path: Path) -> None:
    page.side_by_side(tmp_path / "test-cut.mp4", {"a": plain(RED), "b": plain(BLUE)}, RATE)
    videos, strips = {"test:cut": "test-cut.mp4", "lost": "lost.mp4"}, {"test:cut": "test-cut.png"}
    read = written(tmp_path, entry("test:cut"), entry("lost"), entry("none"), videos=videos, strips=strips)
    first, second = read.all("video")
    assert (first["src"], first["data-rate"]) == ("test-cut.mp4", "25")
    assert first["style"] == "aspect-ratio: 2.6667; width: min(100%, 224.0vh)"
    assert {"controls", "loop", "muted"} <= first.keys()
    assert (second["src"], second["data-rate"]) == ("lost.mp4", "30")
    (strip,) = (link for link in read.all("a") if link.get("class") == "strip")
    assert strip["href"] == read.all("img")[0]["src"] == "test-cut.png"
    assert len(read.all("figure")) == 3


def test_names_are_only_ever_text(tmp_path: Path) -> None:
    name = "<script>alert(1)</script> \"'&amp; {x}.mp4"
    path = 'javascript:alert(1)//" onerror="x#?%.mp4'
    group = {"<i>'\"": 1.5}
    bar = {"what": name, "measured": 1.0, "unit": "<b>", "bar": "<= 2", "met": True}
    read = written(
        tmp_path,
        entry(name, **{name: group}, note=name),
        videos={name: path},
        strips={name: path},
        bars=[bar],
        means={name: {name: 1.0}},
        machine={"cpu": name},
        settings={"style": name},
    )
    assert len(read.all("script")) == 1
    assert not {"i", "b"} & {tag for tag, _ in read.elements}
    assert not any(key.startswith("on") for _, attributes in read.elements for key in attributes)
    assert read.texts["h3"] == [name]
    assert name in read.rows[-1]
    assert {each["src"] for tag in ("video", "img") for each in read.all(tag)} == {
        "javascript%3Aalert%281%29//%22%20onerror%3D%22x%23%3F%25.mp4"
    }


def test_nothing_is_asked_for_outside_the_folder(tmp_path: Path) -> None:
    read = written(tmp_path, entry(), videos={"clip": "a.mp4"}, strips={"clip": "a.png"})
    places = {attributes.get(key) for _, attributes in read.elements for key in ("src", "href", "action", "srcset")}
    assert places == {None, "data:,", "#footage-0", "a.mp4", "a.png"}
    assert not re.search(r"//[a-z]|url\(|@import|\bimport\b|fetch|XMLHttp", page.STYLE + page.SCRIPT)


def test_the_script_finds_what_it_looks_for(tmp_path: Path) -> None:
    read = written(tmp_path, entry(), videos={"clip": "a.mp4"}, strips={"clip": "a.png"})
    there = {key for _, attributes in read.elements for key in attributes if key.startswith("data-")}
    used = re.findall(r"dataset\.(\w+)", page.SCRIPT) + re.findall(r"\[data-(\w+)\]", page.SCRIPT)
    assert {f"data-{name}" for name in used} == there
    assert set(re.findall(r'closest\("(\w+)"\)|all\("(\w+)"', page.SCRIPT)) <= {
        pair for tag, _ in read.elements for pair in ((tag, ""), ("", tag))
    }


def test_the_page_is_there_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, entry("first"))
    before = (tmp_path / "index.html").read_text()

    def full(self: Path, text: str, **more: Any) -> int:
        self.write_bytes(text[:100].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(SinkError, match="No space left"):
        written(tmp_path, entry("second"))
    assert (tmp_path / "index.html").read_bytes().decode() == before
    assert [each.name for each in tmp_path.iterdir()] == ["index.html"]


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot write"):
        page.write(tmp_path / "file", {"footage": []}, {}, {})
    with pytest.raises(SinkError, match="cannot write"):
        page.side_by_side(tmp_path / "file" / "a.mp4", {"a": plain(RED)}, RATE)
