"""From a trained `Generator` to a bundle and back: three ONNX nets, a manifest, one file for each style."""

import copy
import json
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from allaprima.exporters import losses
from allaprima.exporters.networks import Decoder, Generator, StyleBankNet, even, repack
from allaprima.exporters.training import paint
from allaprima.realtime.bundle import FORMAT, NETS, Bundle, StyleCard, file_hash, write_style
from allaprima.realtime.errors import BundleError

OPSET = 17


class Bank(nn.Module):
    """The bank as a net of its own: the filters of one style are inputs, not weights."""

    def __init__(self, network: StyleBankNet, names: list[str]) -> None:
        super().__init__()
        self.network, self.names = [network], names  # in a list: its weights are not the bank's

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """``inputs``: the feature maps, the strength, the filters in the order of their names."""
        (network,) = self.network
        count = len(network.maps)
        filters = dict(zip(self.names, inputs[count + 1 :], strict=True))
        return network.apply_filters(inputs[:count], filters, inputs[count])


class FoldedDecoder(nn.Module):
    """A `Decoder` whose last convolution is a constant, not evened out anew at each run."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        weight, bias = (tensor.detach() for tensor in even(decoder.kernel, decoder.bias))
        self.last = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        self.last.weight, self.last.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, deep: Tensor, fine: Tensor) -> Tensor:
        return repack(self.last(self.decoder.half(deep, fine)))


def export_bundle(
    generator: StyleBankNet,
    cards: Mapping[str, StyleCard],
    folder: Path,
    *,
    name: str,
    version: str,
    default_style: str,
    training: dict[str, str | int | float],
) -> None:
    """Write the bundle to ``folder``, replacing one that is there; ``cards`` name the styles to include."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        filters = generator.bank[default_style]
        export_nets(generator, part)
        hashes = {net: file_hash(part / f"{net}.onnx") for net in NETS}
        manifest = {
            "format": FORMAT,
            "name": name,
            "version": version,
            "licence": "Apache-2.0",
            "default_style": default_style,
            "filters": {k: list(v.shape) for k, v in sorted(filters.items())},
            "sha256": hashes,
            "training": training,
        }
        (part / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        (part / "styles").mkdir()
        owner = hashes["encoder"][:16] + hashes["decoder"][:16]
        for style, card in cards.items():
            arrays = {k: v.detach().numpy().astype(np.float16) for k, v in generator.bank[style].items()}
            card = card.model_copy(update={"name": style, "generator": owner})
            write_style(part / "styles" / f"{style}.safetensors", card, arrays)
        part.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def export_nets(network: StyleBankNet, folder: Path) -> None:
    """Write ``encoder.onnx``, ``bank.onnx`` and ``decoder.onnx``; height and width stay open."""
    network = copy.deepcopy(network).cpu().float().eval()
    packed = torch.zeros(1, 24, 16, 24)  # any height and width: these axes are dynamic
    with torch.no_grad():
        maps = network.features(packed)
    filters = next(iter(network.bank.values()))
    names = sorted(filters.keys())
    values = [filters[n].detach() for n in names]
    decoder = network.decoder
    found = [f"{name}_out" for name in network.maps]
    _export(network.encoder, (packed,), folder / "encoder.onnx", ["packed"], list(network.maps))
    _export(
        Bank(network, names),
        (*maps, torch.ones(1, 1, 1, 1), *values),
        folder / "bank.onnx",
        [*network.maps, "strength", *names],
        found,
    )
    _export(
        FoldedDecoder(decoder).eval() if isinstance(decoder, Decoder) else decoder,
        maps,
        folder / "decoder.onnx",
        list(network.maps),
        ["packed"],
    )


def _export(net: nn.Module, example: tuple[Tensor, ...], path: Path, inputs: list[str], outputs: list[str]) -> None:
    pictures = {"packed", "deep", "fine", "deep_out", "fine_out"}
    axes = {name: {2: f"{name}_h", 3: f"{name}_w"} for name in {*inputs, *outputs} & pictures}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs onnxscript
        warnings.filterwarnings("ignore", "ONNX export mode is set", UserWarning)  # said of any instance norm
        torch.onnx.export(
            net,
            example,
            str(path),
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )


def load_bundle(folder: Path) -> Generator:
    """The generator of a bundle with its shipped styles, for training more of them; inverse of `export_bundle`.

    Raises `BundleError` for a bundle whose nets are of another design than `networks.py`.
    """
    import onnx
    from onnx import numpy_helper

    bundle = Bundle(folder)
    shipped = {name: file for name, file in bundle.style_files().items() if file.parent == folder / "styles"}
    tensors = {}
    for net in ("encoder", "decoder"):
        initializers = onnx.load(str(folder / f"{net}.onnx")).graph.initializer
        tensors[net] = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in initializers}
    decoder = {name.removeprefix("decoder."): value for name, value in tensors["decoder"].items()}
    try:
        decoder["kernel"], decoder["bias"] = decoder.pop("last.weight"), decoder.pop("last.bias")
        deep = len(tensors["encoder"]["norm.weight"])
        generator = Generator(list(shipped), deep, len(tensors["encoder"]["head.bias"]) - deep)
        generator.encoder.load_state_dict(tensors["encoder"])
        generator.decoder.load_state_dict(decoder)
        for name, file in shipped.items():
            filters = {k: torch.from_numpy(v.copy()) for k, v in bundle.load_style(file)[1].items()}
            generator.bank[name].load_state_dict(filters)
    except (KeyError, RuntimeError) as error:
        raise BundleError(
            f"the nets of {folder} are not those that this program trains", "give a bundle that it exported"
        ) from error
    return generator.to(memory_format=torch.channels_last).eval()


def paint_pictures(generator: StyleBankNet, pictures: list[Tensor], style: str | None) -> list[NDArray[np.uint8]]:
    """Paint ``(3, H, W)`` uint8 RGB pictures (sides multiples of 8) in one style; ``(H, W, 3)`` uint8 each."""
    batch = torch.stack(pictures).float() / 255
    with torch.no_grad():
        packed = paint(generator, losses.pack_rgb(batch), [style] * len(pictures))
    painted = (losses.unpack_rgb(packed).clamp(0, 1) * 255).round().to(torch.uint8)
    return [picture.permute(1, 2, 0).numpy() for picture in painted]


def save_previews(generator: StyleBankNet, picture: Tensor, folder: Path) -> None:
    """Paint ``picture`` in every style, as ``STYLE.jpg`` beside the style's file."""
    height, width = (side // 8 * 8 for side in picture.shape[1:])
    for style in generator.bank:
        (painted,) = paint_pictures(generator, [picture[:, :height, :width]], style)
        cv2.imwrite(str(folder / f"{style}.jpg"), painted[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
