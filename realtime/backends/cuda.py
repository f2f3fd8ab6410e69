"""Paint on an NVIDIA card: one CUDA graph a frame, from the codes that are given to those that are seen.

The verbs of `Backend` only note what is wanted.  `download` knows all of it: it launches the graph for it and the copy
to the host, and comes back at once.  What differs from frame to frame is contents of memory that stays where it is.

The card carries the motion from the picture that was launched last, so a frame that got lost in between is no harm.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allaprima.kernels.cuda import cupy
from allaprima.kernels.surface import FORMATS
from allaprima.realtime.backends import FULL, Effort
from allaprima.realtime.backends.cuda_device import device_errors, probe, span
from allaprima.realtime.backends.cuda_memory import (
    Loan,
    OnDevice,
    Pinned,
    Pool,
    copy,
    lent_device,
    lent_host,
    new_event,
)
from allaprima.realtime.backends.cuda_meters import Meters
from allaprima.realtime.backends.cuda_net import CudaNet, Upgrade
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
from allaprima.realtime.backends.cuda_tokens import Blended, Carried, Mixed, Motion, Painted, Uploaded, Wanted, wanted
from allaprima.realtime.backends.layout import Layout
from allaprima.realtime.builds import shared
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.errors import BackendError, BackendUnavailable
from allaprima.realtime.frame import Color, Frame, Plane
from allaprima.realtime.metrics import Transfers

_log = logging.getLogger(__name__)

FLIGHTS = 4
"""Frames that may be under way on the card; who launches one more waits for the first."""


class CudaBackend:
    """`Backend` for one stream; sessions share nothing but what net runtimes share.

    ``upload`` and ``motion`` may be called from one thread, the nets' ``paint`` from another, the rest from a third,
    and ``load_net`` from any.  With ``graphs`` false every kernel is launched by itself, which is slower.
    ``net_runtime`` is one of `nets.RUNTIMES`.  Raises `BackendUnavailable` where the card cannot paint, before
    anything was opened; its verbs raise `DeviceLost`, `OutOfDeviceMemory` and `KernelError`.
    """

    name = "cuda"
    efforts: tuple[Effort, ...] = (FULL, Effort(every=2), Effort(every=3))
    """The flow is a tenth of a frame here and nets take what they take: less size saves little."""

    def __init__(
        self, size: tuple[int, int], color: Color, *, graphs: bool = True, net_runtime: str = "auto",
        transfers: Transfers | None = None,
    ) -> None:  # fmt: skip
        if reason := probe(size):
            raise BackendUnavailable(f"the cuda backend cannot start: {reason}", "See: allaprima doctor")
        self.size, self.color = size, color
        self.transfers = transfers or Transfers()
        self._graphs, self._net_runtime = graphs, net_runtime
        self._layout = Layout(size)
        with device_errors("memory was taken"):
            streams = [cupy().cuda.Stream(non_blocking=True) for _ in range(3)]
            self._main, self._up, self._down = streams
            self._step: Step | None = Step(self._layout, color, self._main)
            self._flights = [_Flight(self._layout, self._main) for _ in range(FLIGHTS)]
            self._staging = Pool(partial(Pinned, bytes_of("yuv420p", size)))
            self._landing = Pool(partial(Pinned, max(bytes_of("yuv420p", size), encoder_bytes(size))))
            self._masks = Pool(partial(Pinned, 4 * size[0] * size[1]))
            self._encoded = Pool(partial(OnDevice, encoder_bytes(size), self._main))
            self._surfaces = {format: Pool(partial(OnDevice, bytes_of(format, size), self._up)) for format in FORMATS}
        self._meters = Meters()
        self._programs: dict[tuple[Any, Way], Callable[[], None]] = {}
        self._nets: dict[tuple[Bundle, bool], CudaNet] = {}
        self._opening = threading.Lock()
        """Held while nets are opened or a graph is captured: what is enqueued during a capture is part of it."""
        self._loading = threading.Lock()
        self._launched: Blended | Carried | None = None
        self._controls: tuple[float, float] | None = None
        self._mask: Any = None
        self._sampled: NDArray[np.uint8] | None = None
        self._frames = 0
        self._carried = self._painted = False

    # ---- the verbs ----

    def upload(self, frame: Frame) -> Uploaded:
        """Bring the frame to the device, or off the decoder's surface; comes back at once."""
        with span("upload"), device_errors("a picture was brought to it"):
            there = isinstance(frame.planes[0], cupy().ndarray)
            frame = frame if there else frame.landed()
            loan = self._surfaces[frame.format].take()
            planes = planes_in(loan.slot.bytes, frame.format, self.size)
            self._up.wait_event(loan.slot.event)
            (self._from_device if there else self._from_host)(frame.planes, planes, loan.slot)
            loan.slot.ready.record(self._up)
            if there:
                cupy().cuda.Stream.null.wait_event(loan.slot.ready)  # who has lent the planes works there
        return Uploaded(frame.format, loan)

    def _from_host(self, given: tuple[Any, ...], planes: tuple[Any, ...], slot: OnDevice) -> None:
        loan = self._staging.take()
        staging = loan.slot
        staging.event.synchronize()  # long done, unless the device is slower than the source
        for target, plane in zip(planes_in(staging.bytes, "yuv420p", self.size), given, strict=True):
            np.copyto(target, plane)
        copy(slot.address, staging.address, slot.bytes.nbytes, "HostToDevice", self._up)
        staging.event.record(self._up)
        self.transfers.add(to_device=slot.bytes.nbytes)

    def _from_device(self, given: tuple[Any, ...], planes: tuple[Any, ...], slot: OnDevice) -> None:
        self._up.wait_event(cupy().cuda.Stream.null.record())
        with self._up:
            for target, plane in zip(planes, given, strict=True):
                target[...] = plane

    def motion(self, previous: Uploaded | None, current: Uploaded, coarse: bool = False) -> Motion:
        return Motion(previous is not None)

    def warp_blend(self, previous: Any, current: Painted, motion: Motion, weight: float) -> Blended:
        return Blended(previous, current, motion, weight)

    def carry(self, previous: Any, current: Uploaded, motion: Motion) -> Carried:
        return Carried(previous, current, motion)

    def flicker(self, previous: Any, current: Blended | Carried, motion: Motion) -> float | None:
        """The figure that came last from the device, once; this picture's comes with one of the next."""
        current.measured = motion.known
        return self._meters.flicker()

    @property
    def health(self) -> str | None:
        """What is wrong with the picture that came last from the device: black, frozen, no numbers; else None."""
        return self._meters.health()

    def sample(self, picture: Uploaded | Painted) -> NDArray[np.uint8] | None:
        """Of the last painted picture that has come from the device; asked for what was uploaded first."""
        if isinstance(picture, Uploaded):
            self._sampled = self._meters.samples()
        return None if self._sampled is None else self._sampled[0 if isinstance(picture, Uploaded) else 1]

    def mix(self, a: Any, b: Any, t: Any) -> Mixed:
        return Mixed(a, b, t)

    def load_net(self, bundle: Bundle, region: bool = False, scale: float = 1.0) -> CudaNet:
        """The nets at the picture's size, opened once; the ``efforts`` here ask for no other ``scale``."""
        if scale != 1:
            raise ValueError(f"nets on the card paint the whole picture, not {scale:g} of its sides")
        key = (bundle, region)
        with self._loading:
            if key not in self._nets:
                runtime = self._first(bundle, region)
                self._nets[key] = CudaNet(self._layout, runtime, FLIGHTS, self._upgrade(bundle, region, runtime))
            return self._nets[key]

    def _first(self, bundle: Bundle, region: bool) -> Any:
        try:
            return self._open(bundle, region, self._net_runtime)
        except BackendUnavailable:
            if self._net_runtime == "auto":
                shared().want(bundle, self._layout.cells, 2 if region else 1)  # who tries again finds one
            raise

    def _open(self, bundle: Bundle, region: bool, wanted: str) -> Any:
        from allaprima.realtime.backends.nets import open_runtime

        with self._opening, device_errors("the nets were opened"):
            if self._step is None:
                raise BackendError("nets are opened on a backend that is open")
            return open_runtime(bundle, self._layout.cells, self._main, region, wanted)

    def _upgrade(self, bundle: Bundle, region: bool, runtime: Any) -> Upgrade | None:
        """Where no engine is built for this very size, one is, and the stream moves over to it when it is there."""
        if self._net_runtime != "auto" or getattr(runtime, "exact", False):
            return None
        key = shared().want(bundle, self._layout.cells, 2 if region else 1)
        if key is None:
            return None
        _log.info("an engine is being built for %dx%d; until then the nets run in %s", *self.size, runtime.name)
        return Upgrade(partial(shared().ready, key), partial(self._open, bundle, region, "tensorrt"))

    def download(self, picture: Any, like: Frame, host: bool = True) -> Frame:
        """Launch all that the picture asks for.  On the device (``host`` false) the result is nv12."""
        order = wanted(picture)
        surface, step = order.given.take(), self._step
        if step is None or surface is None:
            raise BackendError("a picture can be downloaded once, from a backend that is open")
        try:
            with span("frame"), device_errors("a picture was painted"):
                flight = self._flights[self._frames % FLIGHTS]
                flight.landed.synchronize()
                self._meters.take()
                self._launch(step, order, surface.slot, flight, host)
                frame = self._to_host(step, flight, like) if host else self._to_encoder(step, flight, like)
        except BaseException:
            self._forget()
            raise
        self._meters.expect(flight)
        order.picture.settle()
        self._frames += 1
        return frame

    def close(self) -> None:
        """Give everything back when nothing is to be downloaded any more.  Frames that were given stay."""
        with self._opening, device_errors("it was given back"):
            self._main.synchronize()
            self._programs.clear()
            for net in self._nets.values():
                net.runtime.close()
            self._nets.clear()
            self._step = None

    # ---- one frame ----

    def _launch(self, step: Step, order: Wanted, surface: OnDevice, flight: "_Flight", host: bool) -> None:
        picture, main = order.picture, self._main
        carried = isinstance(picture, Carried)
        known = picture.previous is not None and picture.previous is self._launched and picture.motion.known
        if carried and not self._painted:
            order = replace(order, share=0.0)  # there is nothing to carry
        weight = picture.weight if isinstance(picture, Blended) and known else 0.0
        net = None if carried else picture.current.net
        way = Way(order.given.format, carried, self._carried, order.mask is not None, host)
        step.prepare(way)
        if net is not None:
            self._move_over(net)
            net.write(picture.current.inputs, self._frames % FLIGHTS, main)
        self._control(step, flight, (float(weight), float(order.share)))
        if order.mask is not None:
            self._set_mask(step, order.mask)
        main.wait_event(surface.ready)
        target = step.given(way.format)
        copy(target.data.ptr, surface.address, target.nbytes, "DeviceToDevice", main)
        surface.event.record(main)
        self._run(step, way, net)
        copy(flight.report.address, step.report.data.ptr, step.report.nbytes, "DeviceToHost", main)
        flight.measured, flight.painted = picture.measured and known, not carried
        self._launched, self._carried, self._painted = picture, carried, self._painted or not carried

    def _move_over(self, net: CudaNet) -> None:
        """To a better runtime, if one is there.  Graphs of the old one end with it; the next are captured as usual."""
        better = None if net.upgrade is None else net.upgrade.take()
        if better is None:
            return
        old, self._programs = net.runtime, {key: run for key, run in self._programs.items() if key[0] is not net}
        net.move(better)
        old.close()
        _log.info("the nets have moved from %s to %s", old.name, better.name)

    def _run(self, step: Step, way: Way, net: CudaNet | None) -> None:
        """By the graph of this way, which is captured when it is met; by hand while nets are opened."""
        runtime = None if net is None else net.runtime
        program = self._programs.get((net, way))
        if program is None and self._graphs and self._opening.acquire(blocking=False):
            try:
                program = self._programs[net, way] = step.rehearsal(lambda: self._captured(step, way, runtime))
            finally:
                self._opening.release()
        if program is None:
            step.run(way, runtime)
        else:
            program()

    def _captured(self, step: Step, way: Way, runtime: Any) -> Callable[[], None]:
        if runtime is not None:
            step.run(way, runtime)  # loading a kernel cannot be captured
            launch: Callable[[], None] = runtime.capture(lambda: step.run(way, runtime))
            return launch
        step.run(way)
        self._main.synchronize()
        with self._main:
            self._main.begin_capture()
            try:
                step.run(way)
            finally:
                graph = self._main.end_capture()
        return lambda: graph.launch(self._main)

    def _control(self, step: Step, flight: "_Flight", controls: tuple[float, float]) -> None:
        if controls != self._controls:
            flight.controls.bytes.view(np.float32)[:] = controls
            copy(step.controls.data.ptr, flight.controls.address, step.controls.nbytes, "HostToDevice", self._main)
            self._controls = controls

    def _set_mask(self, step: Step, mask: Any) -> None:
        if mask is self._mask:
            return
        loan, target = self._masks.take(), step.mask()
        slot = loan.slot
        slot.event.synchronize()
        np.copyto(slot.bytes.view(np.float32).reshape(mask.shape), mask)
        copy(target.data.ptr, slot.address, target.nbytes, "HostToDevice", self._main)
        slot.event.record(self._main)
        self._mask = mask

    def _to_host(self, step: Step, flight: "_Flight", like: Frame) -> Frame:
        """By way of memory of the flight's own, so that the next frame may begin during the copy to the host."""
        source, size = step.outputs[True], step.outputs[True].nbytes
        copy(flight.seen.address, source.data.ptr, size, "DeviceToDevice", self._main)
        flight.seen.ready.record(self._main)
        loan = self._landing.take()
        landed = loan.slot.event
        self._down.wait_event(flight.seen.ready)
        copy(loan.slot.address, flight.seen.address, size, "DeviceToHost", self._down)
        landed.record(self._down)
        flight.landed.record(self._down)
        self.transfers.add(to_host=size)
        planes = planes_in(lent_host(loan), "yuv420p", self.size)
        return replace(like, planes=planes, format="yuv420p", landing=partial(self._land, landed, planes))

    def _land(self, landed: Any, planes: tuple[Plane, ...]) -> tuple[Plane, ...]:
        """Until this was called a frame holds on to the backend: the device is still at work in its memory."""
        with device_errors("a painted picture was brought to the host"):
            landed.synchronize()
        return planes

    def _to_encoder(self, step: Step, flight: "_Flight", like: Frame) -> Frame:
        """Readers meet on the default stream: it waits for the picture, and the picture for who had its memory."""
        loan, source, meeting = self._encoded.take(), step.outputs[False], cupy().cuda.Stream.null
        self._main.wait_event(meeting.record())
        copy(loan.slot.address, source.data.ptr, source.nbytes, "DeviceToDevice", self._main)
        loan.slot.ready.record(self._main)
        flight.landed.record(self._main)
        meeting.wait_event(loan.slot.ready)
        planes = encoder_planes(lent_device(loan), self.size)
        return replace(like, planes=planes, format="nv12", landing=partial(self._fetch, loan))

    def _fetch(self, loan: Loan[OnDevice]) -> tuple[Plane, ...]:
        """For who cannot take a picture that is on the device after all."""
        with device_errors("a painted picture was brought to the host"):
            there, slot = self._landing.take(), loan.slot
            self._down.wait_event(slot.ready)
            copy(there.slot.address, slot.address, slot.bytes.nbytes, "DeviceToHost", self._down)
            there.slot.event.record(self._down)
            there.slot.event.synchronize()
        self.transfers.add(to_host=slot.bytes.nbytes)
        luma, chroma = encoder_planes(lent_host(there)[: slot.bytes.nbytes], self.size)
        return luma, np.ascontiguousarray(chroma[..., 0]), np.ascontiguousarray(chroma[..., 1])

    def _forget(self) -> None:
        """After an error nobody knows what has been written."""
        self._launched = self._controls = self._mask = None
        for net in self._nets.values():
            net.forget()


class _Flight:
    """What belongs to one of the frames under way."""

    def __init__(self, layout: Layout, stream: Any) -> None:
        self.report, self.controls = Pinned(report_bytes(layout)), Pinned(8)
        self.figures, self.samples = parts_of(self.report.bytes, layout)
        self.seen = OnDevice(bytes_of("yuv420p", layout.size), stream)
        self.landed = new_event(block=True)
        self.measured = self.painted = False
