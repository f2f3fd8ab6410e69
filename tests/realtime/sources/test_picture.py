"""Pictures of any format, shape, color and orientation as yuv420p."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from allaprima.realtime.frame import Color
from allaprima.realtime.sources import open_source

from .clips import PATCH, SIZE, luma

Clip = Callable[..., str]


def first(path: str, **wishes: Any) -> Any:
    with open_source(path, **wishes) as source:
        frame = next(iter(source))
        assert frame.size == source.info.size
        assert frame.color == source.info.color
        assert [plane.shape for plane in frame.planes] == shapes(frame.size)
        return frame


def shapes(size: tuple[int, int]) -> list[tuple[int, int]]:
    width, height = size
    return [(height, width), *[(-(-height // 2), -(-width // 2))] * 2]


def means(frame: Any) -> list[float]:
    return [float(plane.mean()) for plane in frame.planes]


@pytest.mark.parametrize("size", [(33, 17), (16, 16), (17, 16), (64, 47)])
@pytest.mark.parametrize("codec", ["ffv1", "libvpx-vp9"])
def test_odd_and_small_sizes(clip: Clip, size: tuple[int, int], codec: str) -> None:
    frame = first(clip("odd.mkv", codec=codec, size=size, values=PATCH, frames=2))
    assert frame.size == size
    assert means(frame) == pytest.approx(PATCH, abs=2)


FORMATS = {
    "ffv1": ["yuv420p10le", "yuv422p", "yuv422p10le", "yuv444p", "yuv444p16le", "yuva420p", "yuv411p"],
    "rawvideo": ["nv12", "yuyv422", "uyvy422"],
}


@pytest.mark.parametrize("span", [1, 2])
@pytest.mark.parametrize(("codec", "pix_fmt"), [(c, f) for c, formats in FORMATS.items() for f in formats])
def test_yuv_numbers_are_left_alone(clip: Clip, codec: str, pix_fmt: str, span: int) -> None:
    """Neither range nor matrix changes on the way from any YUV format, and the tags stay."""
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 14, "color_range": span}
    path = clip("c.mkv", codec=codec, pix_fmt=pix_fmt, values=PATCH, frames=2, tags=tags)
    frame = first(path)
    assert frame.color == Color(9, 9, 14, span)
    assert means(frame) == pytest.approx(PATCH, abs=2)


@pytest.mark.parametrize("matrix", [1, 4, 5, 6, 7, 8, 9, 10])
def test_every_matrix_passes(clip: Clip, matrix: int) -> None:
    tags = {"colorspace": matrix, "color_range": 1}
    path = clip("m.mkv", codec="ffv1", pix_fmt="yuv444p10le", values=PATCH, frames=1, tags=tags)
    frame = first(path, size=(32, 32))
    assert frame.color.matrix == matrix
    assert means(frame) == pytest.approx(PATCH, abs=2)


@pytest.mark.parametrize("pix_fmt", ["yuvj420p", "yuvj422p", "yuvj444p"])
def test_jpeg_is_full_range(clip: Clip, pix_fmt: str) -> None:
    frame = first(clip("j.avi", codec="mjpeg", pix_fmt=pix_fmt, values=PATCH, frames=2))
    assert frame.color.full_range
    assert means(frame) == pytest.approx(PATCH, abs=3)


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "ya8"])
def test_gray_has_no_color(clip: Clip, pix_fmt: str) -> None:
    frame = first(clip("g.mkv", codec="ffv1", pix_fmt=pix_fmt, values=(120, 120), frames=1, size=(33, 17)))
    assert means(frame) == pytest.approx((120, 128, 128), abs=1)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name"),
    [
        ("png", "rgb24", "a.png"),
        ("png", "rgba", "a.png"),
        ("ffv1", "bgr0", "a.mkv"),
        ("ffv1", "rgb48le", "a.mkv"),
    ],
)
def test_rgb_becomes_bt709_limited(clip: Clip, codec: str, pix_fmt: str, name: str) -> None:
    red, green, blue = 200, 100, 50
    values = (blue, green, red) if pix_fmt == "bgr0" else (red, green, blue)
    frame = first(clip(name, codec=codec, pix_fmt=pix_fmt, frames=1, make=lambda _: colored(values, pix_fmt)))
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    expected = (
        16 + 219 / 255 * y,
        128 + 224 / 255 * (blue - y) / 1.8556,
        128 + 224 / 255 * (red - y) / 1.5748,
    )
    assert frame.color == Color(1, frame.color.primaries, frame.color.transfer, 1)
    assert means(frame) == pytest.approx(expected, abs=2)


def colored(values: tuple[int, int, int], pix_fmt: str) -> av.VideoFrame:
    width, height = SIZE
    frame = av.VideoFrame(width, height, pix_fmt)
    pixel = np.array([*values, 255][: 3 if pix_fmt in ("rgb24", "rgb48le") else 4])
    kind, scale = ("<u2", 257) if pix_fmt == "rgb48le" else ("u1", 1)
    row = np.resize(pixel * scale, frame.planes[0].line_size // np.dtype(kind).itemsize)
    frame.planes[0].update(np.tile(row.astype(kind), height).tobytes())
    return frame


def test_palettes(clip: Clip) -> None:
    path = clip("a.gif", codec="gif", pix_fmt="gray", frames=5, values=(120,))
    with open_source(path) as source:
        frames = list(source)
    assert len(frames) == 5
    assert means(frames[2]) == pytest.approx((16 + 120 * 219 / 255, 128, 128), abs=2)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("s.png", "png", "rgb24"), ("s.jpg", "mjpeg", "yuvj420p"), ("s.webp", "libwebp", "yuv420p")],
)
def test_a_still_is_one_frame(clip: Clip, name: str, codec: str, pix_fmt: str) -> None:
    with open_source(clip(name, codec=codec, pix_fmt=pix_fmt, frames=1, values=(90, 128, 128))) as source:
        assert not source.info.live
        assert len(list(source)) == 1


def test_an_animated_webp(clip: Clip) -> None:
    path = clip("a.webp", codec="libwebp_anim", frames=5, rate=10, options={"lossless": "1"})
    with open_source(path) as source:
        assert source.info.size == SIZE
        frames = list(source)
    assert [round(frame.time, 3) for frame in frames] == [0, 0.1, 0.2, 0.3, 0.4]
    assert [means(frame)[0] for frame in frames] == pytest.approx([luma(n) for n in range(5)], abs=2)


def test_a_series_of_pictures(clip: Clip) -> None:
    for number in range(4):
        path = clip(f"n{number:03}.png", codec="png", pix_fmt="gray", frames=1, values=(50 * number,))
    with open_source(path.replace("n003", "n%03d")) as source:
        assert [round(means(frame)[0]) for frame in source] == [0, 50, 100, 150]


CORNERS = np.array([[1, 2], [3, 4]])
"""Brightness of the four quarters of the stored picture, in units of 40."""


def quarters(_: int) -> av.VideoFrame:
    picture = np.full((72, 64), 128, np.uint8)
    picture[:48] = np.kron(CORNERS * 40, np.ones((24, 32)))
    return av.VideoFrame.from_ndarray(picture, "yuv420p")


def seen(frame: Any) -> list[list[int]]:
    luma = frame.planes[0]
    height, width = luma.shape
    return [[round(luma[height * y // 4, width * x // 4] / 40) for x in (1, 3)] for y in (1, 3)]


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("angle", [0, 90, 180, -90, 88])
def test_rotated_video_comes_upright(clip: Clip, angle: int, mirror: bool) -> None:
    path = clip(
        frames=2,
        make=quarters,
        prepare=lambda stream: stream.set_display_rotation(angle, hflip=mirror),
    )
    expected = np.rot90(CORNERS, round(angle / 90))
    if mirror:
        expected = expected[:, ::-1]
    frame = first(path)
    assert seen(frame) == expected.tolist()
    assert frame.size == ((48, 64) if angle in (90, -90, 88) else (64, 48))
    assert all(plane.flags.c_contiguous or not angle for plane in frame.planes)


def test_pixel_shape(clip: Clip) -> None:
    def wide(stream: Any, angle: int) -> None:
        stream.codec_context.sample_aspect_ratio = 2
        stream.set_display_rotation(angle)

    for angle, size, expected in [(0, None, 2), (0, (64, 96), 4), (90, None, Fraction(1, 2))]:
        path = clip(frames=2, prepare=lambda stream, angle=angle: wide(stream, angle))
        with open_source(path, size=size) as source:
            assert source.info.sample_aspect == expected


@pytest.mark.parametrize("angle", [0, 90])
def test_scaling(clip: Clip, angle: int) -> None:
    path = clip(frames=2, make=quarters, prepare=lambda stream: stream.set_display_rotation(angle))
    frame = first(path, size=(50, 31))
    assert frame.size == (50, 31)
    assert seen(frame) == np.rot90(CORNERS, angle // 90).tolist()


def test_untagged_video_stays_untagged(clip: Clip) -> None:
    assert first(clip()).color == Color()


def test_interlaced_video_is_noted(clip: Clip) -> None:
    path = clip("i.mpg", codec="mpeg2video", options={"flags": "+ildct+ilme"}, make=quarters)
    with open_source(path) as source:
        assert any("interlaced" in note for note in source.notes)
