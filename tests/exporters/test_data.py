"""Pictures for training."""

import random
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")

from PIL import Image, ImageCms  # noqa: E402

from allaprima.exporters import data  # noqa: E402
from allaprima.exporters.data import (  # noqa: E402
    dimmed,
    load_photos,
    load_picture,
    random_crops,
    read_artwork,
    scene_pictures,
)
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


@pytest.mark.parametrize(
    ("what", "why", "hint"),
    [
        ("missing", "no such file", "check the path"),
        ("folder", "is a directory", "name one picture"),
        ("text", "no format this program knows", "JPEG, PNG"),
        ("empty", "no format this program knows", "JPEG, PNG"),
        ("torn png", "truncated", "copy it again"),
        ("torn jpeg", "truncated", "copy it again"),
        ("float", "floating-point", "save it as PNG"),
    ],
)
def test_what_is_no_picture_is_refused_by_name_with_the_reason(
    picture: Any, tmp_path: Path, what: str, why: str, hint: str
) -> None:
    path = tmp_path / "p.png"
    if what == "folder":
        path.mkdir()
    elif what.startswith("torn"):
        Image.open(picture(90, 90)).save(path, what.split()[1])
        path.write_bytes(path.read_bytes()[:-40])
    elif what == "float":
        Image.new("F", (80, 80)).save(path, "TIFF")
    elif what != "missing":
        path.write_bytes(b"hello" if what == "text" else b"")
    for read in (load_picture, read_artwork):
        with pytest.raises(ConfigError, match=rf"p\.png is not a picture .*{why}") as caught:
            read(path, 64)
        assert hint in caught.value.hint


# ---- artworks ----

BLUE, RED = (0, 0, 255), (255, 0, 0)


def halves(size: tuple[int, int] = (96, 80), mode: str = "RGB") -> Image.Image:
    """Blue above, red below."""
    picture = Image.new("RGB", size, BLUE)
    picture.paste(RED, (0, size[1] // 2, size[0], size[1]))
    return picture.convert(mode)


def ends(picture: Any) -> tuple[Any, Any]:
    """The colors in the middle of the first and of the last row."""
    middle = picture.shape[2] // 2
    return tuple(picture[:, 2, middle].tolist()), tuple(picture[:, -3, middle].tolist())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"quality": 98, "subsampling": 0}),
        ("progressive.jpg", {"progressive": True, "quality": 98, "subsampling": 0}),
        ("a.png", {}),
        ("a.webp", {"lossless": True}),
        ("a.avif", {"quality": 95, "subsampling": "4:4:4", "speed": 10}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.bmp", {}),
        ("a.jp2", {}),
        ("a.gif", {}),
        ("no_suffix", {"format": "PNG"}),
    ],
)
def test_an_artwork_may_be_of_any_common_format(tmp_path: Path, name: str, options: Any) -> None:
    halves().save(tmp_path / name, **options)
    found = read_artwork(tmp_path / name, 72)
    assert (tuple(found.shape), found.dtype) == ((3, 72, 86), torch.uint8)
    assert np.abs(np.array(ends(found)) - [BLUE, RED]).max() <= 6


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "I;16", "I"])
def test_an_artwork_may_be_stored_in_any_way(tmp_path: Path, mode: str) -> None:
    gray = np.repeat(np.linspace(0, 255, 80).astype(np.uint16), 90).reshape(80, 90)
    if mode.startswith("I"):
        picture = Image.fromarray(gray * 257 if mode == "I;16" else gray.astype(np.int32) * 257)
    else:
        picture = Image.fromarray(gray.astype(np.uint8)).convert("RGB").convert(mode)
    picture.save(tmp_path / "a.tif")
    found = read_artwork(tmp_path / "a.tif", 80)
    smooth = np.convolve(found.float().mean((0, 2)).numpy(), np.ones(9) / 9, "valid")  # "1" is dots, black or white
    assert np.abs(smooth - np.convolve(gray[:, 0], np.ones(9) / 9, "valid")).max() < 14
    assert len(read_artwork(tmp_path / "a.tif", 64).unique()) > 20, "dots are blended"


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_transparent_places_are_white(tmp_path: Path, mode: str) -> None:
    picture = halves(mode="RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 96, 40))
    if mode == "RGBA":
        picture.paste((255, 0, 0, 128), (0, 40, 96, 80))
    picture.convert(mode).save(tmp_path / "a.png")
    top, bottom = ends(read_artwork(tmp_path / "a.png", 80))
    assert top == (255, 255, 255)
    assert bottom == ((255, 127, 127) if mode == "RGBA" else RED)


@pytest.mark.parametrize("alpha", [False, True])
def test_the_camera_s_note_of_which_way_is_up_counts(tmp_path: Path, alpha: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    halves(mode="RGBA" if alpha else "RGB").save(tmp_path / "a.png", exif=exif)
    assert ends(read_artwork(tmp_path / "a.png", 80)) == (RED, BLUE)
    exif[0x0112] = 6  # a quarter
    halves((80, 120)).save(tmp_path / "b.jpg", exif=exif)
    assert read_artwork(tmp_path / "b.jpg", 64).shape == (3, 64, 96)


def test_of_an_animation_the_first_frame_counts(tmp_path: Path) -> None:
    for name in ("a.gif", "a.webp", "a.tif"):
        halves().save(tmp_path / name, save_all=True, append_images=[Image.new("RGB", (96, 80), "green")])
        top, bottom = ends(read_artwork(tmp_path / name, 80))
        assert top[2] > 200 > 60 > top[0], name
        assert bottom[0] > 200 > 60 > bottom[2], name


def test_ink_of_a_cmyk_jpeg_is_read_the_right_way_up(tmp_path: Path) -> None:
    """Adobe's files hold it inverted and say so in a segment; without that segment it is as it says."""
    Image.new("CMYK", (80, 80), (0, 255, 255, 0)).save(tmp_path / "adobe.jpg", quality=98)
    assert read_artwork(tmp_path / "adobe.jpg", 64)[:, 9, 9].tolist() == pytest.approx(RED, abs=6)
    Image.new("CMYK", (80, 80), (255, 0, 0, 255)).save(tmp_path / "plain.jpg", quality=98)
    raw = (tmp_path / "plain.jpg").read_bytes()
    mark = raw.index(b"\xff\xee")
    (tmp_path / "plain.jpg").write_bytes(raw[:mark] + raw[mark + 2 + int.from_bytes(raw[mark + 2 : mark + 4]) :])
    assert read_artwork(tmp_path / "plain.jpg", 64)[:, 9, 9].tolist() == pytest.approx(RED, abs=6)


def profile_with_red_and_blue_swapped() -> bytes:
    raw = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(raw[at : at + 4]): at + 4 for at in range(132, 132 + 12 * int.from_bytes(raw[128:132]), 12)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    raw[red : red + 8], raw[blue : blue + 8] = raw[blue : blue + 8], raw[red : red + 8]
    return bytes(raw)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_color_profile_counts(tmp_path: Path, mode: str) -> None:
    halves(mode=mode).save(tmp_path / "a.png", icc_profile=profile_with_red_and_blue_swapped())
    top, bottom = ends(read_artwork(tmp_path / "a.png", 80))
    assert top == pytest.approx(RED, abs=2)
    assert bottom == pytest.approx(BLUE, abs=2)


def test_a_color_profile_that_is_broken_or_does_not_fit_is_passed_over(tmp_path: Path) -> None:
    halves().save(tmp_path / "broken.png", icc_profile=b"no profile")
    assert ends(read_artwork(tmp_path / "broken.png", 80)) == (BLUE, RED)
    gray = Image.new("L", (80, 80), 77)
    gray.save(tmp_path / "gray.png", icc_profile=profile_with_red_and_blue_swapped())
    assert read_artwork(tmp_path / "gray.png", 80)[:, 9, 9].tolist() == [77] * 3


def test_a_flat_color_is_an_artwork(picture: Any) -> None:
    assert read_artwork(picture(64, 64), 96).unique(dim=1).shape[1] == 1


@pytest.mark.parametrize("size", [(16, 16), (63, 900), (900, 63)])
def test_an_icon_is_refused_with_its_size_and_the_least(picture: Any, size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=rf"is {size[0]} x {size[1]} pixels, too small") as caught:
        read_artwork(picture(*size), 480)
    assert "at least 64" in caught.value.hint


def test_of_a_very_long_artwork_the_middle_is_used(tmp_path: Path) -> None:
    """Four times as long as wide is all the loss network can hold at a useful size."""
    for turned in (False, True):
        scroll = Image.new("RGB", (2000, 100), RED)
        scroll.paste(BLUE, (801, 0, 1199, 100))
        (scroll.transpose(Image.Transpose.ROTATE_90) if turned else scroll).save(tmp_path / "a.png")
        found = read_artwork(tmp_path / "a.png", 64)
        assert found.shape == ((3, 256, 64) if turned else (3, 64, 256))
        assert found[0].float().mean() < 4, "nothing red is left"


def test_large_scans_are_read_and_gigantic_ones_refused(
    picture: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = picture(120, 100)
    assert read_artwork(path, 64).shape == (3, 64, 77)
    assert Image.MAX_IMAGE_PIXELS == 100, "the limit of the process is as it was"
    header = (25000).to_bytes(4) + (20001).to_bytes(4)
    raw = path.read_bytes()
    chunk = b"IHDR" + header + raw[24:29]
    path.write_bytes(raw[:12] + chunk + zlib.crc32(chunk).to_bytes(4) + raw[33:])
    with pytest.raises(ConfigError, match="more than 500 million pixels") as caught:
        read_artwork(path, 64)
    assert "scale it down" in caught.value.hint
    assert Image.MAX_IMAGE_PIXELS == 100


def test_a_large_jpeg_is_decoded_at_the_size_it_is_used_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halves((1600, 1200)).save(tmp_path / "a.jpg")
    sizes: list[tuple[int, int]] = []
    resize = data._resize
    monkeypatch.setattr(data, "_resize", lambda image, *how: (sizes.append(image.size), resize(image, *how))[1])
    assert read_artwork(tmp_path / "a.jpg", 96).shape == (3, 96, 128)
    assert sizes == [(400, 300)], "no less than twice what is used"


# ---- photos ----


@pytest.mark.parametrize(("prefixes", "count"), [([], 4), (["a_"], 2), (["a_", "b_1"], 3)])
def test_photos_are_chosen_by_the_beginning_of_their_names(photos: Path, prefixes: list[str], count: int) -> None:
    found = load_photos(photos, prefixes, 64)
    assert len(found) == count
    assert all(min(photo.shape[1:]) == 64 for photo in found)


@pytest.mark.parametrize(("limit", "count"), [(4, 4), (3, 2), (1, 1), (9, 4)])
def test_of_too_many_photos_every_so_manieth_is_taken(photos: Path, limit: int, count: int) -> None:
    all_of_them = load_photos(photos, [], 64)
    found = load_photos(photos, [], 64, limit=limit)
    assert len(found) == count
    step = len(all_of_them) // count
    assert all(torch.equal(a, b) for a, b in zip(found, all_of_them[::step], strict=True))


def test_the_built_in_scenes_stand_in_for_photos() -> None:
    found = scene_pictures(64)
    assert [(tuple(p.shape), p.dtype) for p in found] == [((3, 64, 112), torch.uint8)] * len(data.SCENES)
    assert len({p.float().mean().item() for p in found}) == len(found), "no two alike"
    assert len(scene_pictures(64, 1)) == 1


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


def test_a_share_of_the_crops_is_dimmed_and_the_others_are_as_without_it(ramps: list[Any]) -> None:
    plain, some, none = (random_crops(ramps, 200, 64, random.Random(3), *share) for share in ((), (0.3,), (0.0,)))
    assert torch.equal(none, plain)
    same = [torch.equal(a, b) for a, b in zip(some, plain, strict=True)]
    assert 110 < sum(same) < 170
    assert torch.equal(some, random_crops(ramps, 200, 64, random.Random(3), 0.3)), "a resumed training sees the same"


def test_a_dimmed_crop_is_flatter_in_range_and_in_8_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brightness follows the crop's own: what is left of its contrast, and the gray level that it shrinks to."""
    monkeypatch.setattr(data.cv2, "imencode", lambda name, array, how: (True, array))
    monkeypatch.setattr(data.cv2, "imdecode", lambda array, how: array)
    crop = torch.linspace(0, 1, 256).expand(3, 8, 256)
    found = [dimmed(crop, random.Random(seed)) for seed in range(100)]
    for one in found:
        assert one.shape == crop.shape
        torch.testing.assert_close(one * 255, (one * 255).round(), atol=1e-4, rtol=0)
        straight = torch.linspace(one[0, 0, 0].item(), one[0, 0, -1].item(), 256)
        assert (one - straight).abs().max() <= 1.01 / 255
        assert 0.14 < one[0, 0, -1] - one[0, 0, 0] < 0.81
    assert min(one.min() for one in found) >= 0
    assert max(one.max() for one in found) <= 1
    levels = [one.mean() for one in found]
    assert min(levels) < 0.2
    assert max(levels) > 0.7
    assert 3 * sum(level < 0.5 for level in levels) > 2 * len(levels), "mostly dark"


def test_half_of_the_dimmed_crops_go_through_a_bad_jpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    encode, qualities = data.cv2.imencode, list[int]()

    def counted(name: str, array: Any, how: list[int]) -> Any:
        assert (name, how[0]) == (".jpg", data.cv2.IMWRITE_JPEG_QUALITY)
        qualities.append(how[1])
        return encode(name, array, how)

    monkeypatch.setattr(data.cv2, "imencode", counted)
    noise = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.4
    crop = noise + torch.tensor([0.6, 0.3, 0.0]).view(3, 1, 1)
    rough = []
    for seed in range(60):
        before = len(qualities)
        one = dimmed(crop, random.Random(seed))
        red, green, blue = one.mean((1, 2))
        assert red > green > blue, "channels keep their places"
        if len(qualities) > before:
            rough.append((one[:, 1:] - one[:, :-1]).abs().mean() / (crop[:, 1:] - crop[:, :-1]).abs().mean())
    assert 20 < len(qualities) < 40
    assert 25 <= min(qualities) < 30
    assert 55 < max(qualities) <= 60
    assert max(rough) < 0.8 * data.CONTRAST[1], "fine detail is gone, by more than the contrast"
