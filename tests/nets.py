"""Nets of a bundle run by OpenVINO in fp32, joined and one after the other, and what goes into them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import openvino as ov

from allaprima.realtime.bundle import Bundle

Arrays = dict[str, Any]
F32 = {"INFERENCE_PRECISION_HINT": "f32"}


def inputs(
    bundle: Bundle, packed: Any, styles: Sequence[Mapping[str, float]], strength: float = 1.0, masks: Any = None
) -> Arrays:
    """Inputs of the joined graph: a picture ``(24, h, w)``, a mix of styles for each region, masks by map."""
    found = {"packed": packed[None], "strength": np.full((1, 1, 1, 1), strength, np.float32)}
    files = bundle.style_files()
    for index, mix in enumerate(styles):
        parts = [(share, bundle.load_style(files[name])[1]) for name, share in mix.items()]
        for key in bundle.manifest.filters:
            found[f"{key}_{index}"] = sum(np.float32(share) * filters[key] for share, filters in parts)
    found |= {f"mask_{name}": mask[None, None] for name, mask in (masks or {}).items()}
    return {name: np.ascontiguousarray(value, np.float32) for name, value in found.items()}


def in_openvino(model: Any, given: Arrays) -> Any:
    """What an ONNX model's one output is, float32."""
    core = ov.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString(), b""), "CPU", F32)
    wanted = {port.get_any_name(): port.get_element_type().to_dtype() for port in compiled.inputs}
    found = compiled({name: given[name].astype(dtype) for name, dtype in wanted.items()})
    return np.array(found[compiled.outputs[0]], np.float32)


def one_after_another(bundle: Bundle, given: Arrays) -> Any:
    """The same by encoder, bank and decoder from their own files, the regions mixed in NumPy."""
    core = ov.Core()

    def run(net: str, feeds: Arrays) -> Arrays:
        compiled = core.compile_model(bundle.path / f"{net}.onnx", "CPU", F32)
        wanted = {port.get_any_name() for port in compiled.inputs}
        found = compiled({name: value for name, value in feeds.items() if name in wanted})
        return {port.get_any_name(): np.array(value) for port, value in found.items()}

    maps = run("encoder", given)
    regions = 1 + any(name.startswith("mask_") for name in given)
    painted = []
    for index in range(regions):
        filters = {key: given[f"{key}_{index}"] for key in bundle.manifest.filters}
        found = run("bank", {**maps, **filters, "strength": given["strength"]})
        painted.append({name: found[f"{name}_out"] for name in maps})
    if regions == 2:
        a, b = painted
        painted = [{name: a[name] + given[f"mask_{name}"] * (b[name] - a[name]) for name in maps}]
    return run("decoder", painted[0])["packed"]


def decibels(a: Any, b: Any, peak: float) -> float:
    """PSNR; infinite where all is equal."""
    error = float(np.mean((np.asarray(a, np.float64) - b) ** 2))
    return float("inf") if error == 0 else 10 * np.log10(peak**2 / error)
