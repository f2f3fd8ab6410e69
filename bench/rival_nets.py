"""The network of pytorch/examples in the runtimes that people run it in, frame by frame.

RGB bytes in and RGB bytes out, through each runtime's own front door and with as many threads as it takes by itself.
What does not paint what PyTorch paints from the same weights is no rival but a mistake.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.bench.contender import REFERENCE, CannotRun, Footage, Picture, Ready

Paint = Callable[[Picture], Picture]
"""RGB ``(H, W, 3)`` uint8 in and out."""

FLOP_A_PIXEL = 307_584
"""Of its convolutions, a multiply-add being two; of sides that are multiples of 4."""
ALIKE, ALIKE_IN_16_BITS = 1.0, 4.0
"""Mean absolute difference (of 255) to PyTorch's picture in fp32 up to which it is the same."""


def export(footage: Footage) -> Ready:
    """Write what the others start from; nothing of it is timed.  The reference comes first: it needs no exporter."""
    from allaprima.bench import rival

    net = rival.random_net()
    np.save(footage.folder / REFERENCE, rival.paint(net, footage.rgb[0]))
    rival.export(net, footage.rgb.shape[1:3], footage.net)
    return Ready(lambda index: None, "")


def pytorch(footage: Footage) -> Ready:
    """As somebody has it who copies the example."""
    from allaprima.bench import rival

    return _pytorch(footage, rival.random_net(), "f32", ALIKE)


def pytorch_compiled(footage: Footage) -> Ready:
    import torch

    from allaprima.bench import rival

    return _pytorch(footage, torch.compile(rival.random_net()), "f32", ALIKE)


def pytorch_tuned(footage: Footage) -> Ready:
    """With what PyTorch's own guide to performance advises: 16 bits and channels last."""
    from allaprima.bench import rival

    net = rival.Tuned(rival.random_net())
    return _pytorch(footage, net, f"{str(net.kind).removeprefix('torch.')}, channels last", ALIKE_IN_16_BITS)


def _pytorch(footage: Footage, net: Any, how: str, limit: float) -> Ready:
    import torch

    from allaprima.bench import rival

    net = net.to(rival.device())
    card = torch.cuda.get_device_name() if rival.device() == "cuda" else ""
    where = card or f"the CPU, {torch.get_num_threads()} threads"
    return _alike(footage, partial(rival.paint, net), f"PyTorch {torch.__version__} on {where}, {how}", limit)


def onnxruntime(footage: Footage) -> Ready:
    import onnxruntime as ort

    there = ort.get_available_providers()
    wanted = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in there]
    session = ort.InferenceSession(footage.net, providers=wanted)

    def paint(rgb: Picture) -> Picture:
        return picture_of(session.run(None, {"rgb": planes_of(rgb)})[0])

    provider = session.get_providers()[0].removesuffix("ExecutionProvider")
    return _alike(footage, paint, f"ONNX Runtime {ort.__version__}, provider {provider}, its own threads, f32", ALIKE)


def openvino_f32(footage: Footage) -> Ready:
    return _openvino(footage, "f32")


def openvino(footage: Footage) -> Ready:
    """At the precision that ours takes too."""
    from allaprima.realtime.backends.cpu import best_precision

    return _openvino(footage, best_precision())


def _openvino(footage: Footage, precision: str) -> Ready:
    import openvino as ov

    options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    model = ov.Core().compile_model(str(footage.net), "CPU", options)

    def paint(rgb: Picture) -> Picture:
        return picture_of(model(planes_of(rgb))[0])

    version, threads = ov.__version__.partition("-")[0], model.get_property("INFERENCE_NUM_THREADS")
    about = f"OpenVINO {version} on the CPU, {threads} threads, {precision}"
    return _alike(footage, paint, about, ALIKE if precision == "f32" else ALIKE_IN_16_BITS)


def opencv_dnn(footage: Footage) -> Ready:
    net = cv2.dnn.readNetFromONNX(str(footage.net))

    def paint(rgb: Picture) -> Picture:
        net.setInput(cv2.dnn.blobFromImage(rgb))
        return picture_of(net.forward())

    about = f"OpenCV {cv2.__version__} on the CPU, {cv2.getNumThreads()} threads, f32"
    return _alike(footage, paint, about, ALIKE)


def planes_of(rgb: Picture) -> NDArray[np.float32]:
    """As the network wants it: ``(1, 3, H, W)`` float32, 0..255."""
    return np.ascontiguousarray(rgb.transpose(2, 0, 1)[None], np.float32)


def picture_of(planes: Any) -> Picture:
    """Bytes again, as pytorch/examples saves them: clamped, and the rest cut off."""
    return np.ascontiguousarray(planes[0].clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def _alike(footage: Footage, paint: Paint, about: str, limit: float) -> Ready:
    made, wanted = paint(footage.rgb[0]), footage.reference
    off = float(cv2.absdiff(made, wanted).mean()) if made.shape == wanted.shape else 255.0
    if not off <= limit:
        raise CannotRun(f"paints another picture than PyTorch from the same weights: {off:.1f} of 255 off on average")
    return Ready(lambda index: paint(footage.rgb[index]), about)
