"""A right export passes, a wrong one is found."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")
onnx = pytest.importorskip("onnx", reason="export needs onnx: pip install 'allaprima[train]'")

from allaprima.exporters import verify as module  # noqa: E402
from allaprima.exporters.export import export_bundle  # noqa: E402
from allaprima.exporters.networks import Generator  # noqa: E402
from allaprima.exporters.verify import OpenVino, Row, check, table, verify  # noqa: E402
from allaprima.realtime.backends import cpu, graph  # noqa: E402
from allaprima.realtime.bundle import Bundle, StyleCard, file_hash, write_style  # noqa: E402
from allaprima.realtime.errors import BackendError, BundleError, ConfigError  # noqa: E402


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    network = Generator(["ink", "wax"], deep=16, fine=8)
    with torch.no_grad():
        for value in network.parameters():  # as after a training: the exporter joins tensors that are equal
            value.add_(torch.randn_like(value) * 0.05)
        for value in network.bank["wax"].values():
            value.add_(torch.randn_like(value) * 0.3)
        network.decoder.kernel *= 0.4  # colors that video can show
    return network


@pytest.fixture(scope="module")
def bundle(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    folder = tmp_path_factory.mktemp("verify") / "b"
    cards = {name: StyleCard(name=name) for name in network.bank}
    export_bundle(network, cards, folder, name="b", version="1", default_style="ink", training={})
    return folder


@pytest.fixture
def damaged(bundle: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    return Path(shutil.copytree(bundle, tmp_path / "b"))


@pytest.fixture
def pictures(tiny: Any) -> list[Any]:
    """Two of different size, one not a multiple of 8."""
    planes = [np.stack([tiny.texture(size, seed) for seed in range(3)]) for size in ((64, 48), (51, 40))]
    return [torch.from_numpy(plane) for plane in planes]


@pytest.fixture
def f32(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which the engine paints in f32."""
    monkeypatch.setattr(cpu, "best_precision", lambda: "f32")


ENGINE = ["engine BT.601", "engine BT.709"]


def test_a_right_export_passes_in_every_style_and_precision(bundle: Path, network: Any, pictures: list[Any]) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    precision = cpu.best_precision()
    runtimes = [("openvino", p) for p in dict.fromkeys(["f32", precision])] + [(name, precision) for name in ENGINE]
    for rows in (verify(bundle, pictures, least_psnr=30), verify(bundle, pictures, least_psnr=30, network=network)):
        found = [(row.style, row.runtime, row.precision) for row in rows]
        assert found == [(style, *runtime) for style in ("ink", "wax") for runtime in runtimes]
        assert all(row.ok for row in rows), table(rows)
        assert all(0 < row.mean <= row.largest for row in rows)
        check(rows)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items()), "it is left alone"


@pytest.mark.usefixtures("f32")
def test_where_the_engine_paints_in_f32_the_nets_run_once(bundle: Path, pictures: list[Any]) -> None:
    rows = verify(bundle, pictures[:1])
    assert [row.runtime for row in rows] == ["openvino", *ENGINE] * 2
    assert {row.precision for row in rows} == {"f32"}


@pytest.mark.usefixtures("f32")
def test_nets_that_are_right_alone_and_wrong_in_the_engine_are_found(
    bundle: Path, pictures: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with OpenVINO 2026.4, which swapped the luma pixels of a cell where a color matrix follows the decoder."""
    right = graph.packed_matrix
    swapped = [*reversed(range(16)), *range(16, 24)]
    monkeypatch.setattr(graph, "packed_matrix", lambda matrix: right(matrix)[swapped])
    rows = verify(bundle, pictures)
    assert [row.ok for row in rows] == [True, False, True] * 2, table(rows)
    with pytest.raises(BundleError, match=r"on BT\.601 video the engine .* though each net does: ink, wax$") as caught:
        check(rows)
    assert "this version" in caught.value.hint


@pytest.mark.usefixtures("f32")
def test_a_dull_picture_is_not_given_to_the_engine(bundle: Path, pictures: list[Any]) -> None:
    """Bytes are too coarse for it, and below a deviation of 6 the engine lets part of the picture through."""
    dull = 100 + pictures[0] // 8
    assert [row.runtime for row in verify(bundle, [dull])] == ["openvino"] * 2
    both, alone = (verify(bundle, shown) for shown in ([dull, pictures[0]], pictures[:1]))
    assert [row for row in both if row.runtime in ENGINE] == [row for row in alone if row.runtime in ENGINE]


@pytest.mark.usefixtures("f32")
def test_a_style_of_the_users_own_is_not_taken_for_the_bundles(
    bundle: Path, network: Any, pictures: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The engine would paint with it: it hides the one of the same name."""
    monkeypatch.setenv("ALLAPRIMA_HOME", str(tmp_path))
    opened = Bundle(bundle)
    card, filters = opened.load_style(bundle / "styles/ink.safetensors")
    opened.user_styles.mkdir(parents=True)
    mine = opened.user_styles / "wax.safetensors"
    write_style(mine, card.model_copy(update={"name": "wax"}), {k: v.astype(np.float16) for k, v in filters.items()})
    rows = verify(bundle, pictures[:1], network=network)
    assert [row.style for row in rows] == ["ink"] * 3 + ["wax"] * 3
    assert all(row.ok for row in rows), table(rows)


def test_a_graph_that_computes_something_else_is_found(damaged: Path, pictures: list[Any]) -> None:
    net = onnx.load(str(damaged / "bank.onnx"))
    (norm,) = [node for node in net.graph.node if node.op_type == "InstanceNormalization"]
    norm.attribute[0].f = 0.05  # epsilon
    onnx.save(net, str(damaged / "bank.onnx"))
    manifest = json.loads((damaged / "manifest.json").read_text())
    manifest["sha256"]["bank"] = file_hash(damaged / "bank.onnx")
    (damaged / "manifest.json").write_text(json.dumps(manifest))
    rows = verify(damaged, pictures)
    assert [row.ok for row in rows if (row.runtime, row.precision) == ("openvino", "f32")] == [False, False]
    with pytest.raises(BundleError, match="does not paint what torch paints: ink, wax") as caught:
        check(rows)
    assert caught.value.hint


@pytest.mark.usefixtures("f32")
def test_weights_that_are_not_those_of_the_training_are_found(bundle: Path, network: Any, pictures: list[Any]) -> None:
    other = Generator(["ink", "wax"], deep=16, fine=8)
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        other.bank["wax"]["deep2_bias"][3] += 0.02
    rows = [row for row in verify(bundle, pictures, network=other) if row.runtime == "openvino"]
    assert {row.style: row.ok for row in rows} == {"ink": True, "wax": False}


def test_the_limits_can_be_set(bundle: Path, pictures: list[Any]) -> None:
    rows = verify(bundle, pictures[:1], tolerance=1e-12, least_psnr=500, least_engine_psnr=400)
    assert not any(row.ok for row in rows)
    nets = [row for row in rows if row.runtime == "openvino"]
    assert {row.limit for row in nets if row.precision == "f32"} == {"max <= 2.55e-10"}
    assert {row.limit for row in nets if row.precision != "f32"} <= {"PSNR >= 500 dB"}
    assert {row.limit for row in rows if row.runtime in ENGINE} == {"PSNR >= 400 dB"}


@pytest.mark.parametrize(
    ("pictures", "error", "message"),
    [
        ([], ConfigError, "no picture"),
        ([(40, 7)], ConfigError, "40 x 7 pixels is too small"),
        ([(40, 40)], BundleError, r"encoder\.onnx is damaged"),
    ],
)
def test_what_cannot_be_verified_is_refused(damaged: Path, pictures: Any, error: Any, message: str) -> None:
    (damaged / "encoder.onnx").write_bytes(b"no net")
    with pytest.raises(error, match=message):
        verify(damaged, [torch.zeros(3, height, width, dtype=torch.uint8) for width, height in pictures])


def test_a_bundle_of_another_design_is_refused(tiny_bundle: Path, network: Any, pictures: list[Any]) -> None:
    with pytest.raises(BundleError, match="not those that this program trains"):
        verify(tiny_bundle, pictures)
    with pytest.raises(BundleError, match="has no style"):
        verify(tiny_bundle, pictures, network=network)


def test_a_net_that_cannot_be_loaded_is_an_error_of_the_device(tmp_path: Path) -> None:
    for net in ("encoder", "bank", "decoder"):
        (tmp_path / f"{net}.onnx").write_bytes(b"no net")
    with pytest.raises(BackendError, match="cannot load the nets") as caught:
        OpenVino(tmp_path, "f32")
    assert "\n" not in str(caught.value)


# ---- figures ----


class Fake:
    name, precision = "fake", "f16"


def compared(values: list[float], tolerance: float | None = 0.25, least_psnr: float = 20) -> Row:
    """The row for two pictures whose colors are off by ``values``."""
    expected = [torch.full((1, 3, 4, 4), 0.5), torch.full((1, 3, 4, 4), 0.25)]
    found = [picture + value for picture, value in zip(expected, values, strict=True)]
    return module._compare("ink", Fake(), found, expected, tolerance, least_psnr)


def test_differences_are_of_all_pictures_and_in_steps_of_8_bits() -> None:
    row = compared([0.0, -0.2])
    assert (row.largest, row.mean) == (pytest.approx(51), pytest.approx(25.5))
    assert row.psnr == pytest.approx(10 * np.log10(1 / 0.02))
    assert compared([0, 0]).psnr == np.inf


def test_a_row_is_judged_by_the_largest_difference_or_by_psnr() -> None:
    assert compared([0.0, 0.2499]).ok
    assert not compared([0.0, -0.2501]).ok
    assert compared([0.1, 0.1], None, least_psnr=19.99).ok
    assert not compared([0.1, 0.1], None, least_psnr=20.01).ok
    for tolerance in (0.25, None):
        assert not compared([0, np.nan], tolerance).ok


# ---- the report ----

ROWS = [
    Row("ink", "openvino", "f32", 0.00312, 0.0001, np.inf, "max <= 0.255", True),
    Row("ink", "openvino", "bf16", 12.5, 2.25, 36.51, "PSNR >= 40 dB", False),
    Row("starry-night", "openvino", "f32", 3.5, 0.25, 55.0, "max <= 0.255", False),
    Row("wax", "engine BT.601", "f32", 90.0, 9.5, 24.0, "PSNR >= 35 dB", False),
]


def test_the_table_marks_what_failed() -> None:
    assert table(ROWS).splitlines() == [
        "style         runtime                max    mean     PSNR  limit",
        "ink           openvino f32        0.0031  0.0001   inf dB  max <= 0.255   ok",
        "ink           openvino bf16      12.5000  2.2500  36.5 dB  PSNR >= 40 dB  FAILED",
        "starry-night  openvino f32        3.5000  0.2500  55.0 dB  max <= 0.255   FAILED",
        "wax           engine BT.601 f32  90.0000  9.5000  24.0 dB  PSNR >= 35 dB  FAILED",
    ]


def test_a_failure_is_first_the_bundles_then_the_devices_then_the_engines() -> None:
    check(ROWS[:1])
    with pytest.raises(BackendError, match=r"in bf16 .*: ink$") as caught:
        check([*ROWS[:2], ROWS[3]])
    assert caught.value.hint
    with pytest.raises(BundleError, match=r"on BT\.601 video .*: wax$"):
        check([ROWS[0], ROWS[3]])
    with pytest.raises(BundleError, match=r"torch paints: starry-night$"):
        check(ROWS)
