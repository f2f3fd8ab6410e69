"""The parts of `bench.gpu_check` that look at a card; each gives figures and bars, or says why it cannot.

    python -m allaprima.bench.gpu_parts NAME

prints what was found as JSON on one line.  Imports what it needs when it needs it: a fresh machine has little.
"""

import contextlib
import gc
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from allaprima.bench import gpu_profile, gpu_whole
from allaprima.bench.gpu_painter import (
    LEAST_PSNR,
    Cannot,
    Found,
    Painter,
    Size,
    frames,
    paced,
    psnr,
    real_frames,
    styles,
    summed,
    text,
)

SIZES = ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))
FULL_HD, UHD = (1920, 1080), (3840, 2160)
FPS_BARS = {FULL_HD: 300.0, UHD: 60.0}
STEADY, FIRST_FRAME, SWAP_SHARE = 1.2, 3.0, 0.02
"""Most that the slowest hundredth may take, of the median; seconds; of a frame's time."""
FRAMES, WARM_UP = 300, 20
PACKAGES = (
    *("numpy", "cupy-cuda13x", "cupy-cuda12x", "torch", "tensorrt", "openvino", "onnx", "opencv-python-headless"),
    *("opencv-python", "av", "pydantic", "platformdirs", "safetensors", "typer", "rich", "pytest"),
)


# ---- the parts ----


def environment() -> Found:
    """What is here; told also where no card can be used."""
    from importlib.metadata import PackageNotFoundError, version

    from allaprima.kernels.cuda import cupy
    from allaprima.realtime import machine

    packages: dict[str, str] = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            packages[package] = version(package)
    absent = ", ".join(package for package in PACKAGES if package not in packages)
    found: dict[str, Any] = {
        "cpu": machine.processor(),
        "cores": machine.cores(),
        "cards": "; ".join(machine.gpus()) or "none seen",
        "packages": {"python": sys.version.split()[0], **packages},
        "not installed": absent or "nothing",
    }
    if reason := refusal():
        raise Cannot(reason, found)
    from allaprima.realtime.backends.cuda_device import device_name

    runtime = cupy().cuda.runtime
    free, total = runtime.memGetInfo()
    properties = runtime.getDeviceProperties(0)
    found |= {"gpu": device_name(), "capability": f"{properties['major']}.{properties['minor']}"}
    return Found(found | {"memory_gib": round(total / 2**30, 1), "free_gib": round(free / 2**30, 1)})


def compiling() -> Found:
    """Seconds that each text takes, from CuPy's cache where it is there.  Needs nothing but CuPy."""
    from allaprima.bench.registers import modules
    from allaprima.kernels import cuda

    try:
        cuda.cupy().cuda.runtime.getDeviceProperties(0)
    except RuntimeError as error:
        raise Cannot(f"there is no NVIDIA card to use ({error})") from error
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
        near = psnr(runtime.painted.get(), expected, 2)
        found.figures[text(size)] = {"ms": statistics.median(spent), "psnr_db": near}
        found.bars.append((f"nets at {text(size)}: fp16 from fp32, dB", near, LEAST_PSNR, True))
        runtime.close()
    return found


def backend(sizes: Iterable[Size] = SIZES, count: int = FRAMES) -> Found:
    """A frame from upload to what is painted, in host memory and on the card, by graph and by hand."""
    found = Found()
    for size in sizes:
        pictures, each = frames(size), found.figures.setdefault(text(size), {})
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
            found.bars.append((f"{text(size)}: frames a second", best["fps"], FPS_BARS[size], True))
        found.bars.append((f"{text(size)}: p99 over p50", best["p99_ms"] / best["p50_ms"], STEADY, False))
        found.bars.append((f"{text(size)}: first frame, s", best["first_frame_s"], FIRST_FRAME, False))
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

    shown, pictures = real_frames(size)
    painted = Painter(size)(pictures[0]).landed()
    bundle, (filters, *_) = styles()
    packed = pack(pictures[0].planes, margin=MARGIN, stride=STRIDE, dtype="float32")[None]
    graph = Graph(network.with_size(network.joined(bundle), *packed.shape[2:]), fused=False)
    given = {"packed": packed, "strength": np.ones((1, 1, 1, 1))} | {f"{k}_0": v for k, v in filters.items()}
    with torch.inference_mode():
        exact = graph(**{name: torch.tensor(value, dtype=torch.float32) for name, value in given.items()}).numpy()
    expected = unpack(exact[0], size, margin=MARGIN, format="yuv420p")
    near = psnr(painted.planes[0], expected[0], 255)
    by_graph, by_hand = (same_sequence(Painter(size, graphs), pictures) for graphs in (True, False))
    steps = max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(by_graph, by_hand, strict=True))
    bars = [("a painted frame from fp32, dB", near, LEAST_PSNR, True), ("graph and by hand, levels", steps, 1.0, False)]
    return Found({"frames": shown, "psnr_db": near, "graph_against_hand": steps}, bars)


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
        found.figures[text(size)] = {"mib": (before - after) >> 20}
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


PARTS: dict[str, Callable[[], Found]] = {
    "environment": environment,
    "engine": gpu_whole.engine,
    "runtimes": gpu_whole.runtimes,
    "file": gpu_whole.file,
    "profile": gpu_profile.profile,
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


SELF_RELIANT = ("environment", "compiling")
"""What finds out by itself whether there is a card."""


def refusal() -> str | None:
    """Why the engine cannot paint on a card here; None where it can."""
    try:
        from allaprima.realtime.backends.cuda_device import probe
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed"
    return probe()


def main(name: str) -> None:
    """Do one part; one that cannot says so, one that fails ends with its traceback."""
    try:
        if name not in SELF_RELIANT and (reason := refusal()):
            raise Cannot(reason)
        found = PARTS[name]()
        told: dict[str, Any] = {"state": "done", "figures": found.figures, "bars": found.bars}
    except Cannot as error:
        told = {"state": "cannot", "why": str(error), "figures": error.figures}
    except ModuleNotFoundError as error:
        told = {"state": "cannot", "why": f"{error.name} is not installed"}
    except ImportError as error:
        told = {"state": "cannot", "why": str(error)}
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
