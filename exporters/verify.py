"""Whether an exported bundle paints what torch paints: the same pictures through both, style by style.

Torch computes in fp32 on the CPU.  Against it stand the bundle's three ONNX nets, one after the other in
OpenVINO: in fp32, which tells whether the export is right, and in the precision that the engine uses on this
machine, which tells whether that is good enough.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import torch
from torch import Tensor

from allaprima.exporters import losses
from allaprima.exporters.export import load_bundle
from allaprima.exporters.motion import MARGIN, widened
from allaprima.exporters.networks import STRIDE, StyleBankNet
from allaprima.realtime.backends.cpu import best_precision
from allaprima.realtime.bundle import NETS, Bundle, Filters
from allaprima.realtime.errors import BackendError, BundleError, ConfigError

TOLERANCE = 1e-3
"""Largest difference that fp32 may show, in pictures in 0..1: a quarter of a step of 8 bits."""
LEAST_PSNR = 40.0
"""Decibels that a lower precision must reach: an error of 2.6 of 255, as of a good video codec.

In bf16 a right export reaches 54 to 61 on photos, and 48 on a black picture, where instance norm enlarges
any rounding.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """How far one runtime's pictures of one style are from torch's, over all pictures together."""

    style: str
    runtime: str
    precision: str
    largest: float
    """Largest absolute difference of a color, in 0..255."""
    mean: float
    """Mean absolute difference, in 0..255."""
    psnr: float
    """Decibels; infinite where all are equal."""
    limit: str
    """What was asked of it, in words."""
    ok: bool


def verify(
    bundle: Path,
    pictures: Sequence[Tensor],
    tolerance: float = TOLERANCE,
    least_psnr: float = LEAST_PSNR,
    network: StyleBankNet | None = None,
) -> list[Row]:
    """Paint each picture in each style of a bundle in torch and in every runtime there is here, and compare.

    What is compared is RGB that has not been clamped to what a screen shows.

    Args:
        bundle: its folder; only styles in there count, not the user's own.
        pictures: ``(3, H, W)`` uint8 RGB; what is over a multiple of 8 is cut off at the right and below.
        tolerance: how large a difference may be in fp32, in pictures in 0..1.
        least_psnr: the decibels that a lower precision must reach.
        network: what the bundle was exported from.  Not given: its weights are read from the bundle, so that
            the arithmetic is checked, but not whether the weights are the right ones.

    Returns:
        Rows by style, and for each style by runtime, fp32 first.

    Raises:
        ConfigError: there is no picture, or one is smaller than 8 x 8.
        BundleError: the bundle is damaged, empty, or of another design than `networks.py`.
        BackendError: OpenVINO cannot load or run a net.
    """
    packed = [losses.pack_rgb(_cut(picture)[None].float() / 255) for picture in pictures]
    if not packed:
        raise ConfigError("there is no picture to verify with")
    reference = load_bundle(bundle) if network is None else _as_shipped(network)
    opened = Bundle(bundle)
    files = {name: bundle / "styles" / f"{name}.safetensors" for name in reference.bank}
    styles = {name: opened.load_style(file)[1] for name, file in files.items() if file.is_file()}
    if not styles:
        raise BundleError(f"{bundle} has no style to verify", "export it again")
    runtimes = [OpenVino(bundle, precision) for precision in dict.fromkeys(("f32", best_precision()))]
    rows = []
    for style, filters in styles.items():
        expected = [_in_torch(reference, picture, style) for picture in packed]
        for runtime in runtimes:
            found = [runtime.paint(picture, filters) for picture in packed]
            rows.append(_compare(style, runtime, found, expected, tolerance, least_psnr))
    return rows


def check(rows: Sequence[Row]) -> None:
    """Raise for rows that failed: `BundleError` where fp32 differs, `BackendError` where only the device does."""
    failed = [row for row in rows if not row.ok]
    if not failed:
        return
    wrong = [row for row in failed if row.precision == "f32"]
    names = ", ".join(dict.fromkeys(row.style for row in wrong or failed))
    if wrong:
        raise BundleError(f"the bundle does not paint what torch paints: {names}", "export it again")
    raise BackendError(
        f"in {failed[0].precision} this machine paints visibly otherwise than it was trained: {names}",
        "train it for longer, or paint on a machine with another precision",
    )


def table(rows: Sequence[Row]) -> str:
    """The rows as text, one a line, differences in 0..255."""
    cells = [("style", "runtime", "max", "mean", "PSNR", "limit", "")]
    cells += [
        (
            row.style,
            f"{row.runtime} {row.precision}",
            f"{row.largest:.4f}",
            f"{row.mean:.4f}",
            f"{row.psnr:.1f} dB",
            row.limit,
            "ok" if row.ok else "FAILED",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    sides = "<<>>><<"
    lines = ("  ".join(f"{c:{s}{w}}" for c, s, w in zip(line, sides, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


class OpenVino:
    """The three nets of a bundle, one after the other, on the CPU; ``precision`` is ``f32`` or ``bf16``."""

    name = "openvino"

    def __init__(self, bundle: Path, precision: str) -> None:
        self.precision = precision
        core = ov.Core()
        options = {"INFERENCE_PRECISION_HINT": precision}
        try:
            self._nets = {net: core.compile_model(bundle / f"{net}.onnx", "CPU", options) for net in NETS}
        except RuntimeError as error:
            raise BackendError(f"OpenVINO cannot load the nets of {bundle}: {_first_line(error)}") from error

    def paint(self, packed: Tensor, filters: Filters) -> Tensor:
        """A packed picture ``(1, 24, h, w)`` painted at full strength: RGB ``(1, 3, 4 h, 4 w)``, not clamped."""
        maps = self._run("encoder", packed=widened(packed).contiguous().numpy())
        styled = self._run("bank", **maps, **filters, strength=np.ones((1, 1, 1, 1), np.float32))
        painted = self._run("decoder", **{name.removesuffix("_out"): value for name, value in styled.items()})
        return _without_margin(torch.from_numpy(painted["packed"]))

    def _run(self, net: str, **inputs: Any) -> Mapping[str, Any]:
        try:
            found = self._nets[net](inputs)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO cannot run the {net}: {_first_line(error)}") from error
        return {output.get_any_name(): np.array(value) for output, value in found.items()}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _as_shipped(network: StyleBankNet) -> StyleBankNet:
    """A copy in fp32 on the CPU whose filters are rounded as a bundle keeps them."""
    network = deepcopy(network).cpu().float().eval()
    with torch.no_grad():
        for value in network.bank.parameters():
            value.copy_(value.half())
    return network


def _in_torch(network: StyleBankNet, packed: Tensor, style: str) -> Tensor:
    with torch.no_grad():
        painted: Tensor = network(widened(packed), [style])
    return _without_margin(painted)


def _without_margin(packed: Tensor) -> Tensor:
    cut = MARGIN // 4
    return losses.unpack_rgb(packed[..., cut:-cut, cut:-cut])


def _cut(picture: Tensor) -> Tensor:
    height, width = (side // STRIDE * STRIDE for side in picture.shape[1:])
    if not height or not width:
        raise ConfigError(f"a picture of {picture.shape[2]} x {picture.shape[1]} pixels is too small to verify with")
    return picture[:, :height, :width]


def _compare(
    style: str, runtime: OpenVino, found: list[Tensor], expected: list[Tensor], tolerance: float, least_psnr: float
) -> Row:
    difference = torch.cat([(a - b).abs().flatten() for a, b in zip(found, expected, strict=True)]).double()
    largest, mean = float(difference.max()), float(difference.mean())
    psnr = float(-10 * difference.square().mean().log10())
    exact = runtime.precision == "f32"
    return Row(
        style=style,
        runtime=runtime.name,
        precision=runtime.precision,
        largest=255 * largest,
        mean=255 * mean,
        psnr=psnr,
        limit=f"max <= {255 * tolerance:.3g}" if exact else f"PSNR >= {least_psnr:g} dB",
        ok=largest <= tolerance if exact else psnr >= least_psnr,  # False for NaN
    )
