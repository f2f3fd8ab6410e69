"""The benchmark of the flow's quality: what it compares, and the page that it writes."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.bench import flow_quality
from allaprima.bench.flow_quality import FAST, METHODS, OURS, UNRESTED, Measured, Pair, end_point_error, markdown, pairs


def moved(x: int, size: tuple[int, int] = (96, 64)) -> Pair:
    """Soft blobs that move to the right; the border that they come in from is hidden."""
    width, height = size
    noise = np.random.default_rng(2).standard_normal((height, width + x)).astype(np.float32)
    blobs = cv2.normalize(cv2.GaussianBlur(noise, None, 3), None, 20, 230, cv2.NORM_MINMAX).astype(np.uint8)
    flow = np.zeros((height, width, 2), np.float32)
    flow[..., 0] = -x
    hidden = np.zeros((height, width), bool)
    hidden[:, :x] = True
    return Pair("blobs", np.ascontiguousarray(blobs[:, x:]), np.ascontiguousarray(blobs[:, :width]), flow, hidden)


@pytest.mark.parametrize("method", METHODS)
def test_all_that_is_compared_is_backward_flow(method: str) -> None:
    pair = moved(3)
    assert end_point_error(METHODS[method](pair.previous, pair.current), pair) < 0.5


def test_hidden_pixels_are_not_counted() -> None:
    pair = moved(3)
    wrong = pair.flow.copy()
    wrong[pair.hidden] += 100
    assert end_point_error(wrong, pair) == 0
    assert end_point_error(wrong + np.float32([3, 4]), pair) == pytest.approx(5)


def test_the_small_pair_is_measured_in_its_own_pixels() -> None:
    small = moved(8, (400, 360)).small()
    assert small.current.shape == small.hidden.shape == (90, 100)
    np.testing.assert_allclose(small.flow[..., 0], -2)
    assert small.hidden[:, :2].all()
    assert not small.hidden[:, 2:].any()


def test_the_bar_is_on_the_mean_of_what_moves() -> None:
    def errors(ours: float) -> dict[str, float]:
        return dict.fromkeys(METHODS, 0.2) | {FAST: 0.1, OURS: ours}

    measured = Measured(
        "somewhere",
        {"a": 1.0, "test:still-noise 8": 0.0},
        {"a": errors(0.105), "test:still-noise 8": errors(9.0)},
    )
    assert [(bar.measured, bar.met) for bar in measured.bars()] == [(pytest.approx(1.05), True), (2.0, False)]
    page = markdown([measured], "on a machine")
    assert "| a | 1.00 | 0.100 | 0.200 | 0.200 | 0.105 | 0.200 |" in page
    assert f"- somewhere: {UNRESTED} / {FAST}: 2.00 (≤ 1.1: MISSED)" in page


def test_the_command_writes_a_page_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_quality, "pairs", lambda *_: iter([moved(3)]))
    flow_quality.main(None, "96x64", tmp_path / "page.md", str(tmp_path / "figures.json"))
    report: Any = json.loads((tmp_path / "figures.json").read_text())
    assert set(report["sizes"]) == {"full size", "the engine's small size"}
    assert report["sizes"]["full size"]["motion"] == {"blobs": pytest.approx(3)}
    assert len(report["bars"]) == 4
    assert "## full size" in (tmp_path / "page.md").read_text()


def test_scenes_need_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_quality, "MOMENTS", (1,))
    names = [pair.name for pair in pairs(None, (64, 48))]
    assert names == ["test:landscape 1", "test:still-noise 1", "test:pan 1"]
