"""Bundles and style files, whole and damaged."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from allaprima.realtime.bundle import (
    NETS,
    Bundle,
    StyleCard,
    file_hash,
    filters_hash,
    read_card,
    read_filters,
    shipped_bundle,
    write_style,
)
from allaprima.realtime.errors import BundleError


def flip_a_byte(file: Path, at: int = -9) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 0xFF
    file.write_bytes(data)


def rewrite(bundle: Path, **changes: Any) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text()) | changes
    kept = {key: value for key, value in manifest.items() if value is not None}
    (bundle / "manifest.json").write_text(json.dumps(kept))


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no folder": (shutil.rmtree, "no bundle at"),
    "no manifest": (lambda b: (b / "manifest.json").unlink(), "manifest.json is missing"),
    "torn json": (lambda b: (b / "manifest.json").write_text('{"format": 1,'), "cannot be read"),
    "a list": (lambda b: (b / "manifest.json").write_text("[]"), "cannot be read"),
    "no text": (lambda b: (b / "manifest.json").write_bytes(b"\xff\xfe\x00"), "cannot be read"),
    "later format": (lambda b: rewrite(b, format=2), "format 2, this program reads format 1"),
    "no format": (lambda b: rewrite(b, format=None), "format None"),
    "no filters": (lambda b: rewrite(b, filters=None), "cannot be read: filters"),
    "no hashes": (lambda b: rewrite(b, sha256={}), "its hash differs"),
    **{f"no {net}": (lambda b, n=net: (b / f"{n}.onnx").unlink(), f"{net}.onnx is missing") for net in NETS},
    **{f"bad {net}": (lambda b, n=net: flip_a_byte(b / f"{n}.onnx"), f"{net}.onnx is damaged") for net in NETS},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_is_refused_in_one_line(own_bundle: Path, damage: str) -> None:
    hurt, message = DAMAGES[damage]
    hurt(own_bundle)
    with pytest.raises(BundleError, match=message) as caught:
        Bundle(own_bundle)
    assert "\n" not in str(caught.value)


def test_the_shipped_bundle_opens_and_every_style_in_it_loads() -> None:
    bundle = Bundle(shipped_bundle())
    assert bundle.manifest.default_style in bundle.style_files()
    assert len(bundle.style_files()) >= 4
    for file in bundle.style_files().values():
        _, filters = bundle.load_style(file)
        assert all(np.isfinite(array).all() for array in filters.values())


def test_a_style_comes_back_as_it_was_written(tmp_path: Path) -> None:
    filters = {"b": np.arange(6, dtype=np.float16).reshape(2, 3), "a": np.float16([0.5, -1])}
    file = tmp_path / "dusk.safetensors"
    write_style(file, StyleCard(name="other", title="Dusk", strength=0.8), filters)
    card = read_card(file)
    assert (card.name, card.title, card.strength) == ("dusk", "Dusk", 0.8), "the file's name is the style's"
    assert card.sha256 == filters_hash(filters)
    assert {name: array.tolist() for name, array in read_filters(file).items()} == {
        "a": [0.5, -1],
        "b": [[0, 1, 2], [3, 4, 5]],
    }
    assert [path.name for path in tmp_path.iterdir()] == ["dusk.safetensors"]


def test_filters_that_are_views_with_gaps_are_written_whole(tmp_path: Path) -> None:
    wide = np.arange(8, dtype=np.float16).reshape(2, 4)
    write_style(tmp_path / "a.safetensors", StyleCard(name="a"), {"turned": wide.T, "thin": wide[:, ::2]})
    found = read_filters(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(found["turned"], wide.T)
    np.testing.assert_array_equal(found["thin"], wide[:, ::2])


def test_the_hash_of_filters_sees_names_shapes_types_and_values_but_not_order() -> None:
    a, b = np.float16([[1, 2], [3, 4]]), np.float16([0])
    base = filters_hash({"a": a, "b": b})
    assert filters_hash({"b": b, "a": np.asfortranarray(a)}) == base
    others = [{"a": a, "c": b}, {"a": a.reshape(4), "b": b}, {"a": a.view(np.int16), "b": b}, {"a": -a, "b": b}]
    assert len({base, *map(filters_hash, others)}) == 5


def test_the_hash_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_hash(tmp_path / "abc").startswith("ba7816bf8f01cfea")


def test_filters_are_given_as_float32(own_bundle: Path) -> None:
    bundle = Bundle(own_bundle)
    _, filters = bundle.load_style(bundle.style_files()["bright"])
    assert filters["shift"].dtype == np.float32
    assert filters["shift"].ravel()[[0, 15, 16]].tolist() == [0.25, 0.25, 0]


STYLE_DAMAGES: dict[str, tuple[Callable[[ModuleType, Path], Any], str]] = {
    "a flipped byte": (lambda t, b: flip_a_byte(b / "styles/bright.safetensors"), "bright.* is damaged"),
    "cut short": (lambda t, b: (b / "styles/bright.safetensors").write_bytes(b"\x08\0\0\0"), "not a readable"),
    "no card": (lambda t, b: save_file({"shift": t.shift(1)}, b / "styles/bright.safetensors"), "not a readable"),
    "another generator": (lambda t, b: t.add_style(b, "bright", 1, generator="0" * 32), "another generator"),
    "no numbers": (lambda t, b: t.add_style(b, "bright", float("nan")), "not finite"),
    "other shapes": (lambda t, b: rewrite(b, filters={"shift": [1, 12, 1, 1]}), "other shapes"),
    "other names": (lambda t, b: rewrite(b, filters={"tilt": [1, 24, 1, 1]}), "other shapes"),
}


@pytest.mark.parametrize("damage", STYLE_DAMAGES)
def test_a_damaged_or_foreign_style_is_refused(tiny: ModuleType, own_bundle: Path, damage: str) -> None:
    hurt, message = STYLE_DAMAGES[damage]
    hurt(tiny, own_bundle)
    with pytest.raises(BundleError, match=message) as caught:
        Bundle(own_bundle).load_style(own_bundle / "styles/bright.safetensors")
    assert caught.value.hint


def test_a_type_that_numpy_lacks_is_a_damaged_style(own_bundle: Path) -> None:
    file = own_bundle / "styles/bright.safetensors"
    header = b'{"shift":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}}'
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(BundleError, match="not a readable style"):
        read_filters(file)


def test_a_users_style_hides_a_shipped_one_of_the_same_name(tiny: ModuleType, own_bundle: Path) -> None:
    bundle = Bundle(own_bundle)
    bundle.user_styles.mkdir(parents=True)
    shutil.move(tiny.add_style(own_bundle, "mine", 0.5), bundle.user_styles)
    shutil.copy(own_bundle / "styles/dark.safetensors", bundle.user_styles / "bright.safetensors")
    files = bundle.style_files()
    assert list(files) == ["blue", "bright", "dark", "plain", "mine"]
    assert files["bright"].parent == bundle.user_styles
    assert {s.card.name: s.shipped for s in bundle.styles()}["bright"] is False
    shutil.rmtree(bundle.user_styles)


def test_styles_of_bundles_with_other_nets_live_apart(tiny: ModuleType, own_bundle: Path) -> None:
    before = Bundle(own_bundle).user_styles
    hashes = json.loads((own_bundle / "manifest.json").read_text())["sha256"]
    rewrite(own_bundle, sha256=hashes | {"encoder": "1" * 64})
    assert Bundle(own_bundle, verify=False).user_styles != before


def test_a_preview_is_a_picture_beside_the_style(own_bundle: Path) -> None:
    (own_bundle / "styles/blue.jpg").touch()
    found = {style.card.name: style.preview for style in Bundle(own_bundle).styles()}
    assert found["blue"] == own_bundle / "styles/blue.jpg"
    assert found["dark"] is None
