"""Whether an exported bundle paints what torch paints: the same pictures through both, style by style.

Torch computes in fp32 on the CPU.  Against it stand

* the bundle's three ONNX nets, one after the other in OpenVINO: in fp32, which tells whether the export is
  right, and in the precision that the engine uses on this machine, which tells whether that is good enough;
* the engine itself, on video in BT.601 and in BT.709: it joins the nets and the color arithmetic into one
  graph, and what is right alone can be optimised wrongly together.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import torch
import torch.nn.functional as F
from torch import Tensor

from allaprima.exporters import losses
from allaprima.exporters.export import load_bundle
from allaprima.exporters.motion import MARGIN, widened
from allaprima.exporters.networks import STRIDE, StyleBankNet, pack, unpack
from allaprima.realtime.backends import cpu
from allaprima.realtime.bundle import NETS, Bundle, Filters
from allaprima.realtime.errors import BackendError, BundleError, ConfigError
from allaprima.realtime.frame import Color, Frame
from allaprima.realtime.rgb import VIDEO, Rgb
from allaprima.realtime.stylizer import Stylizer

TOLERANCE = 1e-3
"""Largest difference that fp32 may show, in pictures in 0..1: a quarter of a step of 8 bits."""
LEAST_PSNR = 40.0
"""Decibels that a lower precision must reach: an error of 2.6 of 255, as of a good video codec.

In bf16 a right export reaches 54 to 61 on photos, and 48 on a black picture, where instance norm enlarges
any rounding.
"""
LEAST_ENGINE_PSNR = 35.0
"""Decibels that the engine must reach, in RGB of 8 bits.

In bf16 a right export reaches 46 to 51 on photos, where rounding to bytes sets the end, and 37 on one dimmed to
a deviation of 12.  One whose luma came out shuffled in cells of 4x4 pixels reached 19 to 29 on photos.
"""
LEAST_CONTRAST = 12.0
"""Standard deviation of luma, in 0..255, from which on a picture is given to the engine.

Of a duller one instance norm enlarges any rounding, and below 6 the engine lets the picture itself through.
"""
COLORS = {"BT.601": Color(6, 6, 6, 1), "BT.709": VIDEO}
"""In limited range, as nearly all video is; below 720 lines it is mostly BT.601."""


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
    least_engine_psnr: float = LEAST_ENGINE_PSNR,
    network: StyleBankNet | None = None,
) -> list[Row]:
    """Paint each picture in each style of a bundle in torch and in every runtime there is here, and compare.

    Of the nets RGB is compared that has not been clamped to what a screen shows; of the engine what its
    frames show, in 8 bits, with torch's painting of the frame's own bytes brought to such a frame.

    Args:
        bundle: its folder; only styles in there count, not the user's own.
        pictures: ``(3, H, W)`` uint8 RGB; what is over a multiple of 8 is cut off at the right and below.
        tolerance: how large a difference may be in fp32, in pictures in 0..1.
        least_psnr: the decibels that a lower precision must reach.
        least_engine_psnr: the decibels that the engine must reach.
        network: what the bundle was exported from.  Not given: its weights are read from the bundle, so that
            the arithmetic is checked, but not whether the weights are the right ones.

    Returns:
        Rows by style, and for each style by runtime: the nets, fp32 first, then the engine in each of `COLORS`.
        Pictures of less than `LEAST_CONTRAST` are left out of the engine's rows.

    Raises:
        ConfigError: there is no picture, or one is smaller than 8 x 8.
        BundleError: the bundle is damaged, empty, or of another design than `networks.py`.
        BackendError: OpenVINO cannot load or run a net.
    """
    if not pictures:
        raise ConfigError("there is no picture to verify with")
    pictures = [_cut(picture) for picture in pictures]
    packed = [losses.pack_rgb(picture[None].float() / 255) for picture in pictures]
    reference = load_bundle(bundle) if network is None else _as_shipped(network)
    opened = _Shipped(bundle)
    files = {name: bundle / "styles" / f"{name}.safetensors" for name in reference.bank}
    styles = {name: opened.load_style(file)[1] for name, file in files.items() if file.is_file()}
    if not styles:
        raise BundleError(f"{bundle} has no style to verify", "export it again")
    runtimes = [OpenVino(bundle, precision) for precision in dict.fromkeys(("f32", cpu.best_precision()))]
    vivid = [a for a, b in zip(pictures, packed, strict=True) if 127.5 * float(b[:, :16].std()) >= LEAST_CONTRAST]
    engines = [Engine(opened, color, vivid) for color in COLORS] if vivid else []
    rows = []
    for style, filters in styles.items():
        expected = [losses.unpack_rgb(_in_torch(reference, picture, style)) for picture in packed]
        for runtime in runtimes:
            found = [runtime.paint(picture, filters) for picture in packed]
            exact = tolerance if runtime.precision == "f32" else None
            rows.append(_compare(style, runtime, found, expected, exact, least_psnr))
        for engine in engines:
            found = [engine.paint(frame, style) for frame in engine.frames]
            both = zip(engine.packed, engine.frames, strict=True)
            expected = [engine.shown(_in_torch(reference, picture, style), frame) for picture, frame in both]
            rows.append(_compare(style, engine, found, expected, None, least_engine_psnr))
    return rows


def check(rows: Sequence[Row]) -> None:
    """Raise for rows that failed.

    `BundleError` where the nets differ in fp32 or only the engine does, `BackendError` where the device does.
    """
    failed = [row for row in rows if not row.ok]
    nets = [row for row in failed if row.runtime == OpenVino.name]
    wrong = [row for row in nets if row.precision == "f32"]
    names = ", ".join(dict.fromkeys(row.style for row in wrong or nets or failed))
    if wrong:
        raise BundleError(f"the bundle does not paint what torch paints: {names}", "export it again")
    if nets:
        raise BackendError(
            f"in {nets[0].precision} this machine paints visibly otherwise than it was trained: {names}",
            "train it for longer, or paint on a machine with another precision",
        )
    if failed:
        where = " and ".join(dict.fromkeys(row.runtime.removeprefix("engine ") for row in failed))
        raise BundleError(
            f"on {where} video the engine does not paint what torch paints, though each net does: {names}",
            "export it again with this version of the program",
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
        return losses.unpack_rgb(_without_margin(torch.from_numpy(painted["packed"])))

    def _run(self, net: str, **inputs: Any) -> Mapping[str, Any]:
        try:
            found = self._nets[net](inputs)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO cannot run the {net}: {_first_line(error)}") from error
        return {output.get_any_name(): np.array(value) for output, value in found.items()}


class Engine:
    """The engine itself, on video of one of `COLORS`: every frame on its own, at full strength."""

    def __init__(self, bundle: Bundle, color: str, pictures: Sequence[Tensor]) -> None:
        self.name, self.precision = f"engine {color}", cpu.best_precision()
        self._bundle = bundle
        self._stylizers: dict[tuple[int, int], Stylizer] = {}  # each size is a graph of its own
        self._rgb = Rgb()
        frames = [self._rgb.frame(picture.permute(1, 2, 0).numpy()) for picture in pictures]
        self.frames = [replace(frame, color=COLORS[color]) for frame in frames]
        """The bytes of BT.709 also where they are tagged as BT.601: pictures of slightly other colors."""
        self.packed = [_packed(frame) for frame in self.frames]
        """What the frames show, for torch to paint."""

    def paint(self, frame: Frame, style: str) -> Tensor:
        """What the painted frame shows: RGB ``(1, 3, H, W)`` in 0..1, of 8 bits."""
        if frame.size not in self._stylizers:
            self._stylizers[frame.size] = Stylizer(style, bundle=self._bundle, strength=1, steadiness=0, backend="cpu")
        self._stylizers[frame.size].set_style(style)
        return self._shown(self._stylizers[frame.size](frame))

    def shown(self, packed: Tensor, like: Frame) -> Tensor:
        """What torch's packed painting would show as a frame such as ``like``; as `paint`."""
        luma, chroma = _recolored(*unpack(packed), VIDEO, like.color)
        planes = (109.5 * luma[0, 0] + 125.5).clamp(16, 235), *(112 * chroma[0] + 128).clamp(16, 240)
        return self._shown(replace(like, planes=tuple(plane.round().byte().numpy() for plane in planes)))

    def _shown(self, frame: Frame) -> Tensor:
        return torch.from_numpy(self._rgb.array(frame)).permute(2, 0, 1)[None].float() / 255


def _packed(frame: Frame) -> Tensor:
    """A frame of limited range as the nets take it."""
    y, u, v = (torch.from_numpy(np.array(plane)).float()[None, None] for plane in frame.planes)
    return pack(*_recolored((y - 125.5) / 109.5, (torch.cat([u, v], 1) - 128) / 112, frame.color, VIDEO))


def _recolored(luma: Tensor, chroma: Tensor, source: Color, target: Color) -> tuple[Tensor, Tensor]:
    """Luma and chroma by another matrix; the engine's arithmetic written anew, so that its mistakes are seen."""
    matrix = _rgb_to_yuv(target) @ _rgb_to_yuv(source).inverse()
    whole = torch.cat([luma, F.interpolate(chroma, scale_factor=2)], 1)
    whole = torch.einsum("oi,nihw->nohw", matrix, whole)
    return whole[:, :1], F.avg_pool2d(whole[:, 1:], 2)


def _rgb_to_yuv(color: Color) -> Tensor:
    """H.273 equations 38-40, with luma and chroma that span -1..1."""
    kr, kb = color.coefficients(0)
    y, r, b = torch.tensor([[kr, 1 - kr - kb, kb], [1, 0, 0], [0, 0, 1]])
    return torch.stack([2 * y, (b - y) / (1 - kb), (r - y) / (1 - kr)])


class _Shipped(Bundle):
    """A bundle without the user's own styles, which would hide its own of the same name."""

    @property
    def user_styles(self) -> Path:
        return self.path / "styles"


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
    return packed[..., cut:-cut, cut:-cut]


def _cut(picture: Tensor) -> Tensor:
    height, width = (side // STRIDE * STRIDE for side in picture.shape[1:])
    if not height or not width:
        raise ConfigError(f"a picture of {picture.shape[2]} x {picture.shape[1]} pixels is too small to verify with")
    return picture[:, :height, :width]


def _compare(
    style: str,
    runtime: OpenVino | Engine,
    found: Sequence[Tensor],
    expected: Sequence[Tensor],
    tolerance: float | None,
    least_psnr: float,
) -> Row:
    """Judged by the largest difference where there is a ``tolerance``, else by PSNR."""
    difference = torch.cat([(a - b).abs().flatten() for a, b in zip(found, expected, strict=True)]).double()
    largest, mean = float(difference.max()), float(difference.mean())
    psnr = float(-10 * difference.square().mean().log10())
    return Row(
        style=style,
        runtime=runtime.name,
        precision=runtime.precision,
        largest=255 * largest,
        mean=255 * mean,
        psnr=psnr,
        limit=f"PSNR >= {least_psnr:g} dB" if tolerance is None else f"max <= {255 * tolerance:.3g}",
        ok=psnr >= least_psnr if tolerance is None else largest <= tolerance,  # False for NaN
    )
