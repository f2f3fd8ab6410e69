"""Pictures for training."""

import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")

from allaprima.exporters.data import load_photos, load_picture, random_crops  # noqa: E402
from allaprima.realtime.errors import ConfigError  # noqa: E402


@pytest.fixture
def picture(tmp_path: Path) -> Any:
    def write(width: int, height: int, bgr: tuple[int, int, int] = (10, 120, 230)) -> Path:
        path = tmp_path / f"{width}x{height}.png"
        cv2.imwrite(str(path), np.full((height, width, 3), bgr, np.uint8))
        return path

    return write


@pytest.mark.parametrize(
    ("size", "short", "shape"),
    [((90, 60), 30, (3, 30, 45)), ((60, 90), 30, (3, 45, 30)), ((20, 20), 64, (3, 64, 64)), ((7, 300), 8, (3, 343, 8))],
)
def test_a_picture_is_scaled_by_its_short_side_and_is_rgb(picture: Any, size: Any, short: int, shape: Any) -> None:
    found = load_picture(picture(*size), short)
    assert (tuple(found.shape), found.dtype) == (shape, torch.uint8)
    assert found[:, 3, 3].tolist() == [230, 120, 10]


@pytest.mark.parametrize("what", ["missing", "text", "empty"])
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, what: str) -> None:
    path = tmp_path / "p.png"
    if what != "missing":
        path.write_bytes(b"hello" if what == "text" else b"")
    with pytest.raises(ConfigError, match=r"p\.png is not a picture"):
        load_picture(path, 64)


@pytest.mark.parametrize(("prefixes", "count"), [([], 4), (["a_"], 2), (["a_", "b_1"], 3)])
def test_photos_are_chosen_by_the_beginning_of_their_names(photos: Path, prefixes: list[str], count: int) -> None:
    found = load_photos(photos, prefixes, 64)
    assert len(found) == count
    assert all(min(photo.shape[1:]) == 64 for photo in found)


def test_a_folder_without_photos_is_refused(photos: Path, tmp_path: Path) -> None:
    for folder, prefixes in ((tmp_path / "nowhere", []), (tmp_path, []), (photos, ["c_"])):
        with pytest.raises(ConfigError, match="photos") as caught:
            load_photos(folder, prefixes, 64)
        assert caught.value.hint


@pytest.fixture
def ramps() -> list[Any]:
    """Red tells the column, green the row, blue which picture."""
    y, x = torch.meshgrid(torch.arange(80), torch.arange(100), indexing="ij")
    return [torch.stack([x, y, torch.full_like(x, 50 + 100 * n)]).to(torch.uint8) for n in range(2)]


def test_crops_are_batches_in_0_to_1(ramps: list[Any]) -> None:
    crops = random_crops(ramps, 6, 64, random.Random(0))
    assert (tuple(crops.shape), crops.dtype) == ((6, 3, 64, 64), torch.float32)
    assert crops.min() >= 0
    assert crops.max() <= 1


def test_crops_vary_in_place_picture_mirror_and_exposure(ramps: list[Any]) -> None:
    crops = [random_crops(ramps, 1, 64, random.Random(seed))[0] for seed in range(40)]
    mirrored = [bool(crop[0, 0, 0] > crop[0, 0, -1]) for crop in crops]
    untouched = [crop for crop, m in zip(crops, mirrored, strict=True) if not m and _is_ramp(crop)]
    assert 8 < sum(mirrored) < 32
    assert 4 < len(untouched) < 30, "half keep their exposure"
    assert len({(round(c[0, 0, 0].item() * 255), round(c[1, 0, 0].item() * 255)) for c in untouched}) > 3
    assert len({round(c[2, 0, 0].item() * 255) for c in untouched}) == 2


def _is_ramp(crop: Any) -> bool:
    return bool(torch.allclose((crop[0, 0, -1] - crop[0, 0, 0]) * 255, torch.tensor(63.0), atol=1e-3))


def test_the_same_chance_gives_the_same_crops(ramps: list[Any]) -> None:
    one, same, other = (random_crops(ramps, 3, 64, random.Random(seed)) for seed in (5, 5, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_photo_of_just_the_crops_size_is_used_whole(ramps: list[Any]) -> None:
    whole = ramps[0][:, :64, :64]
    crops = random_crops([whole], 8, 64, random.Random(0))
    assert any(torch.allclose(crop * 255, whole.float(), atol=1e-3) for crop in crops)
