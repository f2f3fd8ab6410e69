"""Memory of pictures, and that what a way needs is there before it is captured.  What is painted: see test_cuda."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from allaprima.kernels.surface import Surface
from allaprima.realtime.backends import cuda_step
from allaprima.realtime.backends.cuda_step import (
    Step,
    Way,
    bytes_of,
    encoder_bytes,
    encoder_planes,
    parts_of,
    planes_in,
    report_bytes,
)
from allaprima.realtime.backends.layout import Layout
from allaprima.realtime.frame import Color

from ...kernels.fake_cupy import FakeCupy
from .cuda_rig import Still, card

SIZES = [(2, 2), (33, 5), (96, 64), (67, 35)]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCupy]:
    monkeypatch.setattr(cuda_step, "Dis", Still)
    with card() as found:
        yield found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("format", ["nv12", "p010", "yuv420p"])
def test_planes_fill_their_memory(fake: FakeCupy, size: tuple[int, int], format: str) -> None:
    memory = fake.empty(bytes_of(format, size), np.uint8)
    planes = planes_in(memory, format, size)
    assert sum(plane.nbytes for plane in planes) == memory.nbytes
    surface = Surface.of("planes", planes)
    assert (surface.width, surface.height) == size


@pytest.mark.parametrize("size", SIZES)
def test_an_encoders_planes_have_one_pitch(fake: FakeCupy, size: tuple[int, int]) -> None:
    memory = fake.empty(encoder_bytes(size), np.uint8)
    luma, chroma = encoder_planes(memory, size)
    assert luma.shape == size[::-1]
    assert luma.strides[0] == chroma.strides[0] == 256
    assert chroma.data.ptr - luma.data.ptr == 256 * size[1]


@pytest.mark.parametrize("size", [(16, 9), (640, 360), (3840, 2160)])
def test_a_report_has_figures_and_some_pixels(size: tuple[int, int]) -> None:
    layout = Layout(size)
    figures, samples = parts_of(np.zeros(report_bytes(layout), np.uint8), layout)
    assert (figures.dtype, len(figures)) == (np.float32, cuda_step.FIGURE_COUNT)
    assert samples.shape[0] == 2
    assert samples[0].size < 50_000


def test_nothing_is_taken_after_preparing(fake: FakeCupy) -> None:
    step = Step(Layout((38, 30)), Color(), fake.cuda.Stream(non_blocking=True))
    for way in (Way("nv12", carried=True), Way("p010", carried=True, after_carried=True, masked=True, host=False)):
        step.prepare(way)
        with fake.no_allocation():
            step.run(way)


def test_a_rehearsal_leaves_no_trace(fake: FakeCupy) -> None:
    step = Step(Layout((38, 30)), Color(), fake.cuda.Stream(non_blocking=True))
    lasting: list[Any] = [*step._history, step._gray_before, step._seen_before, *step._before]
    for seed, array in enumerate(lasting):
        values = np.random.default_rng(seed).uniform(20, 200, array.shape)
        array.set(values.astype(array.dtype))
    before = [array.get() for array in lasting]
    step.given("yuv420p").fill(77)

    def capture() -> Any:
        step.run(Way("yuv420p", carried=True))
        return print

    assert step.rehearsal(capture) is print
    for array, values in zip(lasting, before, strict=True):
        np.testing.assert_array_equal(array.get(), values)
