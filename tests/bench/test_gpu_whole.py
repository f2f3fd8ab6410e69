"""The larger parts of the check of a card: on stand-ins, and on the CPU where the CPU can do them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allaprima.bench import gpu_whole
from allaprima.bench.gpu_painter import Cannot, frames
from allaprima.realtime.backends import nets
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.engines import Engines
from allaprima.realtime.errors import BackendUnavailable

from .. import fake_tensorrt
from ..realtime.backends.cuda_rig import TinyRuntime, card, filters

SIZE = (64, 48)


def test_an_engine_is_built_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> None:
    pytest.importorskip("onnx")
    fake_tensorrt.install(monkeypatch)
    fake_tensorrt.for_children(monkeypatch, tmp_path / "modules")
    monkeypatch.setenv("ALLAPRIMA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("allaprima.realtime.bundle.shipped_bundle", lambda: tiny_bundle)
    found = gpu_whole.engine(SIZE)
    told = found.figures["64x48"]
    assert (told["precision"], told["road"]) == ("half", "onnx")
    assert told["mb"] > 0
    assert [(bar[0], bar[1] > 60, *bar[2:]) for bar in found.bars] == [
        ("engine for 64x48: from fp32, dB", True, 35.0, True)
    ]
    assert len(Engines().entries()) == 1
    assert gpu_whole.engine(SIZE).figures["64x48"]["notes"] == "it is there already"


def test_without_tensorrt_no_engine_is_built_and_why_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tensorrt.install(monkeypatch)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(Cannot, match="TensorRT cannot be imported"):
        gpu_whole.engine(SIZE)


def test_runtimes_are_held_against_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO really, the card's own as they fail on this machine."""
    for module in ("torch", "onnx", "openvino"):
        pytest.importorskip(module)

    def refuse(*_: Any, **more: Any) -> None:
        raise BackendUnavailable(f"{more['wanted']} is not here")

    monkeypatch.setattr(nets, "open_runtime", refuse)
    monkeypatch.setitem(sys.modules, "cupy", type(sys)("cupy"))
    sys.modules["cupy"].cuda = type(sys)("cuda")  # type: ignore[attr-defined]
    monkeypatch.setattr(sys.modules["cupy"].cuda, "Stream", lambda non_blocking: None, raising=False)
    monkeypatch.setattr(gpu_whole, "real_frames", lambda size, count: ("blobs", frames(size, count)))
    found = gpu_whole.runtimes(SIZE, 1)
    assert found.figures["TensorRT"] == "cannot: tensorrt is not here"
    assert found.figures["torch fp16"] == "cannot: torch is not here"
    assert found.figures["frames"] == "1 of 64x48: blobs"
    ((what, near, limit, at_least),) = found.bars
    assert (what, near > 80, limit, at_least) == ("OpenVINO f32, CPU from fp32, dB", True, 35.0, True)


def test_a_runtime_on_a_card_is_painted_with_and_timed(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with card() as fake:
        fake.cuda.get_elapsed_time = lambda start, end: 2.5
        monkeypatch.setattr(nets, "open_runtime", TinyRuntime)
        paint = gpu_whole.on_card(Bundle(tiny_bundle), (16, 24), "torch")
        given = {"packed": np.full((1, 24, 16, 24), 0.5, np.float32), "strength": np.ones((1, 1, 1, 1), np.float32)}
        painted, ms = paint(given | {f"{key}_0": value for key, value in filters(0.25).items()})
        assert ms == 2.5
        assert np.allclose(painted[0, :16], 0.75)
        again, _ = paint(given | {"packed": 0 * given["packed"]})
        assert np.allclose(again[0, :16], 0.25)


def test_a_file_is_painted_by_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_whole, "real_frames", lambda size, count: ("blobs", frames(size, 3)))
    found = gpu_whole.file([SIZE], "cpu", 10)
    told = found.figures["64x48"]
    assert (told["frames"], told["film"]) == (10, "blobs")
    assert told["fps"] > 0
    assert told["decode, ms"] > 0
    assert found.bars == [("64x48: most bytes one way, of a picture", 0.0, 1.1, False)]


def test_what_is_not_installed_is_told_before_anything_is_done() -> None:
    script = (
        "import sys; sys.modules['av'] = None\n"
        "from allaprima.bench import gpu_whole, gpu_painter\n"
        "gpu_painter.find_spec = lambda name: None if name in ('av', 'rich') else name\n"
        "gpu_whole.file()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "Cannot: av, rich are not installed" in done.stderr
