"""The parts of `bench.gpu_check` that look at a card; each gives figures and bars, or says why it cannot.

    python -m allaprima.bench.gpu_parts NAME

prints what was found as JSON on one line.  Imports what it needs when it needs it: a fresh machine has little.
"""

import gc
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from allaprima.bench.gpu_painter import Painter, Size, frames, paced, styles, summed

SIZES = ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))
FULL_HD, UHD = (1920, 1080), (3840, 2160)
FPS_BARS = {FULL_HD: 300.0, UHD: 60.0}
STEADY, FIRST_FRAME, LEAST_PSNR, SWAP_SHARE = 1.2, 3.0, 35.0, 0.02
"""Most that the slowest hundredth may take, of the median; seconds; dB from fp32; of a frame's time."""
FRAMES, WARM_UP = 300, 20


class Cannot(Exception):
    """This part cannot run here, and why."""


@dataclass
class Found:
    """What a part found.  A bar is what it is, the figure, the limit and whether the figure must be at least that."""

    figures: dict[str, Any] = field(default_factory=dict)
    bars: list[tuple[str, float, float, bool]] = field(default_factory=list)


# ---- the parts ----


def environment() -> Found:
    """What is here."""
    from importlib.metadata import PackageNotFoundError, version

    from allaprima.kernels.cuda import cupy
    from allaprima.realtime.backends.cuda_device import device_name

    found: dict[str, Any] = {"python": sys.version.split()[0]}
    for package in (
        "numpy",
        "cupy-cuda13x",
        "cupy-cuda12x",
        "torch",
        "tensorrt",
        "av",
        "onnx",
        "opencv-python-headless",
    ):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    runtime = cupy().cuda.runtime
    free, total = runtime.memGetInfo()
    properties = runtime.getDeviceProperties(0)
    found |= {"gpu": device_name(), "capability": f"{properties['major']}.{properties['minor']}"}
    return Found(found | {"memory_gib": round(total / 2**30, 1), "free_gib": round(free / 2**30, 1)})


def compiling() -> Found:
    """Seconds that each text takes, from CuPy's cache where it is there."""
    from allaprima.bench.registers import modules
    from allaprima.kernels import cuda

    found = {}
    for module in modules():
        began = time.perf_counter()
        cuda._raw_module(module).compile()
        found[module.name] = round(time.perf_counter() - began, 2)
    return Found({"seconds": found, "texts": len(found)})


def nets(sizes: Iterable[Size] = SIZES) -> Found:
    """Torch's runtime: milliseconds a picture as one graph, and how far fp16 is from fp32."""
    import torch

    from allaprima.kernels.cuda import cupy
    from allaprima.realtime import network
    from allaprima.realtime.backends.layout import Layout
    from allaprima.realtime.backends.nets import open_runtime
    from allaprima.realtime.backends.nets.torch_net import Graph

    cp, found = cupy(), Found()
    bundle, (filters, *_) = styles()
    for size in sizes:
        cells, stream = Layout(size).cells, cp.cuda.Stream(non_blocking=True)
        runtime = open_runtime(bundle, cells, stream, wanted="torch")
        given = {"packed": np.random.default_rng(0).uniform(-1, 1, (1, 24, *cells)).astype(np.float16)}
        given |= {"strength": np.ones((1, 1, 1, 1), np.float16)}
        given |= {f"{key}_0": value.astype(np.float16) for key, value in filters.items()}
        for name, value in given.items():
            runtime.inputs[name].set(value.reshape(runtime.inputs[name].shape))
        runtime.enqueue()
        launch = runtime.capture(runtime.enqueue)
        events = [cp.cuda.Event() for _ in range(51)]
        for event in events:
            launch()
            event.record(stream)
        stream.synchronize()
        spent = [cp.cuda.get_elapsed_time(*pair) for pair in pairwise(events)]
        exact = Graph(network.with_size(network.joined(bundle), *cells), fused=False).cuda()
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(value.astype(np.float32)).cuda() for name, value in given.items()}
            expected = exact(**tensors).cpu().numpy()
        error = float(np.mean((runtime.painted.get().astype(np.float64) - expected) ** 2))
        psnr = 10 * float(np.log10(4 / error)) if error else 99.0
        found.figures[_text(size)] = {"ms": statistics.median(spent), "psnr_db": psnr}
        found.bars.append((f"nets at {_text(size)}: fp16 from fp32, dB", psnr, LEAST_PSNR, True))
        runtime.close()
    return found


def backend(sizes: Iterable[Size] = SIZES, count: int = FRAMES) -> Found:
    """A frame from upload to what is painted, in host memory and on the card, by graph and by hand."""
    found = Found()
    for size in sizes:
        pictures, each = frames(size), found.figures.setdefault(_text(size), {})
        for name, graphs, host in (("host", True, True), ("card", True, False), ("host, by hand", False, True)):
            began = time.perf_counter()
            painter = Painter(size, graphs, host)
            painter(pictures[0]).landed()
            first = time.perf_counter() - began
            paced(painter, pictures, WARM_UP)
            before = (painter.backend.transfers.to_device, painter.backend.transfers.to_host)
            told = summed(paced(painter, pictures, count)) | {"first_frame_s": first}
            moved = (painter.backend.transfers.to_device, painter.backend.transfers.to_host)
            told |= {k: (b - a) / count for k, a, b in zip(("bytes_up", "bytes_down"), before, moved, strict=True)}
            each[name] = told
            painter.backend.close()
        each["launches"] = _launches(size, pictures)
        best = each["host"]
        if size in FPS_BARS:
            found.bars.append((f"{_text(size)}: frames a second", best["fps"], FPS_BARS[size], True))
        found.bars.append((f"{_text(size)}: p99 over p50", best["p99_ms"] / best["p50_ms"], STEADY, False))
        found.bars.append((f"{_text(size)}: first frame, s", best["first_frame_s"], FIRST_FRAME, False))
    return found


def _launches(size: Size, pictures: Sequence[Any]) -> int:
    """Of our kernels, in a frame."""
    from allaprima.kernels.cuda import Module

    painter, count, launch = Painter(size, graphs=False), [0], Module.launch
    painter(pictures[0]).landed()

    def counted(*args: Any, **kwargs: Any) -> None:
        count[0] += 1
        launch(*args, **kwargs)

    Module.launch = counted  # type: ignore[method-assign]
    try:
        painter(pictures[1]).landed()
    finally:
        Module.launch = launch  # type: ignore[method-assign]
    return count[0]


def likeness(size: Size = (1280, 720)) -> Found:
    """A frame without history against NumPy and torch in fp32; a moving sequence by graph and by hand."""
    import torch

    from allaprima.kernels.reference.pack import pack, unpack
    from allaprima.realtime import network
    from allaprima.realtime.backends.layout import MARGIN, STRIDE
    from allaprima.realtime.backends.nets.torch_net import Graph

    pictures = frames(size)
    painted = Painter(size)(pictures[0]).landed()
    bundle, (filters, *_) = styles()
    packed = pack(pictures[0].planes, margin=MARGIN, stride=STRIDE, dtype="float32")[None]
    graph = Graph(network.with_size(network.joined(bundle), *packed.shape[2:]), fused=False)
    given = {"packed": packed, "strength": np.ones((1, 1, 1, 1))} | {f"{k}_0": v for k, v in filters.items()}
    with torch.inference_mode():
        exact = graph(**{name: torch.tensor(value, dtype=torch.float32) for name, value in given.items()}).numpy()
    expected = unpack(exact[0], size, margin=MARGIN, format="yuv420p")
    error = float(np.mean((painted.planes[0].astype(float) - expected[0]) ** 2))
    psnr = 10 * float(np.log10(255**2 / error)) if error else 99.0
    by_graph, by_hand = (same_sequence(Painter(size, graphs), pictures) for graphs in (True, False))
    steps = max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(by_graph, by_hand, strict=True))
    bars = [("a painted frame from fp32, dB", psnr, LEAST_PSNR, True), ("graph and by hand, levels", steps, 1.0, False)]
    return Found({"psnr_db": psnr, "graph_against_hand": steps}, bars)


def same_sequence(painter: Painter, pictures: Sequence[Any]) -> list[Any]:
    """The luma of each painted frame."""
    return [painter(frame).landed().planes[0].copy() for frame in pictures]


def swapping(size: Size = FULL_HD, count: int = FRAMES) -> Found:
    """What it costs to swap the style before every frame, of a frame's time."""
    pictures, spent = frames(size), {}
    for swaps in (False, True):
        painter = Painter(size, swaps=swaps)
        paced(painter, pictures, WARM_UP)
        spent[swaps] = summed(paced(painter, pictures, count))["p50_ms"]
        painter.backend.close()
    share = spent[True] / spent[False] - 1
    return Found({"ms": spent[False], "ms_swapping": spent[True]}, [("a swap, of a frame", share, SWAP_SHARE, False)])


def sessions(size: Size = (1280, 720), count: int = FRAMES) -> Found:
    """Two streams on one card, in two threads: how fast, and whether each paints what it paints alone."""
    pictures = frames(size)
    alone = same_sequence(Painter(size), pictures)
    found: dict[int, Any] = {}

    def main(number: int) -> None:
        painter = Painter(size)
        same = same_sequence(painter, pictures)
        steps = max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(same, alone, strict=True))
        found[number] = summed(paced(painter, pictures, count)) | {"against_alone": steps}

    threads = [threading.Thread(target=main, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(found) < 2:
        raise RuntimeError("a session failed")
    worst = max(each["against_alone"] for each in found.values())
    return Found({"sessions": found}, [("two sessions against one, levels", worst, 2.0, False)])


def memory(sizes: Iterable[Size] = SIZES) -> Found:
    """Bytes of the card that a session takes."""
    from allaprima.kernels.cuda import cupy

    found = Found()
    for size in sizes:
        before, _ = cupy().cuda.runtime.memGetInfo()
        painter = Painter(size)
        same_sequence(painter, frames(size, 3))
        after, _ = cupy().cuda.runtime.memGetInfo()
        found.figures[_text(size)] = {"mib": (before - after) >> 20}
        painter.backend.close()
        del painter
        gc.collect()
        cupy().get_default_memory_pool().free_all_blocks()
    return found


def decoding(size: Size = (640, 360)) -> Found:
    """The card's decoder and encoder through PyAV, against software."""
    try:
        import av
    except ImportError as error:
        raise Cannot(f"PyAV is not installed: {error}") from error
    from allaprima.realtime.backends.hardware import Hardware, Refused
    from allaprima.realtime.metrics import Transfers

    hardware, found = Hardware(Transfers()), Found()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "clip.mp4")
        with av.open(path, "w") as container:
            stream: Any = container.add_stream("libx264", rate=30, options={"bf": "0"})
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            for frame in [*frames(size), None]:
                given = None if frame is None else _picture(av, frame)
                container.mux(stream.encode(given))
        with av.open(path) as container:
            expected = [picture.to_ndarray()[: size[1]] for picture in container.decode(video=0)]
        with av.open(path) as container:
            video = container.streams.video[0]
            try:
                decoder = hardware.decoder(video)
            except Refused as refused:
                raise Cannot(str(refused)) from refused
            taken = []
            for packet in container.demux(video):
                for picture in decoder.decode(packet):
                    if not hardware.holds(picture):
                        raise Cannot("the decoder gives pictures in host memory")
                    taken.append(hardware.take(picture).landing()[0])
    steps = [int(np.abs(a.astype(int) - b).max()) for a, b in zip(taken, expected, strict=True)]
    found.figures["decoded"] = len(taken)
    found.bars.append(("decoded on the card against software, levels", max(steps), 0.0, False))
    return found


def _picture(av: Any, frame: Any) -> Any:
    packed = np.concatenate([plane.ravel() for plane in frame.planes]).reshape(-1, frame.size[0])
    picture = av.VideoFrame.from_ndarray(packed, "yuv420p")
    picture.pts = frame.pts
    return picture


def sanitized(size: Size = (96, 64)) -> Found:
    """A few frames kernel by kernel, to be watched by compute-sanitizer."""
    painter = Painter(size, graphs=False)
    return Found({"frames": len(same_sequence(painter, frames(size, 4)))})


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


PARTS: dict[str, Callable[[], Found]] = {
    "environment": environment,
    "compiling": compiling,
    "nets": nets,
    "likeness": likeness,
    "backend": backend,
    "swapping": swapping,
    "sessions": sessions,
    "memory": memory,
    "decoding": decoding,
    "sanitized": sanitized,
}


def main(name: str) -> None:
    """Do one part; one that cannot says so, one that fails ends with its traceback."""
    from allaprima.realtime.backends.cuda_device import probe

    try:
        if reason := probe():
            raise Cannot(reason)
        found = PARTS[name]()
        told: dict[str, Any] = {"state": "done", "figures": found.figures, "bars": found.bars}
    except (Cannot, ImportError) as error:
        told = {"state": "cannot", "why": str(error)}
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
