"""The cuda backend on the emulator, against the CPU's; its figures and its failures."""

import logging
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from allaprima.realtime.backends import cuda, cuda_device, cuda_step, nets, open_backend
from allaprima.realtime.backends.cuda import CudaBackend
from allaprima.realtime.backends.layout import Layout
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.errors import (
    BackendError,
    BackendUnavailable,
    DeviceLost,
    EngineMissing,
    KernelError,
    OutOfDeviceMemory,
)
from allaprima.realtime.frame import Frame

from ...kernels.emulator import Placement
from ...kernels.fake_cupy import FakeCupy, OutOfMemoryError
from ...kernels.fake_streams import CUDARuntimeError, Order
from .cuda_rig import COLOR, SIZE, Panning, Player, Reference, TinyRuntime, card, film, filters, moving, worst

# ---- it paints as the CPU does ----


def session(player: Player, size: tuple[int, int]) -> list[Frame]:
    """Everything that may happen to a stream, one thing after the other."""
    mask = np.zeros(size[::-1], np.float32)
    mask[:, size[0] // 3 :] = np.linspace(0, 1, size[1], dtype=np.float32)[:, None]
    changes: dict[int, dict[str, Any]] = {
        2: {"style": -0.25, "swap": True},
        3: {"strength": 0.5, "share": 0.3},
        4: {"strength": 1.0, "share": 1.0, "carry": True},
        6: {"carry": False},
        7: {"region": (mask, 0.25)},
        8: {"region": None, "mask": mask},
        9: {"mask": None, "seen": None},
        10: {"before": None},
    }
    found = []
    for moment in range(12):
        for name, value in changes.get(moment, {}).items():
            setattr(player, name, value)
        frame = moving(size, moment, 1 if moment < 11 else 9, 2)  # a cut at the end
        if moment == 5:  # and a flash in what is carried
            frame = replace(frame, planes=(np.full_like(frame.planes[0], 235), *frame.planes[1:]))
        found.append(player(frame))
    return [frame.landed() for frame in found]


def assert_alike(found: list[Frame], expected: list[Frame]) -> None:
    for moment, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        steps = [abs(one.astype(int) - other) for one, other in zip(ours.planes, theirs.planes, strict=True)]
        assert max(step.max() for step in steps) <= 2, moment
        assert min((step <= 1).mean() for step in steps) > 0.995, moment
        assert min((step == 0).mean() for step in steps) > 0.6, moment  # a flash is shown a little less sharp
        assert [plane.shape for plane in ours.planes] == [plane.shape for plane in theirs.planes]
        assert (ours.format, ours.landing) == ("yuv420p", None)


@pytest.mark.parametrize("placement", ["end", "start"])
def test_a_whole_session_is_the_cpus(
    bundle: Bundle, exact: None, monkeypatch: pytest.MonkeyPatch, placement: Placement
) -> None:
    """Swap, strength, fade into the input, carrying, region, mask, no motion, no history, cuts; odd sides."""
    size = (67, 55)
    monkeypatch.setattr(cuda_step, "Dis", Panning)
    expected = session(Player(Reference(size, COLOR, pans=True), bundle), size)
    with card(placement):
        found = session(Player(CudaBackend(size, COLOR, graphs=False), bundle), size)
    assert [frame.index for frame in found] == list(range(12))
    assert_alike(found, expected)


def test_along_the_flow_of_the_kernels_it_is_the_cpus(bundle: Bundle, exact: None) -> None:
    size = (45, 35)
    expected = film(Player(Reference(size, COLOR), bundle), 3, size=size)
    with card() as fake:
        found = film(Player(CudaBackend(size, COLOR), bundle), 3, size=size)
        assert {"refine", "search", "rest"} <= {launched.kernel for launched in fake.launches}
        assert_alike([frame.landed() for frame in found], expected)


def test_what_is_painted_after_carried_pictures_is_the_cpus(
    bundle: Bundle, exact: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another share of the style in every frame, so that there is a jump to ease; at last another style, at once."""

    def played(player: Player) -> list[Frame]:
        found = []
        for moment in range(8):
            player.style, player.carry = 0.04 * moment, moment in (1, 3, 4, 6)
            player.swap = moment == 7
            found.append(player(moving((67, 55), moment)).landed())
        return found

    monkeypatch.setattr(cuda_step, "Dis", Panning)
    expected = played(Player(Reference((67, 55), COLOR, pans=True), bundle))
    with card():
        assert_alike(played(Player(CudaBackend((67, 55), COLOR), bundle)), expected)
    monkeypatch.setattr(Reference, "_eased", lambda backend, held, carried, trust: held)
    sudden = played(Player(Reference((67, 55), COLOR, pans=True), bundle))
    changes = [worst(*each) for each in zip(sudden, expected, strict=True)]
    assert [moment for moment, change in enumerate(changes) if change] == [2, 5]


@pytest.mark.parametrize("value", [16, 90, 235])
def test_an_even_picture_stays_as_it_is(fake: FakeCupy, bundle: Bundle, tiny: Any, value: int) -> None:
    frame = tiny.flat(value, 100, 140, SIZE)
    painted = Player(CudaBackend(SIZE, COLOR), bundle)(frame).landed()
    assert tiny.difference(painted, frame) == 0


def restless(player: Player) -> list[Frame]:
    """Another style and another share of it in every frame."""
    found = []
    for moment in range(7):
        player.style, player.share = (0.25, -0.25)[moment % 2], 1 - moment / 10
        found.append(player(moving(SIZE, moment)))
    return found


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
def test_any_order_that_a_device_may_take_gives_the_same(still: None, bundle: Bundle, seed: int | None) -> None:
    """Streams run as late as can be, or in a random order: nothing but events and streams keeps them in step."""
    with card():
        expected = [frame.landed() for frame in restless(Player(CudaBackend(SIZE, COLOR), bundle))]
    with card("start", Order(seed)):
        frames = restless(Player(CudaBackend(SIZE, COLOR), bundle))
        for ours, theirs in zip(frames, expected, strict=True):
            assert worst(ours.landed(), theirs) == 0


def test_by_hand_it_is_the_same(fake: FakeCupy, bundle: Bundle) -> None:
    expected = film(Player(CudaBackend(SIZE, COLOR), bundle), 3)
    backend = CudaBackend(SIZE, COLOR, graphs=False)
    for ours, theirs in zip(film(Player(backend, bundle), 3), expected, strict=True):
        assert worst(ours.landed(), theirs.landed()) == 0
    assert not backend._programs


# ---- figures ----


def test_flicker_is_told_once_it_has_come(fake: FakeCupy, bundle: Bundle) -> None:
    backend = CudaBackend(SIZE, COLOR)
    player = Player(backend, bundle)
    film(player, 1)
    assert backend._meters.flicker() is None, "there was nothing to compare with"
    film(player, 1, 1)
    change = backend._meters.flicker()
    assert change is not None
    assert 0 < change < 0.1
    assert backend._meters.flicker() is None


def test_a_sound_picture_is_sound_and_has_a_sample(fake: FakeCupy, bundle: Bundle) -> None:
    backend = CudaBackend(SIZE, COLOR)
    player, frame = Player(backend, bundle), moving(SIZE, 0)
    assert backend.sample(backend.upload(frame)) is None
    player(frame).landed()
    assert backend.health is None
    given, painted = backend.sample(player.seen), backend.sample(player_painted(backend, bundle))
    assert given is not None
    assert painted is not None
    assert given.shape == painted.shape
    assert 20 < float(painted.mean()) - float(given.mean()) < 35, "brighter by a quarter of 109.5"


def player_painted(backend: Any, bundle: Bundle) -> Any:
    return backend.load_net(bundle).paint(backend.upload(moving(SIZE, 1)), filters(0), 1.0)


def test_what_is_not_a_number_is_told_and_leaves_no_trace(fake: FakeCupy, bundle: Bundle) -> None:
    backend = CudaBackend(SIZE, COLOR)
    player = Player(backend, bundle, style=float("nan"))
    frame = player(moving(SIZE, 0)).landed()
    assert backend.health == "the net gives what is not a number"
    assert frame.planes[0].min() >= 16
    player.style = 0.25
    player(moving(SIZE, 1)).landed()
    assert backend.health is None


# ---- failures ----


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (CUDARuntimeError(700, "illegal address"), KernelError),
        (CUDARuntimeError(2, "out of memory"), OutOfDeviceMemory),
        (CUDARuntimeError(46, "devices unavailable"), DeviceLost),
        (OutOfMemoryError("no"), OutOfDeviceMemory),
    ],
)
def test_failures_have_names(fake: FakeCupy, bundle: Bundle, failure: Exception, expected: Any) -> None:
    player = Player(CudaBackend(SIZE, COLOR), bundle)
    film(player, 2)
    fake.failure.append(failure)
    with pytest.raises(expected, match="the card failed while"):
        player(moving(SIZE, 2))


def test_after_a_failure_it_goes_on_without_history(fake: FakeCupy, bundle: Bundle) -> None:
    expected = Player(CudaBackend(SIZE, COLOR), bundle)(moving(SIZE, 4)).landed()
    player = Player(CudaBackend(SIZE, COLOR), bundle)
    film(player, 2)
    picture = player.backend.upload(moving(SIZE, 2))
    net = player.backend.load_net(bundle)
    shown = player.backend.warp_blend(player.before, net.paint(picture, filters(0), 1.0), None, 0)
    shown.motion = player.backend.motion(None, picture)
    fake.failure.append(CUDARuntimeError(46))
    with pytest.raises(DeviceLost):
        player.backend.download(shown, moving(SIZE, 2))
    fake.failure.clear()
    assert worst(player(moving(SIZE, 4)).landed(), expected) == 0


def test_a_picture_on_its_way_tells_that_the_device_is_lost(fake: FakeCupy, bundle: Bundle) -> None:
    frame = Player(CudaBackend(SIZE, COLOR), bundle)(moving(SIZE, 0))
    fake.failure.append(CUDARuntimeError(999))
    with pytest.raises(DeviceLost, match="brought to the host: cudaError999"):
        frame.landed()


def test_closed_it_gives_back_and_paints_no_more(fake: FakeCupy, bundle: Bundle) -> None:
    backend = CudaBackend(SIZE, COLOR)
    player = Player(backend, bundle)
    frame, runtime = film(player, 1)[0], backend.load_net(bundle).runtime
    picture = backend.upload(moving(SIZE, 1))
    shown = backend.warp_blend(None, player_painted(backend, bundle), backend.motion(None, picture), 0)
    backend.close()
    assert runtime.closed
    assert frame.landed().planes[0].any()
    with pytest.raises(BackendError, match="a backend that is open"):
        backend.download(shown, moving(SIZE, 1))


def test_pictures_that_nobody_makes_are_refused(fake: FakeCupy, bundle: Bundle) -> None:
    backend = CudaBackend(SIZE, COLOR)
    picture = backend.upload(moving(SIZE, 0))
    with pytest.raises(TypeError, match="no picture that can be downloaded"):
        backend.download(backend.mix(picture, picture, 0.5), moving(SIZE, 0))
    with pytest.raises(ValueError, match="paint the whole picture"):
        backend.load_net(bundle, scale=0.5)


# ---- the choice ----


def test_auto_takes_the_card(fake: FakeCupy) -> None:
    assert open_backend("auto", SIZE, COLOR).name == "cuda"
    assert open_backend("cuda", SIZE, COLOR).name == "cuda"
    assert open_backend("cpu", SIZE, COLOR).name == "cpu"


def test_auto_takes_the_cpu_and_says_why(fake: FakeCupy, caplog: pytest.LogCaptureFixture) -> None:
    fake.devices = 0
    with caplog.at_level(logging.INFO):
        assert open_backend("auto", SIZE, COLOR).name == "cpu"
    assert "the CPU paints: the cuda backend cannot start: there is no NVIDIA card to use" in caplog.text
    with pytest.raises(BackendUnavailable, match="no CUDA-capable device"):
        open_backend("cuda", SIZE, COLOR)
    assert not fake.allocations, "nothing was opened"


def test_without_cupy_nothing_is_said_of_cards(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(cuda_device, "cupy", absent)
    with caplog.at_level(logging.INFO):
        assert open_backend("auto", SIZE, COLOR).name == "cpu"
    assert not caplog.text


def absent() -> Any:
    raise ImportError("no CuPy here")


# ---- better nets, when they are there ----


class Builder:
    """Stands for `builds.shared()`: an engine that is there when the test says so."""

    def __init__(self) -> None:
        self.built = False
        self.wanted: list[Any] = []

    def want(self, *what: Any) -> str:
        self.wanted.append(what)
        return "key"

    def ready(self, key: str) -> bool:
        return self.built


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    found = Builder()
    monkeypatch.setattr(cuda, "shared", lambda: found)
    return found


def test_a_stream_moves_over_to_an_engine_that_was_built_meanwhile(
    fake: FakeCupy, bundle: Bundle, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[TinyRuntime] = []

    def open_runtime(*args: Any) -> TinyRuntime:
        opened.append(TinyRuntime(*args))
        opened[-1].name = "tensorrt" if args[-1] == "tensorrt" else "torch"
        return opened[-1]

    monkeypatch.setattr(nets, "open_runtime", open_runtime)
    player, alone = (Player(CudaBackend(SIZE, COLOR), bundle) for _ in range(2))
    frames = [moving(SIZE, moment) for moment in range(6)]
    found = [player(frame).landed() for frame in frames[:3]]
    assert [runtime.name for runtime in opened] == ["torch"]
    assert builder.wanted == [(bundle, Layout(SIZE).cells, 1)]
    builder.built = True
    found.append(player(frames[3]).landed())  # this one finds that the engine is there
    until(lambda: len(opened) == 2 and not any(t.name.startswith("engine") for t in threading.enumerate()))
    found += [player(frame).landed() for frame in frames[4:]]
    assert (opened[0].closed, opened[1].closed, opened[1].captures) == (True, False, 1)
    builder.built = False
    assert_alike(found, [alone(frame).landed() for frame in frames])


def test_an_engine_that_does_not_open_changes_nothing(
    fake: FakeCupy, bundle: Bundle, builder: Builder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def open_runtime(*args: Any) -> TinyRuntime:
        if args[-1] == "tensorrt":
            raise EngineMissing("it is damaged")
        return TinyRuntime(*args)

    monkeypatch.setattr(nets, "open_runtime", open_runtime)
    player, builder.built = Player(CudaBackend(SIZE, COLOR), bundle), True
    player(moving(SIZE, 0))
    until(lambda: not any(thread.name.startswith("engine") for thread in threading.enumerate()))
    for moment in (1, 2):
        player(moving(SIZE, moment)).landed()
    assert caplog.messages.count("the nets stay where they are: it is damaged") == 1


def test_where_nothing_runs_the_nets_yet_an_engine_is_built_all_the_same(
    fake: FakeCupy, bundle: Bundle, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_runtime(*args: Any) -> TinyRuntime:
        if not builder.built:
            raise BackendUnavailable("nothing here runs the nets")
        return TinyRuntime(*args)

    monkeypatch.setattr(nets, "open_runtime", open_runtime)
    player = Player(CudaBackend(SIZE, COLOR), bundle)
    with pytest.raises(BackendUnavailable):
        player(moving(SIZE, 0))
    assert builder.wanted == [(bundle, Layout(SIZE).cells, 1)]
    builder.built = True
    assert player(moving(SIZE, 1)).landed().planes[0].any()


@pytest.mark.parametrize("given", [{"net_runtime": "torch"}, {}], ids=["asked for", "nothing to be had"])
def test_no_engine_is_waited_for(
    fake: FakeCupy, bundle: Bundle, builder: Builder, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "want", lambda *what: None)
    backend = CudaBackend(SIZE, COLOR, **given)
    assert backend.load_net(bundle).upgrade is None


def until(true: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)
