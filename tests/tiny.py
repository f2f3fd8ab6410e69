"""A bundle whose nets pass the picture through, and frames to paint: what the engine does becomes arithmetic.

The encoder splits a packed picture into its 2x2 means (``deep``) and the rest (``fine``), the bank adds the
style's ``shift`` to ``fine``, the decoder puts both together again: paint(x) = x + strength * shift.
"""

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.numpy_helper import from_array

from allaprima.realtime.bundle import FORMAT, NETS, Bundle, StyleCard, file_hash, write_style
from allaprima.realtime.frame import Color, Frame

CHANNELS = 24
STYLES = {"plain": (0.0, 0.0), "bright": (0.25, 0.0), "dark": (-0.25, 0.0), "blue": (0.0, 0.5)}
"""What each style adds to luma and to the first chroma plane, in the nets' -1..1."""
LIMITED, FULL = Color(1, 1, 1, 1), Color(1, 1, 1, 2)


def write_bundle(path: Path, styles: Mapping[str, tuple[float, float]] = STYLES) -> Path:
    """Write the bundle; the first style is its default."""
    (path / "styles").mkdir(parents=True)
    _write_nets(path)
    manifest: dict[str, Any] = {"format": FORMAT, "name": path.name, "version": "1", "licence": "none"}
    manifest |= {"default_style": next(iter(styles)), "filters": {"shift": [1, CHANNELS, 1, 1]}}
    manifest |= {"sha256": {net: file_hash(path / f"{net}.onnx") for net in NETS}}
    (path / "manifest.json").write_text(json.dumps(manifest))
    for name, (luma, chroma) in styles.items():
        add_style(path, name, luma, chroma)
    return path


def add_style(bundle: Path, name: str, luma: float, chroma: float = 0.0, **card: Any) -> Path:
    file = bundle / "styles" / f"{name}.safetensors"
    card = {"generator": Bundle(bundle).generator, "steadiness": 0.0} | card
    write_style(file, StyleCard(name=name, **card), {"shift": shift(luma, chroma)})
    return file


def shift(luma: float, chroma: float = 0.0) -> Any:
    return np.repeat(np.array([luma, chroma, 0], np.float16), (16, 4, 4)).reshape(1, CHANNELS, 1, 1)


# ---- frames ----


def texture(size: tuple[int, int], seed: int = 0, low: int = 40, high: int = 215, grain: float = 3) -> Any:
    """A plane ``(h, w)`` uint8 of soft blobs: something for optical flow to hold on to."""
    noise = np.random.default_rng(seed).standard_normal((size[1], size[0])).astype(np.float32)
    soft = cv2.GaussianBlur(noise, None, grain)
    return cv2.normalize(soft, None, low, high, cv2.NORM_MINMAX).astype(np.uint8)


def frame(
    size: tuple[int, int] = (96, 64), seed: int = 0, *, color: Color = LIMITED, index: int = 0, **more: Any
) -> Frame:
    half = (-(-size[0] // 2), -(-size[1] // 2))
    planes = (texture(size, seed), texture(half, seed + 100, 80, 180), texture(half, seed + 200, 80, 180))
    return Frame(planes, size, index, Fraction(1, 25), index, color, **more)


def flat(y: int, u: int = 128, v: int = 128, size: tuple[int, int] = (96, 64), **more: Any) -> Frame:
    half = (-(-size[1] // 2), -(-size[0] // 2))
    shapes = ((size[1], size[0]), half, half)
    planes = tuple(np.full(shape, value, np.uint8) for shape, value in zip(shapes, (y, u, v), strict=True))
    return Frame(planes, size, more.get("index", 0), Fraction(1, 25), **({"color": LIMITED} | more))


def difference(a: Frame, b: Frame) -> int:
    """The largest difference of two frames in any plane."""
    return max(int(cv2.absdiff(p, q).max()) for p, q in zip(map(solid, a.planes), map(solid, b.planes), strict=True))


def solid(plane: Any) -> Any:
    return np.ascontiguousarray(plane)


# ---- ONNX ----


def _write_nets(folder: Path) -> None:
    mean = {"kernel_shape": [2, 2], "strides": [2, 2]}
    spread = mean | {"group": CHANNELS}
    encoder = [
        make_node("AveragePool", ["packed"], ["deep"], **mean),
        make_node("ConvTranspose", ["deep", "ones"], ["coarse"], **spread),
        make_node("Sub", ["packed", "coarse"], ["fine"]),
    ]
    bank = [
        make_node("Identity", ["deep"], ["deep_out"]),
        make_node("Mul", ["strength", "shift"], ["moved"]),
        make_node("Add", ["fine", "moved"], ["fine_out"]),
    ]
    decoder = [
        make_node("ConvTranspose", ["deep", "ones"], ["coarse"], **spread),
        make_node("Add", ["fine", "coarse"], ["packed"]),
    ]
    ones = from_array(np.ones((CHANNELS, 1, 2, 2), np.float32), "ones")
    _write(folder / "encoder.onnx", encoder, ["packed"], ["deep", "fine"], [ones])
    _write(folder / "bank.onnx", bank, ["deep", "fine", "strength", "shift"], ["deep_out", "fine_out"], [])
    _write(folder / "decoder.onnx", decoder, ["deep", "fine"], ["packed"], [ones])


def _write(file: Path, nodes: list[Any], inputs: list[str], outputs: list[str], weights: list[Any]) -> None:
    fixed = {"strength": [1, 1, 1, 1], "shift": [1, CHANNELS, 1, 1]}
    dims = {name: fixed.get(name, [1, CHANNELS, f"{name}_h", f"{name}_w"]) for name in (*inputs, *outputs)}
    values = {name: make_tensor_value_info(name, onnx.TensorProto.FLOAT, sides) for name, sides in dims.items()}
    graph = make_graph(nodes, file.stem, [values[n] for n in inputs], [values[n] for n in outputs], weights)
    onnx.save(make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8), file)
