"""Pictures for training: photos to paint, artworks to learn from."""

import random
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageChops, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.sources.scenes import open_scene

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "JPEG2000", "PPM", "ICO")
"""What is opened, whatever the file is called; not, for example, EPS, which is a program that a reader runs."""
MAX_PIXELS = 500_000_000
"""A scan of 20,000 x 25,000; decoded it takes 2 GB.  Above it a small file may be meant to fill the memory."""
LEAST_SIDE = 64
"""Pixels of the shorter side of an artwork."""
LONGEST = 4
"""An artwork is at most so many times as long as it is wide; of a longer one its middle is used."""
BROKEN = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError),
    *(AssertionError, RuntimeError, MemoryError, struct.error),
)
"""What Pillow's decoders raise at damaged files."""


def read_artwork(path: Path, short_side: int) -> Tensor:
    """Any picture a style may be learned from: ``(3, H, W)`` uint8 RGB (sRGB), its short side ``short_side`` pixels.

    Photos, line art, flat color; 1 to 16 bits, gray, palette, CMYK; transparent places become white, EXIF
    rotation and color profiles are applied, of an animation the first frame counts.  A picture longer
    than `LONGEST` times its width gives its middle, since the loss network's memory grows with the length.

    Raises `ConfigError` for what is not a picture, is damaged, is smaller than `LEAST_SIDE` or larger than
    `MAX_PIXELS`.
    """
    return _read(path, short_side, LEAST_SIDE, LONGEST)


def load_picture(path: Path, short_side: int) -> Tensor:
    """As `read_artwork`, but of any size and shape.  Raises `ConfigError` for what cannot be read."""
    return _read(path, short_side)


def _read(path: Path, short_side: int, least: int = 1, longest: float = float("inf")) -> Tensor:
    try:
        with _large_ones(), Image.open(path, formats=FORMATS) as image:
            _check_size(path, image.size, least)
            scale = 2 * short_side / min(image.size)
            image.draft(None, (int(image.width * scale), int(image.height * scale)))  # a JPEG is decoded smaller
            small = _resize(_plain(image), short_side, longest)
            rgb = np.array(ImageOps.exif_transpose(_on_white(small)))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ConfigError(
            f"{path} has more than {MAX_PIXELS // 1_000_000} million pixels",
            f"scale it down: it is used at a short side of {short_side} pixels anyway",
        ) from error
    except BROKEN as error:
        raise ConfigError(f"{path} is not a picture that can be read: {_why(error)}", _hint(error)) from error
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))


@contextmanager
def _large_ones() -> Iterator[None]:
    """Moves Pillow's limit, which is the whole process's, to ours; its remarks on odd files are no errors."""
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _check_size(path: Path, size: tuple[int, int], least: int) -> None:
    if min(size) < least:
        raise ConfigError(
            f"{path} is {size[0]} x {size[1]} pixels, too small to learn a texture from",
            f"its shorter side must be at least {least} pixels; strokes want some hundred",
        )


def _why(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is in no format this program knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _hint(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "save it as JPEG, PNG or TIFF; " + ", ".join(FORMATS) + " can be read"
    if isinstance(error, IsADirectoryError):
        return "name one picture in it"
    named = isinstance(error, OSError) and error.strerror
    return "check the path and its permissions" if named else "copy it again, or save it as PNG"


def _plain(image: Image.Image) -> Image.Image:
    """The picture in a mode that can be resized: L, RGB, RGBA, CMYK or LAB."""
    image.load()
    if image.mode.startswith("I"):
        return _from_16_bits(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        # Adobe's programs store ink upside down and leave a mark; Pillow turns every CMYK JPEG.
        return ImageChops.invert(image)
    return image.convert({"1": "L", "P": "RGB", "YCbCr": "RGB", "HSV": "RGB"}.get(image.mode, image.mode))


def _from_16_bits(image: Image.Image) -> Image.Image:
    """16-bit gray as ``L``; other pictures of 16 bits arrive here with 8."""
    wide = np.asarray(image)
    gray = Image.fromarray((np.clip(wide, 0, 65535) / 257).round().astype(np.uint8))
    gray.info = image.info
    return gray


def _resize(image: Image.Image, short_side: int, longest: float) -> Image.Image:
    """The middle of the picture, at most ``longest`` times as long as it is wide, scaled to ``short_side``."""
    side = min(image.size)
    used = [min(length, side * longest) for length in image.size]
    left, top = ((length - part) / 2 for length, part in zip(image.size, used, strict=True))
    width, height = (max(short_side, round(part * short_side / side)) for part in used)
    box = (left, top, left + used[0], top + used[1])
    return image.resize((width, height), Image.Resampling.BICUBIC, box, reducing_gap=3.0)


def _on_white(image: Image.Image) -> Image.Image:
    rgb = _srgb(image.convert("RGB") if image.mode == "RGBA" else image)
    if image.mode == "RGBA":
        white = Image.new("RGB", image.size, "white")
        white.paste(rgb, mask=image.getchannel("A"))
        white.info = image.info  # says which way is up
        return white
    return rgb


def _srgb(image: Image.Image) -> Image.Image:
    """``RGB`` by the picture's color profile; one that is broken or of another kind of picture is passed over."""
    profile = image.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return image.convert("RGB")


CONTRAST = (0.15, 0.8)
"""What of its contrast a dimmed crop keeps, least and most."""
JPEG_QUALITY = (25, 60)
"""Of a dimmed crop that is compressed, least and most."""
SCENES = (("landscape", 2), ("landscape", 210), ("cut", 20), ("cut", 100))
"""Built-in scenes and the frames of them that serve as photos."""


def scene_pictures(short_side: int, count: int = len(SCENES)) -> list[Tensor]:
    """Frames of the built-in scenes, ``(3, H, W)`` uint8, for want of photographs; 16:9."""
    size = (round(short_side * 16 / 9) // 8 * 8, short_side)
    frames = [open_scene(name, size).frame(index) for name, index in SCENES[:count]]
    return [torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1))) for frame in frames]


def load_photos(folder: Path, prefixes: list[str], short_side: int, limit: int | None = None) -> list[Tensor]:
    """Photos of a folder whose names start with one of ``prefixes`` (none given: all).

    Of more than ``limit`` every so-many-th is taken, so that all parts of the folder are seen.
    """
    if not folder.is_dir():
        raise ConfigError(f"no folder of photos at {folder}", "set photos in the training config")
    names = tuple(prefixes) or ("",)
    files = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in PICTURES and p.name.startswith(names)]
    if not files:
        raise ConfigError(f"no photos in {folder}", "it wants .jpg, .png or .webp files")
    step = 1 if limit is None else -(-len(files) // limit)
    return [load_picture(p, short_side) for p in files[::step]]


def random_crops(
    photos: list[Tensor], count: int, side: int, chance: random.Random, dimmed_share: float = 0.0
) -> Tensor:
    """``(count, 3, side, side)`` in 0..1: crops, mirrored half of the time, at varied exposure.

    ``dimmed_share`` in 0..1 of them go through `dimmed`.
    """
    crops = [_crop(chance.choice(photos), side, chance) for _ in range(count)]
    if dimmed_share > 0:  # a share of 0 draws nothing
        crops = [dimmed(crop, chance) if chance.random() < dimmed_share else crop for crop in crops]
    return torch.stack(crops)


def dimmed(crop: Tensor, chance: random.Random) -> Tensor:
    """A crop ``(3, H, W)`` in 0..1 as in a fade, in fog or badly lit, in 8 bits; half of the time as JPEG leaves it.

    On such frames a net that saw none paints the encoder's blocks of 8 pixels, and bands, which instance norm
    enlarges.
    """
    contrast, level = chance.uniform(*CONTRAST), chance.random() ** 2  # squared: black is what most fades start from
    array = ((level + contrast * (crop - level)) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    if chance.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, chance.randint(*JPEG_QUALITY)]
        _, file = cv2.imencode(".jpg", array[..., ::-1], quality)
        array = cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1]
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1))).float() / 255


def _crop(photo: Tensor, side: int, chance: random.Random) -> Tensor:
    top = chance.randint(0, photo.shape[1] - side)
    left = chance.randint(0, photo.shape[2] - side)
    x = photo[:, top : top + side, left : left + side].float() / 255
    if chance.random() < 0.5:
        x = x.flip(2)
    if chance.random() < 0.5:
        x = x.clamp_min(1e-3) ** chance.uniform(0.6, 1.6) * chance.uniform(0.75, 1.0)
    return x
