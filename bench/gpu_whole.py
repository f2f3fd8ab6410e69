"""The larger parts of `bench.gpu_check`: an engine built, the runtimes side by side, a file painted by the command."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from allaprima.bench.gpu_painter import LEAST_PSNR, Cannot, Found, Size, needs, psnr, real_frames, styles, text

HD, FULL_HD = (1280, 720), (1920, 1080)
TIMED = 30
"""Passes of a runtime."""
LENGTH = 240
"""Frames of the file that is painted."""


def engine(size: Size = HD) -> Found:
    """TensorRT's engine for one size, built as `allaprima engines build` does, and kept: later parts paint with it."""
    needs("onnx", "pydantic", "safetensors", "platformdirs")
    from allaprima.realtime.backends.nets.trt import machine
    from allaprima.realtime.builds import Child, Order
    from allaprima.realtime.bundle import shipped_bundle
    from allaprima.realtime.engine_key import packed_size
    from allaprima.realtime.engines import engines_folder
    from allaprima.realtime.errors import BackendUnavailable

    try:
        machine()
    except BackendUnavailable as error:
        raise Cannot(str(error)) from error
    began, notes, last = time.perf_counter(), [], {}
    with Child(Order(bundle=shipped_bundle(), cells=packed_size(size), folder=engines_folder())) as child:
        for event in child.events():
            last = event
            if event["event"] == "note":
                notes.append(event["text"])
    record = last["record"]
    told = {"tensorrt": record["key"]["tensorrt"], "precision": record["precision"], "road": record["road"]}
    told |= {"built in, s": record["seconds"], "now, s": time.perf_counter() - began, "mb": record["bytes"] / 1e6}
    near = record["psnr"]
    figures = {text(size): told | {"psnr_db": near} | ({"notes": "; ".join(notes)} if notes else {})}
    return Found(figures, [(f"engine for {text(size)}: from fp32, dB", near, LEAST_PSNR, True)])


# ---- the same pictures through every runtime ----

Paint = Callable[[dict[str, Any]], tuple[Any, float]]
"""Inputs by their names to what is painted, ``(1, 24, h, w)``, and the milliseconds of a pass."""


def runtimes(size: Size = HD, count: int = 3) -> Found:
    """TensorRT and torch on the card, OpenVINO on the CPU, all beside torch in fp32 on the CPU."""
    needs("torch", "onnx", "pydantic", "safetensors", "platformdirs")
    from allaprima.kernels.reference.pack import pack
    from allaprima.realtime.backends.layout import MARGIN, STRIDE
    from allaprima.realtime.errors import BackendUnavailable, EngineMissing

    shown, pictures = real_frames(size, count)
    bundle, (filters, *_) = styles()
    common = {"strength": np.ones((1, 1, 1, 1), np.float32)} | {f"{key}_0": each for key, each in filters.items()}
    packed = [pack(frame.planes, margin=MARGIN, stride=STRIDE, dtype="float32")[None] for frame in pictures]
    cells = packed[0].shape[2:]
    exact = in_full(bundle, cells)
    expected = [exact({"packed": each} | common)[0] for each in packed]
    found = Found({"frames": f"{len(packed)} of {text(size)}: {shown}"})
    for name, open_one in (
        ("TensorRT", lambda: on_card(bundle, cells, "tensorrt")),
        ("torch fp16", lambda: on_card(bundle, cells, "torch")),
        ("OpenVINO f32, CPU", lambda: in_openvino(bundle, cells)),
    ):
        try:
            paint = open_one()
        except (BackendUnavailable, EngineMissing, Cannot) as error:
            found.figures[name] = f"cannot: {error}"
            continue
        results = [paint({"packed": each} | common) for each in packed]
        near = min(psnr(made, wanted, 2) for (made, _), wanted in zip(results, expected, strict=True))
        found.figures[name] = {"psnr_db": near, "ms": statistics.median(ms for _, ms in results)}
        found.bars.append((f"{name} from fp32, dB", near, LEAST_PSNR, True))
    return found


def in_full(bundle: Any, cells: Any) -> Paint:
    """Torch in fp32 on the CPU, where nothing rounds to fewer digits unasked."""
    import torch

    from allaprima.realtime import network
    from allaprima.realtime.backends.nets.torch_net import Graph

    graph = Graph(network.with_size(network.joined(bundle), *cells), fused=False)

    def paint(given: dict[str, Any]) -> tuple[Any, float]:
        began = time.perf_counter()
        with torch.inference_mode():
            painted = graph(**{name: torch.tensor(value, dtype=torch.float32) for name, value in given.items()})
        return painted.numpy(), 1e3 * (time.perf_counter() - began)

    return paint


def on_card(bundle: Any, cells: Any, wanted: str) -> Paint:
    """A runtime of the cuda backend, as one graph."""
    from allaprima.kernels.cuda import cupy
    from allaprima.realtime.backends.nets import open_runtime

    cp = cupy()
    stream = cp.cuda.Stream(non_blocking=True)
    runtime = open_runtime(bundle, cells, stream, wanted=wanted)
    launches: list[Callable[[], None]] = []

    def paint(given: dict[str, Any]) -> tuple[Any, float]:
        with stream:
            for name, value in given.items():
                array: Any = runtime.inputs[name]
                array.set(value.astype(np.float16).reshape(array.shape))
        if not launches:
            runtime.enqueue()
            launches.append(runtime.capture(runtime.enqueue))
        events = [cp.cuda.Event() for _ in range(TIMED + 1)]
        for event in events:
            launches[0]()
            event.record(stream)
        stream.synchronize()
        painted: Any = runtime.painted
        return painted.get(), statistics.median(cp.cuda.get_elapsed_time(*pair) for pair in pairwise(events))

    return paint


def in_openvino(bundle: Any, cells: Any) -> Paint:
    """The same graph in OpenVINO."""
    needs("openvino")
    import openvino as ov

    from allaprima.realtime import network

    core = ov.Core()
    model = core.read_model(network.with_size(network.joined(bundle), *cells).SerializeToString())
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def paint(given: dict[str, Any]) -> tuple[Any, float]:
        named = {name: np.ascontiguousarray(value, np.float32) for name, value in given.items()}
        compiled(named)
        began = time.perf_counter()
        painted = compiled(named)["painted"]
        return painted, 1e3 * (time.perf_counter() - began)

    return paint


# ---- a file ----


def file(sizes: Sequence[Size] = (HD, FULL_HD), backend: str = "cuda", count: int = LENGTH) -> Found:
    """A file painted into a file by the very command: all frames, really painted, and what went over the bus."""
    needs("av", "typer", "rich", "pydantic", "safetensors", "platformdirs", "cv2")
    from allaprima.bench import clips, command
    from allaprima.bench.painted import check_file

    found = Found()
    with clips.workplace() as name:
        folder = Path(name)
        for size in sizes:
            shown, clip = filmed_clip(folder, size, count)
            painted = folder / "painted.mp4"
            ran = command.paint(str(clip), str(painted), "--backend", backend)
            frames = check_file(clip, painted)
            moved = ran.answer["transfers"] or {"to_device_bytes": 0, "to_host_bytes": 0}
            up, down = (moved[key] / frames for key in ("to_device_bytes", "to_host_bytes"))
            found.figures[text(size)] = {
                "frames": frames,
                "fps": ran.steady_fps,
                "fps with the start": ran.answer["fps"],
                "first frame, s": ran.answer["first_frame_seconds"],
                "bytes up a frame": up,
                "bytes down a frame": down,
                **{f"{stage}, ms": ms for stage, ms in ran.answer["stage_ms"].items() if stage in ("decode", "encode")},
                "film": shown,
            }
            picture = 1.5 * size[0] * size[1]
            found.bars.append((f"{text(size)}: most bytes one way, of a picture", max(up, down) / picture, 1.1, False))
    return found


def filmed_clip(folder: Path, size: Size, count: int) -> tuple[str, Path]:
    """An H.264 file of ``size`` with ``count`` frames, and what it shows: `real_frames` again and again."""
    from allaprima.bench import clips
    from allaprima.realtime import open_sink
    from allaprima.realtime.frame import StreamInfo

    shown, pictures = real_frames(size, 48)
    path = folder / f"clip-{text(size)}.mp4"
    first = pictures[0]
    info = StreamInfo(path.stem, size, first.time_base, 1 / first.time_base, False, first.color)
    swing = [*pictures, *pictures[-2:0:-1]]  # it is repeated, and nothing is to jump
    with open_sink(str(path), info) as sink:
        for index, frame in enumerate(swing):
            sink.write(replace(frame, pts=index, index=index))
    return shown, clips.repeat(path, count, folder)
