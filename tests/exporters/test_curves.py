"""The training log and its picture."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.exporters import curves
from allaprima.exporters.curves import Log, plot, read, smooth
from allaprima.realtime.errors import ConfigError, SinkError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def write(path: Path, steps: range, first: int = 0) -> None:
    log = Log(path, first)
    for step in steps:
        terms = {"identity": 0.5} if step % 3 == 2 else {"content": 1 + 1 / (step + 1), "style": 10.0}
        log.write(step, terms)


# ---- the log ----


def test_a_line_is_a_step_with_its_terms(path: Path) -> None:
    log = Log(path)
    log.write(0, {"content": 1.5, "style": 2})
    assert path.read_text() == '{"step": 0, "content": 1.5, "style": 2}\n', "it is there at once"
    log.write(1, {"identity": 0.25})
    assert path.read_text().splitlines()[1] == '{"step": 1, "identity": 0.25}'


def test_every_term_is_read_back_with_its_own_steps(path: Path) -> None:
    write(path, range(7))
    found = read(path)
    assert list(found) == ["content", "style", "identity"]
    assert [steps.tolist() for steps, _ in found.values()] == [[0, 1, 3, 4, 6], [0, 1, 3, 4, 6], [2, 5]]
    assert found["content"][1].tolist() == pytest.approx([2, 1.5, 1.25, 1.2, 1 + 1 / 7])


def test_what_is_no_number_is_null_in_the_file(path: Path) -> None:
    Log(path).write(0, {"content": math.nan, "style": math.inf, "steady": 0.0})
    assert json.loads(path.read_text()) == {"step": 0, "content": None, "style": None, "steady": 0}
    assert math.isnan(read(path)["style"][1][0])


def test_a_resumed_run_takes_the_place_of_the_steps_after_its_checkpoint(path: Path) -> None:
    write(path, range(9))
    write(path, range(4, 6), first=4)
    lines = path.read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1, 2, 3, 4, 5]


def test_a_line_that_was_cut_off_is_passed_over_and_taken_out(path: Path) -> None:
    write(path, range(3))
    whole = path.read_text()
    path.write_text(whole + '{"step": 3, "con')
    assert [steps[-1] for steps, _ in read(path).values()] == [1, 1, 2]
    Log(path, 8).write(8, {"style": 1.0})
    assert path.read_text() == whole + '{"step": 8, "style": 1.0}\n'


def test_a_run_from_the_beginning_starts_a_new_log(path: Path) -> None:
    write(path, range(3))
    Log(path)
    assert path.read_text() == ""
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "text", ["hello\n", "[1]\n", '{"loss": 1}\n', '{"step": 0, "loss": "low"}\n', "{}\n", b"\xff\n"]
)
def test_another_file_is_refused_and_left_alone(path: Path, text: Any) -> None:
    path.write_bytes(b'{"step": 0}\n' + (text if isinstance(text, bytes) else text.encode()))
    before = path.read_bytes()
    for use in (read, Log):
        with pytest.raises(ConfigError, match=r"line 2|not text"):
            use(path)
    assert path.read_bytes() == before


def test_what_cannot_be_read_or_written_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"log\.jsonl cannot be read: No such file"):
        read(tmp_path / "log.jsonl")
    with pytest.raises(SinkError, match="cannot be written: No such file"):
        Log(tmp_path / "nowhere/log.jsonl")
    log = Log(tmp_path / "log.jsonl")
    log.path.unlink()
    log.path.mkdir()
    with pytest.raises(SinkError, match="cannot be written: Is a directory"):
        log.write(0, {})


# ---- the curve ----


def test_the_smooth_curve_is_a_weighted_mean_of_what_was_before() -> None:
    values = np.ones(1000)
    values[500:] = 3
    line = smooth(values)  # looks back over 20
    assert line[:500] == pytest.approx(1)
    assert line[519] == pytest.approx(3 - 2 * 0.95**20)
    assert (np.diff(line[500:]) >= -1e-12).all()
    assert smooth(np.array([4.0, 2.0])).tolist() == pytest.approx([4, (0.9 * 4 + 2) / 1.9]), "10 at least"


def test_the_smooth_curve_passes_over_gaps() -> None:
    values = np.where(np.arange(200) % 2, 5.0, math.nan)
    line = smooth(values)
    assert math.isnan(line[0])
    assert line[1:] == pytest.approx(5)


# ---- the picture ----


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that were drawn."""
    figures: list[Any] = []
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (figures.append(figure), save(figure, *a, **k))[1])
    return figures


def test_the_picture_has_a_panel_for_each_term(path: Path, drawn: list[Any]) -> None:
    write(path, range(300))
    plot(path, path.with_name("curves.png"))
    picture = cv2.imread(str(path.with_name("curves.png")))
    assert picture.shape == (800, 1200, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    assert sorted(p.name for p in path.parent.iterdir()) == ["curves.png", "log.jsonl"]
    panels = drawn[0].axes
    assert [panel.get_title().split(":")[0] for panel in panels] == ["content", "style", "identity"]
    assert {panel.get_yscale() for panel in panels} == {"log"}
    assert len({panel.get_xlim() for panel in panels}) == 1, "panels can be compared"
    raw, line = panels[0].lines
    assert raw.get_xdata().tolist() == line.get_xdata().tolist() == [s for s in range(300) if s % 3 != 2]
    assert raw.get_alpha() < 1


def test_terms_of_zeros_and_gaps_and_single_steps_can_be_drawn(path: Path, drawn: list[Any]) -> None:
    log = Log(path)
    log.write(0, {"content": 1.0, "zero": 0.0, "range": 0.0, "broken": math.nan})
    plot(path, path.with_name("one.png"))
    log.write(1, {"content": 2.0, "zero": 0.0, "range": 0.5, "broken": math.nan})
    plot(path, path.with_name("two.png"))
    scales = [[panel.get_yscale() for panel in figure.axes] for figure in drawn]
    assert scales == [["log", "linear", "linear", "linear"], ["log", "linear", "log", "linear"]]


def test_an_empty_log_has_no_picture(path: Path) -> None:
    pytest.importorskip("matplotlib")
    Log(path)
    with pytest.raises(ConfigError, match="no steps to draw"):
        plot(path, path.with_name("curves.png"))


def test_a_picture_that_fails_leaves_the_old_one(path: Path, drawn: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    png = path.with_name("curves.png")
    png.write_bytes(b"old")
    write(path, range(3))

    def full(_: Any, part: Path, **__: Any) -> None:
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(SinkError, match=r"curves\.png cannot be written: No space left"):
        plot(path, png)
    assert png.read_bytes() == b"old"
    assert sorted(p.name for p in path.parent.iterdir()) == ["curves.png", "log.jsonl"]


def test_the_log_needs_no_matplotlib(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    write(path, range(3))
    with pytest.raises(ModuleNotFoundError, match="matplotlib"):
        curves.plot(path, path.with_name("curves.png"))
