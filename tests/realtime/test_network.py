"""The joined graph against the three nets one after the other, against the CPU backend, and its half precision."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="joining nets needs onnx")

from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info  # noqa: E402
from onnx.numpy_helper import from_array, to_array  # noqa: E402

from allaprima.kernels.reference import pack  # noqa: E402
from allaprima.realtime import onnx_graph  # noqa: E402
from allaprima.realtime.backends.cpu import CpuBackend  # noqa: E402
from allaprima.realtime.bundle import Bundle, file_hash, shipped_bundle  # noqa: E402
from allaprima.realtime.errors import BackendUnavailable, BundleError, ConfigError  # noqa: E402
from allaprima.realtime.frame import Color  # noqa: E402
from allaprima.realtime.network import half, joined, map_sizes, with_size  # noqa: E402
from allaprima.realtime.onnx_graph import FLOAT, HALF  # noqa: E402

from .. import nets  # noqa: E402

CELLS = (26, 34)
STYLES = [{"starry-night": 1.0}, {"udnie": 0.6, "great-wave": 0.4}]


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle(shipped_bundle())


def picture(seed: int = 0, cells: tuple[int, int] = CELLS) -> Any:
    """A packed picture ``(24, h, w)`` with light and shade."""
    noise = np.random.default_rng(seed).standard_normal((*cells, 24)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, None, 2)
    return np.clip(soft / np.abs(soft).max() + 0.2 * noise, -1, 1).transpose(2, 0, 1)


def masks(bundle: Bundle, cells: tuple[int, int] = CELLS) -> dict[str, Any]:
    left = np.linspace(-1, 2, cells[1], dtype=np.float32).clip(0, 1) * np.ones((cells[0], 1), np.float32)
    return {name: cv2.resize(left, size[::-1]) for name, size in map_sizes(bundle, cells).items()}


def sides(items: Any) -> dict[str, list[Any]]:
    return {i.name: [d.dim_value or d.dim_param for d in i.type.tensor_type.shape.dim] for i in items}


def renew(path: Path, net: str, model: Any) -> Bundle:
    """The bundle with another net."""
    onnx.save(model, path / f"{net}.onnx")
    manifest = path / "manifest.json"
    old = Bundle(path, verify=False).manifest.sha256[net]
    manifest.write_text(manifest.read_text().replace(old, file_hash(path / f"{net}.onnx")))
    return Bundle(path)


# ---- joining ----


def test_the_joined_graph_has_the_inputs_and_the_output_it_promises(shipped: Bundle) -> None:
    one, two = joined(shipped), joined(shipped, 2)
    filters = {f"{key}_0": shape for key, shape in shipped.manifest.filters.items()}
    whole = {"packed": [1, 24, "h", "w"], "strength": [1, 1, 1, 1]}
    assert sides(one.graph.input) == whole | filters
    filters |= {f"{key}_1": shape for key, shape in shipped.manifest.filters.items()}
    assert sides(two.graph.input) == whole | filters | {
        f"mask_{name}": [1, 1, f"{name}_h", f"{name}_w"] for name in ("deep", "fine")
    }
    for model in (one, two):
        assert sides(model.graph.output) == {"painted": [1, 24, "h", "w"]}
        assert onnx_graph.opset_of(model) == 17


@pytest.mark.parametrize("strength", [1.0, 0.4])
@pytest.mark.parametrize("regions", [1, 2])
def test_joined_nets_paint_what_the_nets_paint_one_after_the_other(
    shipped: Bundle, regions: int, strength: float
) -> None:
    given = nets.inputs(shipped, picture(), STYLES[2 - regions :], strength, masks(shipped) if regions == 2 else None)
    found = nets.in_openvino(with_size(joined(shipped, regions), *CELLS), given)
    np.testing.assert_allclose(found, nets.one_after_another(shipped, given), atol=1e-5)


def test_of_two_regions_each_is_its_own_style(shipped: Bundle) -> None:
    model, size = with_size(joined(shipped, 2), *CELLS), map_sizes(shipped, CELLS)
    for side in (0, 1):
        everywhere = {name: np.full(sides, side, np.float32) for name, sides in size.items()}
        both = nets.in_openvino(model, nets.inputs(shipped, picture(), STYLES, masks=everywhere))
        alone = nets.inputs(shipped, picture(), [STYLES[side]])
        np.testing.assert_allclose(both, nets.in_openvino(with_size(joined(shipped), *CELLS), alone), atol=1e-5)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("color", [Color(1, 1, 1, 1), Color(6, 6, 6, 1), Color(1, 1, 1, 2)])
def test_packed_painted_and_unpacked_a_frame_is_what_the_cpu_backend_paints(
    shipped: Bundle, tiny: ModuleType, color: Color
) -> None:
    size, style = (90, 62), {"the-scream": 1.0}
    frame = tiny.frame(size, color=color)
    backend = CpuBackend(size, color)
    given = nets.inputs(shipped, np.zeros((24, 1, 1), np.float32), [style])
    filters = {key: given[f"{key}_0"] for key in shipped.manifest.filters}
    expected = backend.download(backend.load_net(shipped).paint(backend.upload(frame), filters, 0.8), frame)
    how = (color.coefficients(size[1]), color.full_range)
    packed = pack.pack(frame.planes, *how, dtype="float32")
    given = nets.inputs(shipped, packed, [style], 0.8)
    painted = nets.in_openvino(with_size(joined(shipped), *packed.shape[1:]), given)
    for plane, wanted in zip(pack.unpack(painted[0], size, *how, format="yuv420p"), expected.planes, strict=True):
        assert np.abs(plane.astype(int) - wanted).max() <= 1
        assert plane.std() > 5


@pytest.mark.parametrize("regions", [1, 2])
def test_a_bundle_of_other_ops_and_sizes_is_joined_too(tiny_bundle: Path, regions: int) -> None:
    """Its deep map is half as large, its bank passes it by, and it paints x + strength * shift."""
    bundle = Bundle(tiny_bundle)
    model = with_size(joined(bundle, regions), *CELLS)
    assert "Identity" not in {node.op_type for node in model.graph.node}
    halves = {name: np.eye(*size, dtype=np.float32) for name, size in map_sizes(bundle, CELLS).items()}
    packed = picture()
    given = nets.inputs(
        bundle, packed, [{"bright": 1.0}, {"dark": 1.0}][:regions], 0.5, halves if regions == 2 else None
    )
    shift = 0.125 - 0.25 * (halves["fine"] if regions == 2 else 0)
    np.testing.assert_allclose(nets.in_openvino(model, given)[0, :16], packed[:16] + shift, atol=1e-6)


def test_a_bundle_with_one_map_and_strides_is_joined_too(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the paper's network is written in torch")
    from allaprima.exporters.export import export_bundle
    from allaprima.exporters.networks import PaperStyleBank
    from allaprima.realtime.bundle import StyleCard

    export_bundle(
        PaperStyleBank(["ink"], width=4),
        {"ink": StyleCard(name="ink")},
        tmp_path / "paper",
        name="paper", version="1", default_style="ink", training={},
    )  # fmt: skip
    bundle = Bundle(tmp_path / "paper")
    given = nets.inputs(bundle, picture(), [{"ink": 1.0}, {"ink": 0.5}], masks=masks(bundle))
    found = nets.in_openvino(with_size(joined(bundle, 2), *CELLS), given)
    np.testing.assert_allclose(found, nets.one_after_another(bundle, given), atol=1e-5)


def test_what_is_constant_is_worked_out_and_what_nobody_reads_is_left_out(own_bundle: Path) -> None:
    encoder = onnx.load(own_bundle / "encoder.onnx")
    constant = make_node("Constant", [], ["two"], value=from_array(np.full(2, 2, np.float32)))
    doubled = make_node("Mul", ["two", "two"], ["four"])
    added = make_node("Sum", ["four", "four"], ["unread"])
    encoder.graph.node.extend([constant, doubled, added])
    model = joined(renew(own_bundle, "encoder", encoder))
    assert [node.op_type for node in model.graph.node] == [
        "AveragePool", "ConvTranspose", "Sub", "Mul", "Add", "ConvTranspose", "Add"
    ]  # fmt: skip
    assert {weight.name for weight in model.graph.initializer} == {"encoder/ones", "decoder/ones"}


def test_an_older_net_is_brought_to_the_opset_of_the_others(own_bundle: Path) -> None:
    bank = onnx.load(own_bundle / "bank.onnx")
    bank.opset_import[0].version = 13
    model = joined(renew(own_bundle, "bank", bank))
    assert [item.version for item in model.opset_import] == [17]


def bank_without_fine(bank: Any) -> Any:
    del bank.graph.output[1]
    return bank


def bank_with_a_wish(bank: Any) -> Any:
    bank.graph.input.append(make_tensor_value_info("mood", FLOAT, [1]))
    return bank


def bank_that_branches(bank: Any) -> Any:
    part = make_graph([make_node("Identity", ["deep"], ["x"])], "part", [], [make_tensor_value_info("x", FLOAT, None)])
    bank.graph.initializer.append(from_array(np.array(True), "yes"))
    bank.graph.node[0].CopyFrom(make_node("If", ["yes"], ["deep_out"], then_branch=part, else_branch=part))
    return bank


def bank_in_disorder(bank: Any) -> Any:
    bank.graph.node.append(bank.graph.node[1])
    del bank.graph.node[1]
    return bank


def bank_of_other_widths(bank: Any) -> Any:
    bank.graph.node[2].CopyFrom(make_node("Concat", ["fine", "fine"], ["fine_out"], axis=1))
    bank.graph.output[1].CopyFrom(make_tensor_value_info("fine_out", FLOAT, None))
    return bank


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (bank_without_fine, "gives no fine_out"),
        (bank_with_a_wish, "wants 'mood', which nothing gives"),
        (bank_that_branches, "branches or loops"),
        (bank_in_disorder, "reads 'moved', which nothing makes"),
        (bank_of_other_widths, "do not fit together"),
    ],
)
def test_nets_that_do_not_fit_are_named(own_bundle: Path, change: Callable[[Any], Any], says: str) -> None:
    bundle = renew(own_bundle, "bank", change(onnx.load(own_bundle / "bank.onnx")))
    with pytest.raises(BundleError, match=says):
        joined(bundle)


def test_without_onnx_it_says_what_to_install(shipped: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BackendUnavailable) as told:
        joined(shipped)
    assert told.value.hint == "pip install onnx"


# ---- sizes ----


def test_a_size_fixes_every_side_in_the_graph(tiny_bundle: Path) -> None:
    model = with_size(joined(Bundle(tiny_bundle), 2), 10, 14)
    found = sides((*model.graph.input, *model.graph.output, *model.graph.value_info))
    assert found["packed"] == found["painted"] == [1, 24, 10, 14]
    assert (found["mask_deep"], found["mask_fine"]) == ([1, 1, 5, 7], [1, 1, 10, 14])
    assert all(isinstance(side, int) for dims in found.values() for side in dims)
    assert {name for node in model.graph.node for name in node.output} <= found.keys()


def test_the_graph_of_open_size_is_left_as_it_was(shipped: Bundle) -> None:
    model = joined(shipped, 2)
    before = model.SerializeToString()
    half(with_size(half(model), *CELLS))
    assert model.SerializeToString() == before


def test_maps_have_the_sizes_that_the_encoder_gives(shipped: Bundle, tiny_bundle: Path) -> None:
    assert map_sizes(shipped, (46, 88)) == {"deep": (46, 88), "fine": (46, 88)}
    assert map_sizes(Bundle(tiny_bundle), (46, 88)) == {"deep": (23, 44), "fine": (46, 88)}


@pytest.mark.parametrize("cells", [(0, 8), (9, 8)])
def test_a_size_that_cannot_be_painted_is_an_error(tiny_bundle: Path, cells: tuple[int, int]) -> None:
    """The tiny bundle halves the picture and doubles it again, so an odd side does not come back."""
    with pytest.raises(ConfigError, match=f"packed picture of {cells[0]} x {cells[1]}"):
        with_size(joined(Bundle(tiny_bundle)), *cells)


def test_shapes_worked_out_by_the_graph_become_constants(own_bundle: Path) -> None:
    decoder = onnx.load(own_bundle / "decoder.onnx")
    decoder.graph.node[-1].output[0] = "sum"
    decoder.graph.node.extend(
        [make_node("Shape", ["fine"], ["shape"]), make_node("Reshape", ["sum", "shape"], ["packed"])]
    )
    model = joined(renew(own_bundle, "decoder", decoder))
    assert "Shape" in {node.op_type for node in model.graph.node}
    sized = with_size(model, 6, 8)
    assert "Shape" not in {node.op_type for node in sized.graph.node}
    (reshape,) = (node for node in sized.graph.node if node.op_type == "Reshape")
    values = {weight.name: to_array(weight) for weight in sized.graph.initializer}
    assert values[reshape.input[1]].tolist() == [1, 24, 6, 8]


# ---- precision ----


def type_of(model: Any) -> dict[str, int]:
    return onnx_graph.types(onnx_graph.inferred(model))


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("regions", [1, 2])
def test_every_node_of_the_half_graph_computes_in_one_type(shipped: Bundle, regions: int, whole: bool) -> None:
    model = half(with_size(joined(shipped, regions), *CELLS), whole)
    types = type_of(model)
    assert {types[item.name] for item in (*model.graph.input, *model.graph.output)} == {HALF}
    for node in model.graph.node:
        if node.op_type == "Cast":
            continue
        given = [name for i, name in enumerate(node.input) if name and not (node.op_type == "Resize" and i)]
        floats = {types[name] for name in (*given, *node.output)} & {FLOAT, HALF}
        assert floats == {FLOAT if node.op_type == "InstanceNormalization" or not whole else HALF}, node.name
    if not whole:
        ends = {item.name for item in (*model.graph.input, *model.graph.output)}
        assert {name for name, kind in types.items() if kind == HALF} == ends


def test_the_half_graph_keeps_statistics_scales_and_shapes(shipped: Bundle) -> None:
    model = half(joined(shipped))
    types, weights = type_of(model), {weight.name: weight for weight in model.graph.initializer}
    resize = next(node for node in model.graph.node if node.op_type == "Resize")
    assert types[resize.input[2]] == FLOAT
    convolved = [node.input[1] for node in model.graph.node if node.op_type == "Conv" and node.input[1] in weights]
    assert {weights[name].data_type for name in convolved} == {HALF}
    casts = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "Cast"}
    norm = next(n for n in model.graph.node if n.op_type == "InstanceNormalization" and n.name.startswith("bank"))
    assert list(norm.input[1:]) == [casts["deep1_scale_0"], casts["deep1_shift_0"]]
    others = [n for n in model.graph.node if n.op_type == "InstanceNormalization" and n is not norm]
    assert all(weights[name].data_type == FLOAT for node in others for name in node.input[1:])


@pytest.mark.parametrize("whole", [True, False])
def test_a_half_graph_paints_the_same(shipped: Bundle, whole: bool) -> None:
    """OpenVINO computes it in float32: what differs is the rounding of weights, inputs and output."""
    given = nets.inputs(shipped, picture(), STYLES, 0.7, masks(shipped))
    model = with_size(joined(shipped, 2), *CELLS)
    exact, found = (nets.in_openvino(m, given) for m in (model, half(model, whole)))
    assert nets.decibels(found, exact, peak=2) > 65
    assert np.abs(found - exact).max() < 0.01


@pytest.mark.parametrize("whole", [True, False])
def test_a_half_graph_may_get_its_size_later(shipped: Bundle, tiny_bundle: Path, whole: bool) -> None:
    for bundle in (shipped, Bundle(tiny_bundle)):
        model = joined(bundle, 2)
        early, late = half(with_size(model, *CELLS), whole), with_size(half(model, whole), *CELLS)
        assert sides(early.graph.input) == sides(late.graph.input)
        given = nets.inputs(bundle, picture(), [dict.fromkeys(bundle.style_files(), 0.1)] * 2, masks=masks(bundle))
        np.testing.assert_array_equal(nets.in_openvino(early, given), nets.in_openvino(late, given))


def test_weights_beyond_half_precision_become_its_largest_number_and_casts_follow() -> None:
    nodes = [
        make_node("Cast", ["whole"], ["float"], to=FLOAT),
        make_node("Add", ["float", "large"], ["sum"]),
        make_node("ReduceMean", ["sum"], ["painted"], keepdims=1),
    ]
    ends = (
        [make_tensor_value_info("whole", onnx.TensorProto.INT64, [3])],
        [make_tensor_value_info("painted", FLOAT, [1])],
    )
    large = from_array(np.array([1e9, -1e9, 0.5], np.float32), "large")
    model = half(make_model(make_graph(nodes, "g", *ends, [large]), opset_imports=[make_opsetid("", 17)], ir_version=8))
    (weight,) = model.graph.initializer
    assert to_array(weight).tolist() == [65504, -65504, 0.5]
    assert [node.op_type for node in model.graph.node] == ["Cast", "Add", "Cast", "ReduceMean", "Cast"]
    assert type_of(model)["float"] == type_of(model)["painted"] == HALF
