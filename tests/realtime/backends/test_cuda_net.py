"""What the nets' inputs hold: snapshots of filters, masks, and that a swap costs a copy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.realtime.backends.cuda import FLIGHTS
from allaprima.realtime.backends.cuda_net import CudaNet
from allaprima.realtime.backends.layout import Layout
from allaprima.realtime.bundle import Bundle

from ...kernels.fake_cupy import FakeCupy
from .cuda_rig import TinyRuntime, card, filters

SIZE = (38, 30)


@pytest.fixture
def fake() -> Iterator[FakeCupy]:
    with card() as found:
        yield found


def make(fake: FakeCupy, bundle: Path, region: bool = False) -> tuple[CudaNet, Any]:
    layout, stream = Layout(SIZE), fake.cuda.Stream(non_blocking=True)
    return CudaNet(layout, TinyRuntime(Bundle(bundle), layout.cells, stream, region), FLIGHTS), stream


def test_a_thousand_swaps_take_no_memory(fake: FakeCupy, tiny_bundle: Path) -> None:
    net, stream = make(fake, tiny_bundle)
    styles = filters(0.25), filters(-0.5)
    with fake.no_allocation():
        for count in range(1000):
            net.write(net.paint(None, styles[count % 2], 1.0).inputs, count % FLIGHTS, stream)  # type: ignore[arg-type]
    assert sorted(copied.size for copied in fake.copies) == [2, *[48] * 1000]
    assert net.runtime.inputs["shift_0"].get()[0, 0] == -0.5


def test_what_has_not_changed_is_not_written_again(fake: FakeCupy, tiny_bundle: Path) -> None:
    net, stream = make(fake, tiny_bundle)
    same, equal = filters(0.25), filters(0.25)
    for style in (same, same, equal):
        net.write(net.paint(None, style, 0.5).inputs, 0, stream)  # type: ignore[arg-type]
    assert len(fake.copies) == 2, "strength and filters"
    net.forget()
    net.write(net.paint(None, same, 0.5).inputs, 0, stream)  # type: ignore[arg-type]
    assert len(fake.copies) == 4


def test_filters_that_change_in_place_are_seen_and_do_no_harm(fake: FakeCupy, tiny_bundle: Path) -> None:
    net, stream = make(fake, tiny_bundle)
    fading = filters(0.25)
    before = net.paint(None, fading, 1.0)  # type: ignore[arg-type]
    fading["shift"] *= 2
    after = net.paint(None, fading, 1.0)  # type: ignore[arg-type]
    for painted, expected in ((before, 0.25), (after, 0.5)):
        net.write(painted.inputs, 0, stream)
        assert net.runtime.inputs["shift_0"].get()[0, 0] == expected


def test_a_region_has_two_styles_and_masks_as_large_as_the_maps(fake: FakeCupy, tiny_bundle: Path) -> None:
    net, stream = make(fake, tiny_bundle, region=True)
    mask = np.zeros(SIZE[::-1], np.float32)
    mask[:, 19:] = 1
    painted = net.paint(None, filters(0.25), 1.0, (mask, filters(-0.25)))  # type: ignore[arg-type]
    again = net.paint(None, filters(0.25), 1.0, (mask, filters(-0.25)))  # type: ignore[arg-type]
    assert set(painted.inputs) == {"strength", "shift_0", "shift_1", "mask_deep", "mask_fine"}
    assert again.inputs["mask_fine"] is painted.inputs["mask_fine"]
    assert (
        net.paint(None, filters(0), 1.0, (mask.copy(), filters(0))).inputs["mask_fine"]
        is not painted.inputs["mask_fine"]
    )  # type: ignore[arg-type]
    width, height = Layout(SIZE).padded
    full = cv2.copyMakeBorder(mask, 16, height - 46, 16, width - 54, cv2.BORDER_REPLICATE)
    expected = full.reshape(height // 4, 4, width // 4, 4).mean((1, 3))
    np.testing.assert_allclose(painted.inputs["mask_fine"][0, 0], expected, atol=1e-3)
    net.write(painted.inputs, 0, stream)
    np.testing.assert_array_equal(net.runtime.inputs["mask_deep"].get(), painted.inputs["mask_deep"])
