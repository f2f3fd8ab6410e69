"""The kernels of the blend against exact arithmetic and the reference.

Tolerances: float32 in bytes within 1e-3, some fifty roundings (6e-8 of 255 each); float16 within half a unit of its
last place (2^-11 of the value) more; bytes within half a byte.  History is fetched within 0.02, since positions are
within 5e-5 pixels and noise changes by up to 300 bytes a pixel.
"""

from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.blend import blend, crisp, fetch, hold, raised
from allaprima.kernels.reference import blend as reference
from allaprima.kernels.reference import contrast
from allaprima.kernels.reference.warp import exact, positions, warp_along

from .fake_cupy import FakeCupy, FakeStream

SIZES = [(1, 1), (1, 9), (7, 1), (32, 8), (33, 9), (65, 41)]
LARGE_AND_SMALL = [((1, 1), (1, 1)), ((4, 4), (1, 1)), ((64, 40), (16, 10)), ((65, 43), (16, 10)), ((30, 20), (60, 40))]
"""The last is chroma where the flow is measured on all of luma."""
LIMITS = (16.0, 235.0)


def planes_of(shape: tuple[int, ...], dtype: Any = np.float32, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(0, 255, shape).astype(dtype)


def map_of(size: tuple[int, int], low: float, high: float, seed: int = 3) -> Any:
    return np.random.default_rng(seed).uniform(low, high, (size[1], size[0])).astype(np.float32)


def enlarged(small: Any, size: tuple[int, int]) -> Any:
    return cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)


def assert_close(out: Any, wanted: Any, atol: float = 1e-3) -> None:
    if out.dtype == np.uint8:
        assert np.abs(out - np.clip(wanted, 0, 255)).max() <= 0.5 + atol
    else:
        np.testing.assert_allclose(out, wanted, atol=atol, rtol=2**-11 if out.dtype == np.float16 else 0)


# ---- plain ----


@pytest.fixture(params=["uint8", "float16", "float32"])
def dtype(request: pytest.FixtureRequest) -> Any:
    return np.dtype(request.param)


@pytest.mark.parametrize("size", SIZES)
def test_it_is_new_plus_weight_times_the_difference(cupy: Any, size: tuple[int, int], dtype: Any) -> None:
    new, history = (planes_of((3, *size[::-1]), dtype, seed) for seed in (0, 1))
    weight = map_of(size, -0.2, 1.2).clip(0, 1)
    out = blend(*map(cupy.asarray, (new, history, weight))).get()
    assert (out.shape, out.dtype) == (new.shape, dtype)
    assert_close(out, new + weight.astype(float) * (history.astype(float) - new))
    if dtype == np.uint8:
        steps = [
            abs(found - reference.blend(n, h, weight).astype(int))
            for found, n, h in zip(out, new, history, strict=True)
        ]
        assert np.max(steps) <= 1


@pytest.mark.parametrize("weight", [0, 1])
def test_no_weight_is_new_and_all_of_it_the_history(cupy: Any, dtype: Any, weight: int) -> None:
    both = [planes_of((20, 52), dtype, seed) for seed in (0, 1)]
    constant = np.full((20, 52), weight, np.float32)
    out = blend(*map(cupy.asarray, (*both, constant))).get()
    np.testing.assert_allclose(out, both[weight], atol=3e-5 if dtype == np.float32 else 0)


def test_what_is_equal_stays_equal(cupy: Any, dtype: Any) -> None:
    same, weight = cupy.asarray(planes_of((20, 52), dtype)), cupy.asarray(map_of((52, 20), 0, 1))
    np.testing.assert_array_equal(blend(same, same, weight).get(), same.get())


# ---- fetched ----


def flow_of(small: tuple[int, int], far: float = 3.0) -> Any:
    return np.random.default_rng(2).uniform(-far, far, (small[1], small[0], 2)).astype(np.float32)


@pytest.mark.parametrize(("large", "small"), LARGE_AND_SMALL)
def test_history_is_fetched_exactly_at_any_size(cupy: Any, large: Any, small: Any, dtype: Any) -> None:
    history, flow = planes_of((2, *large[::-1]), dtype), flow_of(small)
    out = fetch(cupy.asarray(history), cupy.asarray(flow)).get()
    assert (out.shape, out.dtype) == (history.shape, np.float32)
    np.testing.assert_allclose(out, exact(history, positions(flow, large), "bicubic"), atol=0.02)


def test_what_rests_is_copied_and_what_moves_beside_it_is_not(cupy: Any, dtype: Any) -> None:
    history, flow = planes_of((40, 64), dtype), np.zeros((10, 16, 2), np.float32)
    flow[:, 10:] = 0.3, -0.6
    out = fetch(cupy.asarray(history), cupy.asarray(flow)).get()
    still = 4 * 10 - 2  # from half a small pixel before on, the flow is seen
    np.testing.assert_array_equal(out[:, :still], history[:, :still])
    wanted = exact(history, positions(flow, (64, 40)), "bicubic")
    np.testing.assert_allclose(out[:, still:], wanted[:, still:], atol=0.02)
    assert np.abs(out - history)[:, 44:].mean() > 10


def test_fetching_is_the_references(cupy: Any) -> None:
    history, flow = cv2.GaussianBlur(planes_of((72, 256)), None, 2), flow_of((64, 18), 0.5)
    flow[:, :18] = 0
    out = fetch(cupy.asarray(history), cupy.asarray(flow)).get()
    tolerance = 0.02 if int(cv2.__version__.split(".")[0]) >= 5 else 1  # OpenCV 4: from the nearest 1/32 pixel
    np.testing.assert_allclose(out, warp_along(history, flow, "bicubic"), atol=tolerance)
    np.testing.assert_array_equal(out[:, :64], history[:, :64])


def test_a_flow_may_be_anything(cupy: Any) -> None:
    history, flow = planes_of((40, 64)), flow_of((16, 10))
    flow[1:3, 4:6], flow[0, 0], flow[9, 15], flow[5, 9], flow[7, 2] = np.nan, np.inf, -np.inf, 3e38, 1e9
    assert np.isfinite(fetch(cupy.asarray(history), cupy.asarray(flow)).get()).all()


# ---- held ----


def decided_of(small: tuple[int, int], planes: int = 2) -> Any:
    """Share, gain, level and worn."""
    maps = [
        [map_of(small, low, high, 10 * plane + index).clip(least, 99) for plane in range(planes)]
        for index, (low, high, least) in enumerate(((-0.1, 1.1, 0), (0.95, 1.05, 0), (-9, 9, -9), (-0.1, 1, 0)))
    ]
    maps[0] = [share.clip(0, 1) for share in maps[0]]
    return np.ascontiguousarray(np.moveaxis(maps, 0, 3)).astype(np.float32)


def held(new: Any, history: Any, decided: Any, limits: Any = LIMITS) -> Any:
    """By the reference, plane by plane."""
    large = new.shape[2], new.shape[1]
    rows = zip(new.astype(np.float32), history, decided, strict=True)
    planes = []
    for fresh, old, maps in rows:
        share, level = (enlarged(maps[..., index].copy(), large) for index in (0, 2))
        planes.append(reference.hold(fresh, old, share, level, limits))
    return np.stack(planes)


@pytest.mark.parametrize(("large", "small"), LARGE_AND_SMALL)
def test_holding_equals_the_reference_at_any_size(cupy: Any, large: Any, small: Any, dtype: Any) -> None:
    shape = (2, *large[::-1])
    given = planes_of(shape, dtype, 0), planes_of(shape, np.float32, 1) * 1.2 - 20, decided_of(small)
    out, shown = (result.get() for result in hold(*map(cupy.asarray, given), LIMITS))
    wanted = held(*given)
    assert (out.shape, out.dtype, shown.shape, shown.dtype) == (shape, np.float32, shape, dtype)
    assert_close(out, wanted)
    assert_close(shown, wanted)
    if out.size > 100:
        assert (out.min(), out.max()) == LIMITS


def test_one_plane_needs_no_axis_for_planes_and_may_be_held_where_the_history_is(cupy: Any) -> None:
    given = planes_of((1, 40, 64), np.uint8, 0), planes_of((1, 40, 64), np.float32, 1), decided_of((16, 10), 1)
    new, history, decided = map(cupy.asarray, given)
    shown = cupy.empty((40, 64), np.uint8)
    assert hold(new[0], history[0], decided[0], LIMITS, out=(history[0], shown))[1] is shown
    assert_close(history.get(), held(*given))


@pytest.mark.parametrize("share", [0, 1])
def test_a_share_of_0_is_the_new_picture_and_of_1_the_history(cupy: Any, share: float) -> None:
    new, history = planes_of((40, 64), np.uint8, 0), planes_of((40, 64), np.float32, 1)
    decided = np.full((10, 16, 4), (share, 0.5, 10, 0), np.float32)
    out = hold(*map(cupy.asarray, (new, history, decided)))[0].get()
    np.testing.assert_allclose(out, (history + 10).clip(0, 255) if share else new, atol=1e-4 if share else 0)


def test_a_share_near_1_still_takes_in_what_is_new(cupy: Any) -> None:
    """Bytes would round a change of 0.2 away for ever."""
    new, plane = cupy.asarray(np.full((8, 32), 120, np.uint8)), cupy.asarray(np.full((8, 32), 100, np.float32))
    decided = cupy.asarray(np.full((2, 8, 4), (0.99, 1, 0, 0), np.float32))
    shown = cupy.empty((8, 32), np.uint8)
    for _ in range(300):
        hold(new, plane, decided, out=(plane, shown))
    np.testing.assert_allclose(plane.get(), 120 - 20 * 0.99**300, atol=1e-2)
    assert (shown.get() == 119).all()


# ---- raised ----


@pytest.mark.parametrize(
    ("half", "small"), [((1, 1), (1, 1)), ((1, 5), (1, 3)), ((32, 20), (16, 10)), ((33, 9), (66, 18))]
)
def test_the_level_is_the_references(cupy: Any, half: Any, small: Any) -> None:
    history, decided = planes_of((2 * half[1], 2 * half[0])), decided_of(small, 1)[0]
    out = raised(*map(cupy.asarray, (history, decided))).get()
    assert (out.shape, out.dtype) == (half[::-1], np.float32)
    gain, level = (decided[..., index].copy() for index in (1, 2))
    np.testing.assert_allclose(out, contrast.raised(contrast.detail(history), gain, level), atol=1e-3)


@pytest.mark.parametrize("size", [(2, 2), (64, 40), (66, 18)])
def test_a_level_of_its_own_stands_for_the_decided_one(cupy: Any, size: tuple[int, int], dtype: Any) -> None:
    shape, half = size[::-1], (size[0] // 2, size[1] // 2)
    new, history, decided = planes_of(shape, dtype, 0), planes_of(shape, np.float32, 1), decided_of((16, 10), 1)[0]
    decided[..., 2], level = np.nan, map_of(half, -9, 9)
    given = map(cupy.asarray, (new, history, decided))
    out = hold(*given, LIMITS, level=cupy.asarray(level))[0].get()
    share = enlarged(decided[..., 0].copy(), size)
    assert_close(out, reference.hold(new.astype(np.float32), history, share, enlarged(level, size), LIMITS))


# ---- shown ----


def wear(worn: Any) -> Any:
    """As it is decided: behind share, gain and level, which are not asked for."""
    return np.ascontiguousarray(np.dstack([np.full_like(worn, np.nan)] * 3 + [worn]))


@pytest.mark.parametrize(("large", "small"), LARGE_AND_SMALL)
def test_what_is_shown_is_the_references(cupy: Any, large: Any, small: Any, dtype: Any) -> None:
    plane, worn = planes_of(large[::-1]), map_of(small, -0.3, 1.1).clip(0, 1)
    out = crisp(*map(cupy.asarray, (plane, wear(worn))), LIMITS, out=cupy.empty(plane.shape, dtype)).get()
    where = enlarged(worn, large)
    unsharp = plane + reference.CRISP * where * (plane - cv2.GaussianBlur(plane, (3, 3), 0))
    assert_close(out, unsharp.clip(*LIMITS))
    if dtype == np.uint8:
        steps = np.abs(out - reference.crisp(plane, where, LIMITS).astype(int))
        assert steps.max() <= 1
        assert (steps == 0).mean() > 0.99


@pytest.mark.parametrize("size", SIZES)
def test_what_is_flat_or_not_worn_is_shown_as_it_is(cupy: Any, size: tuple[int, int]) -> None:
    flat, noise = np.full(size[::-1], 77, np.float32), np.rint(planes_of(size[::-1]))
    none, all_of_it = (cupy.asarray(wear(np.full((1, 1), worn, np.float32))) for worn in (0, 1))
    out = crisp(cupy.asarray(flat), all_of_it)
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(out.get(), flat)
    np.testing.assert_array_equal(crisp(cupy.asarray(noise), none).get(), noise)


# ---- the wrappers ----


def test_one_launch_each_on_the_given_stream_and_no_allocation(emulated: FakeCupy) -> None:
    new, history = (emulated.asarray(planes_of((2, 40, 64), dtype)) for dtype in (np.uint8, np.float32))
    flow, decided, weight = map(emulated.asarray, (flow_of((16, 10)), decided_of((16, 10)), map_of((64, 40), 0, 1)))
    out, shown, stream = emulated.empty(new.shape, np.float32), emulated.empty(new.shape, np.uint8), FakeStream()
    level = emulated.empty((20, 32), np.float32)
    with emulated.no_allocation():
        assert fetch(history, flow, out=out, stream=stream) is out
        assert hold(new, out, decided, out=(out, shown), stream=stream) == (out, shown)
        assert raised(out[0], decided[0], out=level, stream=stream) is level
        crisp(out[0], decided[0], out=shown[0], stream=stream)
        assert blend(new, new, weight, out=shown, stream=stream) is shown
    assert emulated.launches == [
        ("fetch<float>", (2, 5), (32, 8), stream),
        ("hold<unsigned char>", (2, 5, 2), (32, 8), stream),
        ("raised", (1, 3), (32, 8), stream),
        ("crisp<unsigned char>", (2, 5), (32, 8), stream),
        ("blend<unsigned char>", (3, 2), (256,), stream),
    ]


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"new": ((2, 40, 64), np.uint16)}, TypeError, "new must be uint8 or float16 or float32"),
        ({"new": ((64,), np.uint8)}, ValueError, r"new must have the shape \(any, any, any\)"),
        ({"history": ((2, 40, 64), np.uint8)}, TypeError, "history must be float32"),
        ({"history": ((2, 40, 63), np.float32)}, ValueError, r"history must have the shape \(2, 40, 64\)"),
        ({"decided": ((10, 16, 4), np.float32)}, ValueError, r"decided must have the shape \(2, any, any, 4\)"),
        ({"decided": ((2, 10, 16, 3), np.float32)}, ValueError, r"decided must have the shape \(2, any, any, 4\)"),
        ({"held": ((2, 40, 64), np.float16)}, TypeError, "out must be float32"),
        ({"shown": ((2, 40, 64), np.float32)}, TypeError, "out must be uint8"),
    ],
)
def test_what_cannot_be_held_is_named(emulated: FakeCupy, change: Any, error: Any, told: str) -> None:
    likes: Any = {"new": ((2, 40, 64), np.uint8), "history": ((2, 40, 64), np.float32)}
    likes |= {"decided": ((2, 10, 16, 4), np.float32), "held": likes["history"], "shown": likes["new"]} | change
    *given, out, shown = (emulated.zeros(*like) for like in likes.values())
    with pytest.raises(error, match=told):
        hold(*given, out=(out, shown))
    assert emulated.launches == []


def test_planes_that_do_not_fit_are_named(emulated: FakeCupy) -> None:
    plane, other, decided = (emulated.zeros(shape, np.float32) for shape in ((8, 12), (8, 11), (4, 6, 4)))
    with pytest.raises(ValueError, match=r"history must have the shape \(8, 12\)"):
        blend(plane, other, plane)
    with pytest.raises(TypeError, match="history must be float32, not uint8"):
        blend(plane, emulated.zeros((8, 12), np.uint8), plane)
    with pytest.raises(ValueError, match=r"weight must have the shape \(8, 12\)"):
        blend(plane, plane, other)
    with pytest.raises(ValueError, match=r"flow must have the shape \(any, any, 2\)"):
        fetch(plane, plane)
    with pytest.raises(TypeError, match="out must be float32, not uint8"):
        fetch(plane, emulated.zeros((4, 6, 2), np.float32), out=emulated.zeros((8, 12), np.uint8))
    with pytest.raises(ValueError, match=r"history must have even sides, not \(8, 11\)"):
        raised(other, decided)
    with pytest.raises(ValueError, match=r"level must have the shape \(4, 6\)"):
        hold(plane, plane, decided, level=other)
    with pytest.raises(TypeError, match="held must be float32"):
        crisp(emulated.zeros((8, 12), np.uint8), decided)
    with pytest.raises(ValueError, match=r"decided must have the shape \(any, any, 4\)"):
        crisp(plane, plane)
    with pytest.raises(ValueError, match=r"out must have the shape \(8, 12\)"):
        crisp(plane, decided, out=other)
    assert emulated.launches == []
