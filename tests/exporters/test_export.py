"""From torch to a bundle that the engine paints with."""

import json
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import openvino as ov
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")
onnx = pytest.importorskip("onnx", reason="export needs onnx: pip install 'allaprima[train]'")

from allaprima.exporters.export import FoldedDecoder, export_bundle, load_bundle, paint_pictures, save_previews  # noqa: E402
from allaprima.exporters.networks import Generator, PaperStyleBank, pack, unpack  # noqa: E402
from allaprima.realtime.backends.graph import levels, packed_matrix, to_bt709  # noqa: E402
from allaprima.realtime.bundle import NETS, Bundle, StyleCard  # noqa: E402
from allaprima.realtime.errors import BundleError  # noqa: E402
from allaprima.realtime.frame import Color  # noqa: E402
from allaprima.realtime.stylizer import Stylizer  # noqa: E402


@pytest.fixture(scope="module")
def generator() -> Any:
    torch.manual_seed(0)
    generator = Generator(["ink", "wax"], deep=16, fine=8).eval()
    with torch.no_grad():
        for parameter in generator.bank["wax"].values():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        for value in [*generator.bank["ink"].values(), *generator.bank["wax"].values()]:
            value.copy_(value.half())  # as the bundle will store them
        generator.decoder.bias.copy_(torch.linspace(-0.3, 0.3, 6))
        for name, parameter in generator.named_parameters():
            if "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)  # equal tensors would become one in a file
    return generator


def export(generator: Any, folder: Path, **changes: Any) -> Path:
    cards = {"ink": StyleCard(name="ink", title="Ink", strength=0.9), "wax": StyleCard(name="wax")}
    settings: dict[str, Any] = {"name": "test", "version": "3", "default_style": "wax", "training": {"steps": 7}}
    settings |= changes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_bundle(generator, settings.pop("cards", cards), folder, **settings)
    return folder


@pytest.fixture(scope="module")
def bundle(generator: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle(export(generator, tmp_path_factory.mktemp("out") / "deep" / "bundle"))


def infer(bundle: Bundle, net: str, **inputs: Any) -> dict[str, Any]:
    model = ov.Core().compile_model(bundle.path / f"{net}.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = model({name: value.detach().numpy() for name, value in inputs.items()})
    return {output.get_any_name(): torch.from_numpy(np.array(value)) for output, value in found.items()}


def test_the_bundle_opens_and_its_styles_load(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.name, manifest.version, manifest.default_style) == ("test", "3", "wax")
    assert manifest.training == {"steps": 7}
    assert [(s.card.name, s.card.title, s.card.strength) for s in bundle.styles()] == [
        ("ink", "Ink", 0.9),
        ("wax", "", 1),
    ]
    for file in bundle.style_files().values():
        bundle.load_style(file)
    assert bundle.path.stat().st_mode & 0o777 == 0o755
    assert sorted(p.name for p in bundle.path.iterdir()) == [
        "bank.onnx", "decoder.onnx", "encoder.onnx", "manifest.json", "styles",
    ]  # fmt: skip


@pytest.mark.parametrize(("height", "width"), [(24, 40), (16, 24), (2, 2)])
def test_the_nets_compute_what_torch_computes_at_any_size(
    generator: Any, bundle: Bundle, height: int, width: int
) -> None:
    packed = torch.randn(1, 24, height, width, generator=torch.Generator().manual_seed(1))
    filters = dict(generator.bank["wax"].items())
    with torch.no_grad():
        deep, fine = generator.features(packed)
        styled = generator.apply_filters((deep, fine), filters, 0.7)
        painted = generator.decoder(*styled)
    encoded = infer(bundle, "encoder", packed=packed)
    banked = infer(bundle, "bank", deep=deep, fine=fine, strength=torch.full((1, 1, 1, 1), 0.7), **filters)
    decoded = infer(bundle, "decoder", deep=styled[0], fine=styled[1])
    expected = {"deep": deep, "fine": fine, "deep_out": styled[0], "fine_out": styled[1], "packed": painted}
    for name, value in (encoded | banked | decoded).items():
        torch.testing.assert_close(value, expected.pop(name), atol=1e-3, rtol=1e-3)
    assert not expected


def test_the_folded_decoder_is_the_decoder(generator: Any) -> None:
    deep, fine = torch.randn(1, 16, 4, 5), torch.randn(1, 8, 4, 5)
    torch.testing.assert_close(FoldedDecoder(generator.decoder)(deep, fine), generator.decoder(deep, fine))


COLORS = {
    "bt709": Color(matrix=1, range=1),
    "bt709-full": Color(matrix=1, range=2),
    "bt601": Color(matrix=6, range=1),
    "bt601-full": Color(matrix=6, range=2),
}


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("color", COLORS.values(), ids=COLORS)
@pytest.mark.parametrize("style", ["ink", "wax"])
def test_the_engine_paints_what_the_generator_paints(
    generator: Any, bundle: Bundle, tiny: ModuleType, style: str, color: Color
) -> None:
    """In every color coding: the matrix of a BT.601 stream is a convolution right behind the decoder."""
    frame = tiny.frame((96, 64), color=color)
    painted = Stylizer(style, bundle=bundle, strength=1.0, steadiness=0.0)(frame)
    padded = [
        np.pad(plane.astype(np.float32), side, "edge") for plane, side in zip(frame.planes, (16, 8, 8), strict=True)
    ]
    y, u, v = map(torch.from_numpy, padded)
    middle, luma, chroma = levels(color)
    packed = pack(((y - middle) / luma)[None, None], torch.stack([(u - 128) / chroma, (v - 128) / chroma])[None])
    matrix = to_bt709(color, 64)
    with torch.no_grad():
        output = recolor(generator(recolor(packed, matrix), [style]), np.linalg.inv(matrix))
    bright, colored = unpack(output[..., 4:-4, 4:-4])
    expected = [bright[0, 0] * luma + middle, colored[0, 0] * chroma + 128, colored[0, 1] * chroma + 128]
    low, tops = (0, (255, 255, 255)) if color.full_range else (16, (235, 240, 240))
    for plane, wanted, top in zip(painted.planes, expected, tops, strict=True):
        assert plane.std() > 5
        assert np.abs(plane - wanted.clamp(low, top).numpy()).max() <= 2


def recolor(packed: Any, matrix: Any) -> Any:
    return torch.einsum("oi,nihw->nohw", torch.from_numpy(packed_matrix(matrix)), packed)


@pytest.mark.parametrize("kind", ["ours", "paper"])
def test_no_net_gathers_channels(bundle: Bundle, tmp_path: Path, kind: str) -> None:
    """OpenVINO merges such a gather into a 1x1 convolution behind it with the order inverted.

    The engine sets one behind the decoder (the matrix of a stream that is not BT.709), and luma comes out
    shuffled.  Of shapes a net may gather.
    """
    folder = bundle.path
    if kind == "paper":
        paper = PaperStyleBank(["ink"], width=4)
        folder = export(paper, tmp_path / "paper", cards={"ink": StyleCard(name="ink")}, default_style="ink")
    for net in NETS:
        graph = onnx.load(str(folder / f"{net}.onnx")).graph
        sources = {output: node.op_type for node in graph.node for output in node.output}
        gathered = [sources.get(node.input[0], "data") for node in graph.node if node.op_type == "Gather"]
        assert set(gathered) <= {"Shape"}, net


def test_a_bundle_loads_back_as_the_generator_it_was(generator: Any, bundle: Bundle) -> None:
    again = load_bundle(bundle.path)
    assert list(again.bank) == ["ink", "wax"]
    packed = torch.randn(1, 24, 8, 12)
    with torch.no_grad():
        for style in ("ink", "wax", None):
            torch.testing.assert_close(again(packed, [style]), generator(packed, [style]), atol=1e-4, rtol=1e-4)


def test_a_bundle_of_other_nets_cannot_be_trained_on(tiny_bundle: Path) -> None:
    with pytest.raises(BundleError, match="not those that this program trains"):
        load_bundle(tiny_bundle)


@pytest.mark.usefixtures("exact")
def test_the_papers_network_runs_in_the_engine_too(tiny: ModuleType, tmp_path: Path) -> None:
    paper = PaperStyleBank(["ink"], width=4).eval()
    folder = export(paper, tmp_path / "paper", cards={"ink": StyleCard(name="ink")}, default_style="ink")
    for steadiness in (0.0, 1.0):
        painted = Stylizer(bundle=folder, steadiness=steadiness)(tiny.frame((96, 64)))
        assert painted.size == (96, 64)


def test_a_bundle_that_is_there_is_replaced_whole(generator: Any, tmp_path: Path) -> None:
    folder = export(generator, tmp_path / "bundle")
    (folder / "styles/old.safetensors").touch()
    export(generator, folder, version="4", cards={"wax": StyleCard(name="wax")})
    assert Bundle(folder).manifest.version == "4"
    assert list(Bundle(folder).style_files()) == ["wax"]
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_an_export_that_fails_leaves_the_old_bundle(generator: Any, tmp_path: Path) -> None:
    folder = export(generator, tmp_path / "bundle")
    with pytest.raises(KeyError):
        export(generator, folder, version="4", cards={"oil": StyleCard(name="oil")})
    assert Bundle(folder).manifest.version == "3"
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_a_style_of_another_export_is_foreign_only_when_the_nets_differ(
    generator: Any, bundle: Bundle, tmp_path: Path
) -> None:
    again = Bundle(export(generator, tmp_path / "again"))
    assert again.generator == bundle.generator, "the same nets give the same files"
    other = Generator(["wax"], deep=16, fine=8)
    foreign = Bundle(export(other, tmp_path / "other", cards={"wax": StyleCard(name="wax")}))
    assert foreign.generator != bundle.generator


def test_the_manifest_is_plain_json_with_a_line_for_each_key(bundle: Bundle) -> None:
    text = (bundle.path / "manifest.json").read_text()
    assert json.loads(text)["format"] == 1
    assert text.endswith("}\n")


def test_pictures_are_painted_to_bytes(generator: Any) -> None:
    pictures = [torch.randint(0, 256, (3, 32, 40), dtype=torch.uint8) for _ in range(2)]
    painted = paint_pictures(generator, pictures, "ink")
    assert [(p.shape, p.dtype) for p in painted] == [((32, 40, 3), np.uint8)] * 2
    plain = paint_pictures(generator, pictures, None)
    assert not np.array_equal(painted[0], plain[0])


def test_every_style_gets_a_preview(generator: Any, tmp_path: Path) -> None:
    save_previews(generator, torch.randint(0, 256, (3, 37, 45), dtype=torch.uint8), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ink.jpg", "wax.jpg"]
