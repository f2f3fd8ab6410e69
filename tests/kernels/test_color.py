"""Color conversion where the answer is known: bars, grays, ramps, means."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from allaprima.kernels.reference.color import BT601, BT709, BT2020, SITINGS, encoding, from_rgb, to_rgb
from allaprima.kernels.surface import FORMATS, crop
from allaprima.realtime.rgb import Rgb

from .surfaces import STANDARDS, codes

WHITE, YELLOW, CYAN, GREEN, MAGENTA, RED, BLUE, BLACK = (
    (1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0),
)  # fmt: skip
BARS_601 = {
    WHITE: (235, 128, 128), YELLOW: (210, 16, 146), CYAN: (170, 166, 16), GREEN: (145, 54, 34),
    MAGENTA: (106, 202, 222), RED: (81, 90, 240), BLUE: (41, 240, 110), BLACK: (16, 128, 128),
}  # fmt: skip
BARS_709 = {
    WHITE: (235, 128, 128), YELLOW: (219, 16, 138), CYAN: (188, 154, 16), GREEN: (173, 42, 26),
    MAGENTA: (78, 214, 230), RED: (63, 102, 240), BLUE: (32, 240, 118), BLACK: (16, 128, 128),
}  # fmt: skip
BARS_709_75 = {
    WHITE: (180, 128, 128), YELLOW: (168, 44, 136), CYAN: (145, 147, 44), GREEN: (133, 63, 52),
    MAGENTA: (63, 193, 204), RED: (51, 109, 212), BLUE: (28, 212, 120), BLACK: (16, 128, 128),
}  # fmt: skip
BARS_2020 = {RED: (74, 97, 240), GREEN: (164, 47, 25), BLUE: (29, 240, 119), WHITE: (235, 128, 128)}
BARS_2020_10 = {RED: (294, 387, 960), GREEN: (658, 189, 100), BLUE: (116, 960, 476), WHITE: (940, 512, 512)}
BARS_601_FULL = {RED: (76, 85, 255), GREEN: (150, 44, 21), BLUE: (29, 255, 107), WHITE: (255, 128, 128)}
BARS_709_FULL_10 = {RED: (217, 395, 1023), BLUE: (74, 1023, 465), WHITE: (1023, 512, 512), BLACK: (0, 512, 512)}

BARS = [
    pytest.param(bars, coefficients, full, format, share, id=name)
    for name, bars, coefficients, full, format, share in [
        ("601", BARS_601, BT601, False, "nv12", 1),
        ("709", BARS_709, BT709, False, "yuv420p", 1),
        ("709 at 75 %", BARS_709_75, BT709, False, "nv12", 0.75),
        ("2020", BARS_2020, BT2020, False, "nv12", 1),
        ("2020, 10 bits", BARS_2020_10, BT2020, False, "p010", 1),
        ("601 full (JPEG)", BARS_601_FULL, BT601, True, "yuv420p", 1),
        ("709 full, 10 bits", BARS_709_FULL_10, BT709, True, "p010", 1),
    ]
]


def even(color: Any, size: tuple[int, int] = (6, 4)) -> Any:
    """A picture of one color, RGB or codes."""
    width, height = size
    return np.broadcast_to(np.asarray(color)[:, None, None], (3, height, width))


def packed(y: Any, u: Any, v: Any, format: str) -> tuple[Any, ...]:
    """Planes of codes in a format."""
    dtype, count = FORMATS[format]
    y, u, v = ((np.asarray(plane) * (64 if format == "p010" else 1)).astype(dtype) for plane in (y, u, v))
    return (y, np.stack([u, v], -1)) if count == 2 else (y, u, v)


def one_color(planes: tuple[Any, ...]) -> tuple[int, int, int]:
    """The codes of a picture that has one color."""
    unit = 64 if planes[0].dtype == np.uint16 else 1
    y, u, v = planes if len(planes) == 3 else (planes[0], planes[1][..., 0], planes[1][..., 1])
    for plane in (y, u, v):
        assert (plane == plane.flat[0]).all()
        assert plane.flat[0] % unit == 0, "the low bits must be 0"
    return tuple(int(plane.flat[0]) // unit for plane in (y, u, v))  # type: ignore[return-value]


@pytest.mark.parametrize(("bars", "coefficients", "full", "format", "share"), BARS)
def test_bars_are_the_codes_of_the_standard(
    bars: Any, coefficients: Any, full: bool, format: str, share: float
) -> None:
    for color, expected in bars.items():
        rgb = share * even(color).astype(np.float64)
        assert one_color(from_rgb(rgb, coefficients, full, format=format)) == expected, color
        y, u, v = (np.full(shape, code) for shape, code in zip([(4, 6), (2, 3), (2, 3)], expected, strict=True))
        back = to_rgb(packed(y, u, v, format), coefficients, full, dtype="float32")
        step = 1 / (200 if format != "p010" else 800)
        np.testing.assert_allclose(back, rgb, atol=1.2 * step, err_msg=str(color))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("coefficients", STANDARDS.values(), ids=STANDARDS)
def test_grays_are_exact(coefficients: Any, format: str, full: bool) -> None:
    bits = 10 if format == "p010" else 8
    black, white = (0, 2**bits - 1) if full else (16 << bits - 8, 235 << bits - 8)
    for code in (black, (black + white) // 2, white):
        planes = packed(np.full((3, 3), code), *np.full((2, 2, 2), 1 << bits - 1), format)
        rgb = to_rgb(planes, coefficients, full, dtype="float32")
        np.testing.assert_array_equal(rgb, np.float32((code - black) / (white - black)))
        assert one_color(from_rgb(rgb, coefficients, full, format=format)) == (code, 1 << bits - 1, 1 << bits - 1)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("coefficients", STANDARDS.values(), ids=STANDARDS)
def test_there_and_back_is_the_same_to_a_level(coefficients: Any, full: bool, dtype: str) -> None:
    """Even colors: chroma of half the size cannot come back where neighbors differ."""
    rng = np.random.default_rng(0)
    for color in rng.random((50, 3)):
        planes = from_rgb(even(color), coefficients, full)
        again = from_rgb(to_rgb(planes, coefficients, full, dtype=dtype), coefficients, full)
        difference = np.abs(np.subtract(one_color(planes), one_color(again)))
        assert difference.max() <= 1


@pytest.mark.parametrize("siting", SITINGS)
def test_chroma_lies_where_its_siting_says(siting: str) -> None:
    """A ramp of chroma is the same ramp in pixels, away from the edge, and comes back as it was."""
    sx, sy = SITINGS[siting]
    j, i = np.mgrid[:8, :10]
    u, v = 90 + 4 * i + 3 * j, 150 - 2 * i - 3 * j
    planes = packed(np.full((16, 20), 128), u, v, "yuv420p")
    rgb = to_rgb(planes, siting=siting, dtype="float32")
    matrix, offsets = encoding(BT709, False)
    _, u_seen, v_seen = np.einsum("ij,jyx->iyx", matrix, rgb) + offsets[:, None, None]
    y, x = np.mgrid[:16, :20]
    i_of, j_of = (x - sx) / 2, (y - sy) / 2
    inside = np.s_[2:-2, 2:-2]
    np.testing.assert_allclose(u_seen[inside], (90 + 4 * i_of + 3 * j_of)[inside], atol=1e-3)
    np.testing.assert_allclose(v_seen[inside], (150 - 2 * i_of - 3 * j_of)[inside], atol=1e-3)
    _, u_again, v_again = from_rgb(rgb, siting=siting, format="yuv420p")
    np.testing.assert_array_equal(u_again[1:-1, 1:-1], u[1:-1, 1:-1])
    np.testing.assert_array_equal(v_again[1:-1, 1:-1], v[1:-1, 1:-1])


def test_chroma_is_the_mean_of_its_pixels() -> None:
    """A white column beside black ones: of 2x2 pixels, or of 1, 2, 1 columns and two rows."""
    rgb = np.zeros((3, 4, 8))
    rgb[2, :, 2] = 1  # blue
    share = {"center": [0, 0.5, 0, 0], "left": [0, 0.5, 0, 0], "topleft": [0, 0.5, 0, 0]}
    rgb_odd = np.roll(rgb, 1, 2)
    share_odd = {"center": [0, 0.5, 0, 0], "left": [0, 0.25, 0.25, 0], "topleft": [0, 0.25, 0.25, 0]}
    for picture, shares in ((rgb, share), (rgb_odd, share_odd)):
        for siting, expected in shares.items():
            _, u, _ = from_rgb(picture, siting=siting, format="yuv420p")
            np.testing.assert_array_equal(u, np.tile(np.rint(128 + 112 * np.array(expected)), (2, 1)))


def test_the_last_line_of_odd_sides_is_repeated() -> None:
    rgb = np.random.default_rng(0).random((3, 5, 7))
    wider = np.pad(rgb, ((0, 0), (0, 1), (0, 1)), mode="edge")
    for a, b in zip(from_rgb(rgb, format="yuv420p"), from_rgb(wider, format="yuv420p"), strict=True):
        np.testing.assert_array_equal(a, b[: len(a), : a.shape[1]])


def test_a_single_pixel_is_a_picture() -> None:
    planes = from_rgb(np.ones((3, 1, 1)))
    assert [plane.shape for plane in planes] == [(1, 1), (1, 1, 2)]
    np.testing.assert_array_equal(to_rgb(planes), np.ones((3, 1, 1)))


def test_shrinking_by_whole_factors_takes_means() -> None:
    planes = tuple(100 + plane % 40 for plane in codes((24, 12), "nv12"))  # nothing is clamped
    full = to_rgb(planes, dtype="float64")
    means = full.reshape(3, 4, 3, 12, 2).mean((2, 4))
    np.testing.assert_allclose(to_rgb(planes, size=(12, 4), dtype="float64"), means, atol=1e-12)


def test_enlarging_keeps_a_ramp() -> None:
    y = np.tile(np.arange(40, 200, 10), (6, 1))
    planes = packed(y, *np.full((2, 3, 8), 128), "nv12")
    large = to_rgb(planes, size=(64, 6), dtype="float64")[0, 0]
    at = np.clip((np.arange(64) + 0.5) / 4 - 0.5, 0, 15)
    np.testing.assert_allclose(large, (40 + 10 * at - 16) / 219, atol=1e-12)


@pytest.mark.parametrize("size", [None, (11, 9)])
def test_the_margin_repeats_the_edge(size: tuple[int, int] | None) -> None:
    planes = codes((13, 7), "yuv420p")
    picture, within = to_rgb(planes, size=size), to_rgb(planes, size=size, margin=16, stride=8)
    assert within.shape == (3, 40 if size is None else 48, 48)
    below, right = (padded - 16 - side for padded, side in zip(within.shape[1:], picture.shape[1:], strict=True))
    np.testing.assert_array_equal(within, np.pad(picture, ((0, 0), (16, below), (16, right)), mode="edge"))


def test_the_formats_say_the_same() -> None:
    y, u, v = codes((9, 7), "yuv420p")
    expected = to_rgb((y, u, v), dtype="float32")
    np.testing.assert_array_equal(to_rgb((y, np.stack([u, v], -1)), dtype="float32"), expected)
    as_10_bits = tuple(np.uint16(plane) << 8 for plane in (y, np.stack([u, v], -1)))
    np.testing.assert_allclose(to_rgb(as_10_bits, dtype="float32"), expected, atol=1e-6)


def test_colors_are_clamped_and_what_is_no_number_is_black() -> None:
    wild = np.array([np.nan, 7, -3]).reshape(3, 1, 1)
    assert one_color(from_rgb(wild, format="yuv420p")) == BARS_709[GREEN]
    for y, u, v in product((0, 255), repeat=3):
        rgb = to_rgb(packed([[y]], [[u]], [[v]], "nv12"))
        assert 0 <= rgb.min() <= rgb.max() <= 1


def test_a_crop_is_the_picture_cut_before() -> None:
    planes = codes((21, 13), "nv12")
    cut = crop(planes, (4, 2, 9, 7))
    assert [plane.shape for plane in cut] == [(7, 9), (4, 5, 2)]
    full, part = to_rgb(planes, dtype="float32"), to_rgb(cut, dtype="float32")
    np.testing.assert_array_equal(part[:, 1:-1, 1:-1], full[:, 3:8, 5:12])  # its edge does not see what is cut off


def test_ffmpeg_agrees() -> None:
    """On a smooth picture; their codes may be off by one, which is up to 1.2 + 2.1 levels of blue."""
    y, x = np.mgrid[:48, :64]
    rgb = np.stack([4 * x, 5 * y, 255 - 2 * x - 2 * y], -1).astype(np.uint8)
    theirs = Rgb().frame(rgb).planes
    for plane, wanted in zip(from_rgb(rgb.transpose(2, 0, 1) / 255, format="yuv420p"), theirs, strict=True):
        assert np.abs(plane.astype(int) - wanted)[1:-1, 1:-1].max() <= 1
    back = 255 * to_rgb(theirs, dtype="float64").transpose(1, 2, 0)
    assert np.abs(back - rgb)[2:-2, 2:-2].max() <= 3.5
