"""The network of pytorch/examples paints the same picture in every runtime, or does not count."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from allaprima.bench import contender, rival, rival_nets  # noqa: E402
from allaprima.bench.contender import NET, REFERENCE, CannotRun, Footage  # noqa: E402

SIZE = (64, 48)
RUNTIMES = {
    "pytorch": "torch",
    "pytorch_tuned": "torch",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "openvino_f32": "openvino",
    "opencv_dnn": "cv2",
}
"""By what they need."""


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    pytest.importorskip("onnx")
    footage = Footage.render(tmp_path_factory.mktemp("footage"), SIZE)
    rival_nets.export(footage)
    return footage


@pytest.mark.parametrize("name", RUNTIMES)
def test_runtimes_paint_alike(name: str, footage: Footage) -> None:
    pytest.importorskip(RUNTIMES[name])
    ready = getattr(rival_nets, name)(footage)
    first, second = (np.asarray(ready.step(index)) for index in (0, 4))
    assert first.dtype == np.uint8
    limit = rival_nets.ALIKE_IN_16_BITS if "f32" not in ready.about else rival_nets.ALIKE
    assert cv2.absdiff(first, footage.reference).mean() <= limit
    assert not np.array_equal(first, second)
    assert "f32" in ready.about or "16" in ready.about


def test_the_reference_is_a_picture(footage: Footage) -> None:
    assert footage.reference.shape == (48, 64, 3)
    assert footage.reference.std() > 10


def test_its_arithmetic_is_what_is_told() -> None:
    flop = []

    def count(conv: Any, _: Any, made: Any) -> None:
        flop.append(2 * conv.weight[0].numel() * made.numel())

    net = rival.random_net()
    for part in net.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(count)
    rival.paint(net, np.zeros((48, 64, 3), np.uint8))
    assert sum(flop) == rival_nets.FLOP_A_PIXEL * 48 * 64


@pytest.fixture
def other(footage: Footage, tmp_path: Path) -> Footage:
    """The same, where the reference is another picture."""
    found = replace(footage, folder=tmp_path)
    for file in footage.folder.glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    np.save(tmp_path / REFERENCE, 255 - footage.reference)
    return found


def test_who_paints_another_picture_is_no_rival(other: Footage) -> None:
    with pytest.raises(CannotRun, match=r"another picture .*: \d+\.\d of 255"):
        rival_nets.opencv_dnn(other)
    np.save(other.folder / REFERENCE, np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(CannotRun, match=r"255\.0 of 255"):
        rival_nets.openvino_f32(other)


def test_a_graph_that_cannot_be_read_is_told(other: Footage) -> None:
    (other.folder / NET).write_bytes(b"no graph")
    told: list[dict[str, Any]] = []
    with pytest.raises(cv2.error):
        contender.serve("allaprima.bench.rival_nets:opencv_dnn", other, iter(()), told.append)
    assert told[0]["cannot"].startswith("error: ")
    assert "\n" not in told[0]["cannot"]


def test_a_machine_without_a_compiler_says_so(footage: Footage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(net: Any) -> Any:
        raise RuntimeError("No working C++ compiler found\nset TORCH_LOGS for more")

    monkeypatch.setattr("torch.compile", fails)
    told: list[dict[str, Any]] = []
    with pytest.raises(RuntimeError):
        contender.serve("allaprima.bench.rival_nets:pytorch_compiled", footage, iter(()), told.append)
    assert told == [{"cannot": "RuntimeError: No working C++ compiler found"}]


def test_bytes_become_planes_and_bytes_again() -> None:
    rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    planes = rival_nets.planes_of(rgb)
    assert (planes.shape, planes.dtype) == ((1, 3, 2, 4), np.float32)
    assert np.array_equal(rival_nets.picture_of(planes + 0.9), rgb)
    assert rival_nets.picture_of(planes * 1000 - 1).max() == 255
    assert rival_nets.picture_of(planes - 100).max() == 0
