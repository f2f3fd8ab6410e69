"""Memory that is lent: who holds what, and when it may be written again."""

from collections.abc import Iterator

import numpy as np
import pytest

from allaprima.realtime.backends.cuda_memory import SPARE, OnDevice, Pinned, Pool, copy, lent_device, lent_host

from ...kernels.emulator import KernelFault
from ...kernels.fake_cupy import FakeCupy
from ...kernels.fake_streams import FakeStream, Order
from .cuda_rig import card


@pytest.fixture
def fake() -> Iterator[FakeCupy]:
    with card("end", Order(None)) as found:
        yield found


def test_a_slot_is_free_when_nobody_holds_it(fake: FakeCupy) -> None:
    pool = Pool(lambda: Pinned(8))
    first = pool.take()
    slot, second = first.slot, pool.take()
    assert second.slot is not slot
    del first
    assert pool.take().slot is slot
    assert pool.made == 2


def test_an_array_of_a_view_of_a_slot_holds_it(fake: FakeCupy) -> None:
    pool = Pool(lambda: Pinned(64))
    loan = pool.take()
    loan.slot.bytes[:] = 7
    part = lent_host(loan).reshape(8, 8)[2:4, ::2]
    slot = loan.slot
    del loan
    assert pool.take().slot is not slot
    assert (part == 7).all()
    del part
    assert slot in [pool.take().slot, pool.take().slot]


def test_on_the_device_too(fake: FakeCupy) -> None:
    pool, stream = Pool(lambda: OnDevice(64, stream)), FakeStream()
    loan = pool.take()
    slot, part = loan.slot, lent_device(loan).reshape(8, 8)[2:]
    assert part.data.ptr == slot.address + 16
    del loan
    assert pool.take().slot is not slot
    del part
    assert slot in [pool.take().slot for _ in range(2)]


def test_a_slot_on_which_the_device_is_at_work_comes_last(fake: FakeCupy) -> None:
    pool, stream, device = Pool(lambda: Pinned(8)), FakeStream(), fake.empty(8, np.uint8)
    loans = [pool.take() for _ in range(SPARE)]
    busy = loans[0].slot
    copy(device.data.ptr, busy.address, 8, "HostToDevice", stream)
    busy.event.record(stream)
    del loans
    other = pool.take()
    assert other.slot is not busy
    last = pool.take()
    assert last.slot is busy, "rather than one more"
    assert not busy.event.done
    busy.event.synchronize()
    assert fake.copies == [("to device", 8, stream)]


def test_copies_know_both_sides(fake: FakeCupy) -> None:
    stream, pinned, device = FakeStream(), Pinned(4), OnDevice(4, FakeStream())
    pinned.bytes[:] = 1, 2, 3, 4
    copy(device.address, pinned.address, 4, "HostToDevice", stream)
    stream.synchronize()
    with stream:
        np.testing.assert_array_equal(device.bytes.get(), (1, 2, 3, 4))
    with pytest.raises(KernelFault, match="no pinned memory"):
        copy(device.address, device.address, 4, "HostToDevice", stream)
    with pytest.raises(KernelFault, match="no device memory"):
        copy(device.address, pinned.address, 5, "DeviceToDevice", stream)
