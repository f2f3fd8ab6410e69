"""The shipped nets in the cuda backend, kernels emulated and nets in float16 in torch, against the CPU backend."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch runtime needs torch")
pytest.importorskip("onnx", reason="the torch runtime needs onnx")

from allaprima.kernels import cuda  # noqa: E402
from allaprima.realtime.backends import cuda_step, nets  # noqa: E402
from allaprima.realtime.backends.cpu import CpuBackend  # noqa: E402
from allaprima.realtime.backends.cuda import CudaBackend  # noqa: E402
from allaprima.realtime.backends.nets.torch_net import Graph  # noqa: E402
from allaprima.realtime.bundle import Bundle, shipped_bundle  # noqa: E402
from allaprima.realtime.frame import Color  # noqa: E402
from allaprima.realtime.network import half, joined, with_size  # noqa: E402

from .... import tiny  # noqa: E402
from ....kernels.fake_cupy import Place  # noqa: E402
from ..cuda_rig import Still, card, worst  # noqa: E402

SIZE, COLOR = (62, 38), Color(6, 6, 6, 1)


class OnEmulator:
    """A runtime whose work is a node of the emulator's streams, as a kernel's is."""

    name = "torch"

    def __init__(
        self, bundle: Bundle, cells: tuple[int, int], stream: Any, region: bool = False, wanted: str = "auto"
    ) -> None:
        self.graph = Graph(with_size(half(joined(bundle, 1 + region)), *cells))
        fake: Any = cuda.cupy()
        with stream:
            self.inputs = {name: fake.zeros(sides, np.float16) for name, sides in self.graph.inputs.items()}
            self.painted = fake.zeros((1, 24, *cells), np.float16)
        self.stream = stream

    def enqueue(self) -> None:
        given, painted = {name: Place(array) for name, array in self.inputs.items()}, Place(self.painted)

        def run() -> None:
            with torch.inference_mode():
                found = self.graph(**{name: torch.from_numpy(place().copy()) for name, place in given.items()})
            painted()[...] = found.numpy()

        self.stream.enqueue(run)

    def capture(self, body: Callable[[], None]) -> Callable[[], None]:
        self.stream.begin_capture()
        body()
        graph = self.stream.end_capture()
        return lambda: graph.launch(self.stream)

    def close(self) -> None:
        pass


@pytest.mark.usefixtures("exact")
def test_the_card_paints_what_the_cpu_paints(monkeypatch: pytest.MonkeyPatch) -> None:
    """A style, a swap to another at less strength, then both with a mask between them, on BT.601."""
    bundle = Bundle(shipped_bundle())
    files = bundle.style_files()
    night, wave = (bundle.load_style(files[name])[1] for name in ("starry-night", "great-wave"))
    mask = np.repeat(np.linspace(0, 1, SIZE[0], dtype=np.float32)[None], SIZE[1], 0)
    settings: list[tuple[Any, float, Any]] = [(night, 1.0, None), (wave, 0.6, None), (night, 1.0, (mask, wave))]

    def paint(backend: Any) -> list[Any]:
        found = []
        for seed, (filters, strength, region) in enumerate(settings):
            frame = tiny.frame(SIZE, seed, color=COLOR)
            picture = backend.upload(frame)
            motion = backend.motion(None, picture)
            painted = backend.load_net(bundle, region is not None).paint(picture, filters, strength, region)
            found.append(backend.download(backend.warp_blend(None, painted, motion, 0.9), frame).landed())
        return found

    monkeypatch.setattr(cuda_step, "Dis", Still)
    expected = paint(CpuBackend(SIZE, COLOR))
    with card():
        monkeypatch.setattr(nets, "open_runtime", OnEmulator)
        backend = CudaBackend(SIZE, COLOR)
        found = paint(backend)
        backend.close()
    for one, other in zip(found, expected, strict=True):
        assert worst(one, other) <= 2
        assert one.planes[0].std() > 5
