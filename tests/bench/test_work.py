"""What a frame asks for agrees with counting by hand, and with the table of `exporters/README.md`."""

import math
from pathlib import Path
from types import ModuleType

import pytest

from allaprima.bench import work
from allaprima.bench.work import Op, Work, net_work, stage_work
from allaprima.realtime.backends.layout import Layout
from allaprima.realtime.bundle import Bundle, shipped_bundle

HD = (1280, 720)
CELLS = 188 * 328
"""Of a picture of 1280x720 with its margin."""
WEIGHTS = 193_054
"""Of the shipped encoder and decoder: 192,144 in filters, the rest biases and what norms scale by."""


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle(shipped_bundle(), verify=False)


@pytest.mark.parametrize(
    ("op", "flop"),
    [
        (Op("Conv", ((1, 3, 8, 8), (16, 3, 5, 5), (16,)), (1, 16, 8, 8)), 2 * 16 * 64 * 75),
        (Op("Convolution", ((1, 3, 8, 8), (16, 3, 5, 5)), (1, 16, 4, 4)), 2 * 16 * 16 * 75),
        (Op("GroupConvolution", ((1, 12, 8, 8), (3, 2, 4, 3, 3)), (1, 6, 8, 8)), 2 * 6 * 64 * 36),
        (Op("MatMul", ((7, 11), (11, 13)), (7, 13)), 2 * 7 * 11 * 13),
        (Op("InstanceNormalization", ((1, 2, 3, 3), (2,), (2,)), (1, 2, 3, 3)), 5 * 18),
        (Op("Relu", ((1, 2, 3, 3),), (1, 2, 3, 3)), 18),
        (Op("Transpose", ((1, 2, 3, 3), (4,)), (1, 3, 3, 2)), 0),
    ],
)
def test_operations_are_counted(op: Op, flop: int) -> None:
    assert op.flop == flop


@pytest.mark.parametrize(("precision", "kind"), [("bf16", "cpu"), ("fp16", "card")])
def test_the_shipped_nets_take_the_multiply_adds_of_the_table(shipped: Bundle, precision: str, kind: str) -> None:
    if kind == "card":
        pytest.importorskip("onnx")
    count = net_work(shipped, HD, precision)
    graph = work._graph(shipped.path, tuple(sorted(shipped.manifest.sha256.items())), HD, kind, 2)
    convolved = sum(op.flop for op in graph.ops if op.kind in work.CONVOLUTIONS)
    without_margin = convolved / 2 / CELLS * (180 * 320)
    assert without_margin / 1e9 == pytest.approx(15.6, abs=0.05)
    assert convolved / 1e9 < count.gflop < 1.03 * convolved / 1e9  # the rest is small


def test_bytes_are_the_picture_the_weights_and_what_norms_hold_up(shipped: Bundle) -> None:
    norms = 6 * 2 * (48 * CELLS * 2)  # six norms of 48 channels, written and read
    found = {precision: 1e6 * net_work(shipped, HD, precision).megabytes for precision in ("bf16", "f32")}
    assert found["bf16"] == pytest.approx(norms + ends(shipped) + 2 * WEIGHTS, rel=1e-4)
    assert found["f32"] == pytest.approx(2 * norms + ends(shipped) + 4 * WEIGHTS, rel=1e-4)


def test_what_fits_into_the_cache_need_not_travel(shipped: Bundle) -> None:
    one_map = 48 * CELLS * 2
    nothing, half, all_of_it = (net_work(shipped, HD, "bf16", cache).megabytes for cache in (0, one_map // 2, one_map))
    assert nothing - half == pytest.approx(half - all_of_it)
    assert 1e6 * all_of_it == pytest.approx(ends(shipped) + 2 * WEIGHTS, rel=1e-3)


def ends(bundle: Bundle) -> float:
    """Bytes of the picture in and out, and of a style's filters, which go in as float32."""
    return 2 * 1.5 * 752 * 1312 + 4 * sum(math.prod(shape) for shape in bundle.manifest.filters.values())


def test_work_grows_with_the_pixels(shipped: Bundle) -> None:
    small, large = (net_work(shipped, size, "bf16").gflop for size in ((640, 360), (1280, 720)))
    assert large / small == pytest.approx(CELLS / (98 * 168), rel=1e-3)


def test_any_bundle_is_counted_by_its_own_nets(tiny: ModuleType, tmp_path: Path) -> None:
    bundle = Bundle(tiny.write_bundle(tmp_path / "tiny"))
    assert 0 < net_work(bundle, (96, 64), "f32").gflop < 0.01


def test_stages_move_at_least_what_goes_in_and_comes_out() -> None:
    width, height = Layout(HD).padded
    picture, padded = 1.5 * 1280 * 720, 1.5 * width * height
    small = width * height / 16
    assert stage_work("upload", HD).megabytes == pytest.approx((picture + padded + small) / 1e6)
    assert stage_work("motion", HD).megabytes == pytest.approx((2 * small + 12 * small) / 1e6)
    assert stage_work("blend", HD).megabytes == pytest.approx((10 * padded + 12 * small) / 1e6)
    assert stage_work("decode", HD) == stage_work("encode", HD) == Work(0, picture / 1e6)
    assert stage_work("finish", HD) == stage_work("a stage of tomorrow", HD) == Work()
