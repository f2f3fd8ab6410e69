"""Color and packing around the nets, against values worked out by hand."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as op
import pytest

from allaprima.realtime.backends.graph import _pack, _unpack, join, levels, packed_matrix, to_bt709
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.frame import Color

COLORS = {
    "untagged": Color(),
    "601": Color(6, 6, 6, 1),
    "601 full": Color(5, 5, 6, 2),
    "709": Color(1, 1, 1, 1),
    "709 full": Color(1, 1, 1, 2),
    "2020": Color(9, 9, 14, 1),
}
RED, GREEN, BLUE = (1, 0, 0), (0, 1, 0), (0, 0, 1)


def color(name: str) -> Color:
    return COLORS[name]


# ---- numbers ----


@pytest.mark.parametrize(
    ("range_", "black", "white", "most"), [(0, 16, 235, 240), (1, 16, 235, 240), (2, 0, 255, 255.5)]
)
def test_levels_put_black_at_minus_one_and_white_at_one(range_: int, black: int, white: int, most: float) -> None:
    middle, luma, chroma = levels(Color(range=range_))
    assert (middle - luma, middle + luma, 128 + chroma) == (black, white, most)


@pytest.mark.parametrize(
    ("name", "height", "expected"),
    [
        ("709", 360, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ("untagged", 720, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ("601", 360, [[1, -0.118188, -0.212685], [0, 1.018640, 0.114618], [0, 0.075049, 1.025327]]),
        ("untagged", 719, [[1, -0.118188, -0.212685], [0, 1.018640, 0.114618], [0, 0.075049, 1.025327]]),
    ],
)
def test_the_matrix_to_bt709_is_the_one_in_the_tables(name: str, height: int, expected: Any) -> None:
    """Tables for limited-range bytes say -0.11555 and -0.20794 in the first row: 219/224 of these."""
    np.testing.assert_allclose(to_bt709(color(name), height), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "rgb", "yuv"),
    [
        # 2 y, (b - y) / (1 - kb), (r - y) / (1 - kr) of the pure colors
        ("601", RED, (2 * 0.299, -0.299 / 0.886, 1)),
        ("601", BLUE, (2 * 0.114, 1, -0.114 / 0.701)),
        ("2020", RED, (2 * 0.2627, -0.2627 / 0.9407, 1)),
        ("2020", GREEN, (2 * 0.6780, -0.6780 / 0.9407, -0.6780 / 0.7373)),
        ("709 full", GREEN, (2 * 0.7152, -0.7152 / 0.9278, -0.7152 / 0.7874)),
    ],
)
def test_a_pure_color_becomes_the_same_color_of_bt709(name: str, rgb: Any, yuv: Any) -> None:
    y = float(np.dot(rgb, (0.2126, 0.7152, 0.0722)))
    wanted = (2 * y, (rgb[2] - y) / 0.9278, (rgb[0] - y) / 0.7874)
    np.testing.assert_allclose(to_bt709(color(name), 360) @ np.array(yuv), wanted, atol=1e-6)


@pytest.mark.parametrize("name", COLORS)
def test_packed_matrices_of_inverses_are_inverses(name: str) -> None:
    matrix = to_bt709(color(name), 360)
    there, back = packed_matrix(matrix), packed_matrix(np.linalg.inv(matrix))
    np.testing.assert_allclose(back @ there, np.eye(24), atol=1e-5)


def test_gray_has_no_color_in_any_matrix() -> None:
    gray = np.r_[np.linspace(-1, 1, 16), np.zeros(8)].astype(np.float32)
    np.testing.assert_allclose(packed_matrix(to_bt709(COLORS["601"], 360)) @ gray, gray, atol=1e-6)


# ---- the graph's ends ----


def run(build: Any, *arrays: Any) -> list[Any]:
    parameters = [op.parameter(list(a.shape), ov.Type(a.dtype)) for a in arrays]
    outputs = [getattr(item, "output", lambda _, i=item: i)(0) for item in build(*parameters)]
    model = ov.Model([op.result(item) for item in outputs], parameters, "part")
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(found) for found in compiled(list(arrays)).values()]


def space_to_depth(plane: Any, block: int) -> Any:
    height, width = plane.shape[0] // block, plane.shape[1] // block
    return plane.reshape(height, block, width, block).transpose(1, 3, 0, 2).reshape(-1, height, width)


@pytest.mark.parametrize("name", COLORS)
def test_packing_is_space_to_depth_of_each_pixel_in_bt709(name: str) -> None:
    """Where the four luma samples of a chroma sample are equal, packing is the per-pixel conversion."""
    rng = np.random.default_rng(0)
    y, u, v = rng.integers(16, 236, (3, 8, 12), np.uint8)
    luma = y.repeat(2, 0).repeat(2, 1)
    middle, unit, chroma = levels(color(name))
    normal = np.stack([(y - middle) / unit, (u - 128.0) / chroma, (v - 128.0) / chroma])
    wanted = np.einsum("ij,jhw->ihw", to_bt709(color(name), 360), normal)
    full = space_to_depth(wanted[0].repeat(2, 0).repeat(2, 1), 4)
    expected = np.concatenate([full, space_to_depth(wanted[1], 2), space_to_depth(wanted[2], 2)])
    (packed,) = run(lambda *p: [_pack(*p, color(name), 360)], *(a[None, None] for a in (luma, u, v)))
    np.testing.assert_allclose(packed[0], expected, atol=1e-5)


def test_unpacking_rounds_to_the_nearest_byte() -> None:
    middle, unit, _ = levels(COLORS["709"])
    packed = np.zeros((1, 24, 2, 2), np.float32)
    packed[:, :16] = ((np.float32([100.4, 100.6, 99.5, 100]) - middle) / unit).reshape(2, 2)
    y, u, _ = run(lambda p: _unpack(p, COLORS["709"], 360), packed)
    assert [y[0, 0, r, c] for r in (0, 4) for c in (0, 4)] == [100, 101, 100, 100]
    assert (u == 128).all()


@pytest.mark.parametrize(("name", "luma", "chroma"), [("709", (16, 235), (16, 240)), ("709 full", (0, 255), (0, 255))])
def test_what_is_too_bright_or_too_dark_stays_within_the_range(name: str, luma: Any, chroma: Any) -> None:
    for value, end in ((-3.0, 0), (3.0, 1)):
        y, u, v = run(lambda p: _unpack(p, color(name), 360), np.full((1, 24, 2, 2), value, np.float32))
        assert (y == luma[end]).all()
        assert (u == chroma[end]).all()
        assert (v == chroma[end]).all()


# ---- the whole graph ----


@pytest.mark.parametrize(
    ("regions", "inputs"),
    [(1, "y u v strength shift_0"), (2, "y u v strength shift_0 shift_1 mask_deep mask_fine")],
)
def test_the_graph_has_the_inputs_and_outputs_it_promises(
    tiny_bundle: Path, tiny: ModuleType, regions: int, inputs: str
) -> None:
    model, _ = join(ov.Core(), Bundle(tiny_bundle), (64, 96), tiny.LIMITED, regions)
    outputs = "y_out u_out v_out"
    for items, names in ((model.inputs, inputs.split()), (model.outputs, outputs.split())):
        assert len(items) == len(names)
        assert set(names) <= {name for item in items for name in item.get_names()}
    shapes = {name: list(i.shape) for i in (*model.inputs, *model.outputs) for name in i.get_names()}
    assert shapes["y"] == shapes["y_out"] == [1, 1, 64, 96]
    assert shapes["u"] == shapes["v_out"] == [1, 1, 32, 48]
