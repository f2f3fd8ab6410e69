"""The loss network: VGG-16, VGG-19, or a net of their layout, from a file."""

import pickle
import struct
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from allaprima.realtime.errors import ConfigError

Features = dict[str, Tensor]
STYLE_LAYERS = ("1_2", "2_2", "3_2", "3_4")

CONTENT_LAYER = "3_3"
"""Layers by their names in VGG-19; what another net has in their stead, `LossNetwork.named` says."""
DEPTHS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions in the five blocks of VGG-16 and VGG-19; a pool ends each block."""
WIDTHS = (64, 128, 256, 512, 512)
"""Channels of their blocks."""
MEAN = (123.68, 116.779, 103.939)
"""Mean RGB, of 255, that the original VGG nets subtract."""
TORCHVISION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation, of 1, that torchvision's subtract and divide by."""
USABLE = "plain vgg16 and vgg19 of torchvision can be used"
SAVE = "torch.save(model.state_dict(), path) writes a file that can be used"
DAMAGED = (
    *(OSError, EOFError, SafetensorError, RuntimeError, ValueError, TypeError, LookupError, AttributeError),
    *(AssertionError, struct.error),
)
"""What torch and safetensors raise at damaged files, beside `pickle.UnpicklingError`."""


class LossNetwork:
    """The first layers of VGG-16, VGG-19, or a distilled net of their layout, from a file.

    Two layouts are known.  Torchvision's: tensors ``features.0.weight`` and so on, a state dict in a
    ``.pth`` or the same in a ``.safetensors``; ``classifier`` is passed over; widths are VGG's own.  Ours:
    a ``.safetensors`` with ``conv1_1.weight`` and so on, of any width.  It takes the mean off as the original
    VGG does, unless there is a ``pre`` convolution: then it takes pictures as they are and pads by reflection.

    A net whose third block has three convolutions is a VGG-16, with four a VGG-19.

    Args:
        path: the file.  A ``.safetensors`` by its name, anything else is opened as torch's own format,
            without running what may be in it.
        deepest: the layer (of VGG-19) that must be there.
        device: where the weights (bf16) lie, and where pictures must.

    Raises `ConfigError` for a file that is not such a net or ends before ``deepest``.
    """

    def __init__(self, path: Path, deepest: str = "3_4", device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        tensors = _read(path)
        self._from_torchvision = any(name.startswith("features.") for name in tensors)
        self._distilled = "pre.weight" in tensors
        if self._from_torchvision:
            tensors = _renamed(tensors)
        self._depths = DEPTHS[19 if "conv3_4.weight" in tensors else 16]
        self.layers = _checked_layers(tensors, self._depths, path, self._from_torchvision)
        """The layers that the file has, in order, by the names of `Features`."""
        if self.named(deepest) not in self.layers:
            raise ConfigError(
                f"{path.name} is not a whole VGG-16 or VGG-19: {self._first_missing()} is missing",
                f"it is needed up to relu{self.named(deepest)}",
            )
        self._deepest = deepest
        kept = {f"{name}.{part}" for name in ("pre", *map("conv{}".format, self.layers)) for part in ("weight", "bias")}
        self._weights = {k: v.to(self.device, torch.bfloat16) for k, v in tensors.items() if k in kept}
        gain, offset = self._gain_and_offset()
        self._gain = torch.tensor(gain, device=device).view(1, -1, 1, 1)
        self._offset = torch.tensor(offset, device=device).view(1, -1, 1, 1)

    @property
    def style_layers(self) -> tuple[str, ...]:
        """What this net has for `STYLE_LAYERS`."""
        return tuple(map(self.named, STYLE_LAYERS))

    @property
    def content_layer(self) -> str:
        """What this net has for `CONTENT_LAYER`."""
        return self.named(CONTENT_LAYER)

    def named(self, layer: str) -> str:
        """The layer that stands for ``layer`` of VGG-19 here: itself, or the last of a block that is shorter."""
        block, place = map(int, layer.split("_"))
        return f"{block}_{min(place, self._depths[block - 1])}"

    def __call__(self, rgb: Tensor, last: str | None = None) -> Features:
        """ReLU features (bf16) of ``rgb`` ``(N, 3, H, W)`` in 0..1, by layer, up to ``last`` (else ``deepest``).

        A name of VGG-19's is taken as `named` says; the features have this net's own names.
        """
        last = self.named(last or self._deepest)
        x = (rgb * self._gain - self._offset).to(torch.bfloat16)
        if self._distilled:
            x = self._conv("pre", x, 0)
        x = x.contiguous(memory_format=torch.channels_last)
        found: Features = {}
        for layer in self.layers:
            if found and layer.endswith("_1"):
                x = F.max_pool2d(x, 2)
            x = found[layer] = F.relu(self._conv(f"conv{layer}", x, 1))
            if layer == last:
                return found
        raise ValueError(f"there is no layer {last}; the net ends at {self.layers[-1]}")

    def _conv(self, name: str, x: Tensor, padding: int) -> Tensor:
        if padding and self._distilled:
            x, padding = F.pad(x, (1, 1, 1, 1), mode="reflect"), 0
        return F.conv2d(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], padding=padding)

    def _gain_and_offset(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if self._distilled:
            return (1.0,), (0.0,)
        if self._from_torchvision:
            pairs = list(zip(*TORCHVISION, strict=True))
            return tuple(1 / deviation for _, deviation in pairs), tuple(mean / deviation for mean, deviation in pairs)
        return (255.0,), MEAN

    def _first_missing(self) -> str:
        following = _names(self._depths)[len(self.layers)]
        return f"{_torchvision(self._depths)[following] if self._from_torchvision else f'conv{following}'}.weight"


def _names(depths: tuple[int, ...]) -> list[str]:
    return [f"{block}_{place}" for block, depth in enumerate(depths, 1) for place in range(1, depth + 1)]


def _torchvision(depths: tuple[int, ...]) -> dict[str, str]:
    """Our names of the layers to torchvision's, which counts convolutions, ReLUs and pools."""
    return {name: f"features.{2 * index + int(name[0]) - 1}" for index, name in enumerate(_names(depths))}


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that may be a VGG.  Raises `ConfigError` where it is surely not."""
    try:
        path.open("rb").close()
    except OSError as error:
        hint = "check the path and its permissions"
        raise ConfigError(f"loss network {path} cannot be read: {error.strerror}", hint) from error
    try:
        if path.suffix.lower() == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigError(f"loss network {path} cannot be read: it is not a file of tensors alone", SAVE) from error
    except DAMAGED as error:
        hint = "copy or download it again"
        raise ConfigError(f"loss network {path} cannot be read: it is damaged or cut short", hint) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(f"loss network {path} holds something else than tensors by their names", SAVE)
    tensors: dict[str, Tensor] = {str(name): value for name, value in state.items()}
    if any(name.endswith("running_mean") for name in tensors):
        raise ConfigError(f"{path.name} is a net with batch normalisation, not a plain VGG-16 or VGG-19", USABLE)
    if not {"features.0.weight", "conv1_1.weight"} & tensors.keys():
        raise ConfigError(
            f"{path.name} is not a VGG-16 or VGG-19: it has neither features.0.weight nor conv1_1.weight", USABLE
        )
    return tensors


def _renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Torchvision's tensors by our names."""
    depths = DEPTHS[19 if "features.16.weight" in tensors else 16]  # the place of a pool in VGG-16
    return {
        f"conv{ours}.{part}": tensors[f"{theirs}.{part}"]
        for ours, theirs in _torchvision(depths).items()
        for part in ("weight", "bias")
        if f"{theirs}.{part}" in tensors
    }


def _checked_layers(
    tensors: dict[str, Tensor], depths: tuple[int, ...], path: Path, true_widths: bool
) -> tuple[str, ...]:
    """The layers from the first to the last before one that is missing, each of the shape it must have."""
    layers: list[str] = []
    before = 3
    for layer in _names(depths):
        weight, bias = (tensors.get(f"conv{layer}.{part}") for part in ("weight", "bias"))
        if weight is None or bias is None:
            break
        width = WIDTHS[int(layer[0]) - 1] if true_widths else bias.numel()
        if weight.shape != (width, before, 3, 3) or bias.shape != (width,):
            raise ConfigError(
                f"{path.name} is not a VGG-16 or VGG-19: the convolution of layer {layer} is "
                f"{' x '.join(map(str, weight.shape))}, not {width} x {before} x 3 x 3",
                USABLE,
            )
        layers.append(layer)
        before = width
    return tuple(layers)
