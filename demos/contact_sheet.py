"""Pictures side by side with a word under each, as one PNG."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.realtime.errors import SinkError

Picture = NDArray[np.uint8]

GAP, MARGIN, CAPTION = 12, 28, 34
"""Pixels between pictures, around everything, and for the words under a picture."""
PAPER, INK = (250, 249, 246), (52, 50, 48)
FONT, FONT_SCALE = cv2.FONT_HERSHEY_DUPLEX, 0.5
TITLE, TITLE_SCALE = 46, 0.8


@dataclass(frozen=True, slots=True)
class Tile:
    rgb: Picture
    caption: str = ""


def sheet(title: str, rows: list[list[Tile]], width: int = 1360) -> Picture:
    """RGB of ``rows`` of equally wide tiles; a row may have any number of them."""
    strips = [_row(tiles, width - 2 * MARGIN) for tiles in rows if tiles]
    page = [_line(title, width - 2 * MARGIN, TITLE, TITLE_SCALE), *strips]
    return cv2.copyMakeBorder(
        np.vstack(page), MARGIN // 2, MARGIN, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=PAPER
    ).astype(np.uint8)


def write(path: Path, rgb: Picture) -> None:
    """A PNG in one step: no reader sees half of it."""
    good, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    part = path.with_name(f".{path.name}.part")
    try:
        if not good:
            raise SinkError(f"cannot make a PNG of {rgb.shape[1]}x{rgb.shape[0]}")
        part.write_bytes(data.tobytes())
        part.replace(path)
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror}", "Choose another place for OUT.") from error
    finally:
        part.unlink(missing_ok=True)


def _row(tiles: list[Tile], width: int) -> Picture:
    each = (width - GAP * (len(tiles) - 1)) // len(tiles)
    pictures = [_fitted(tile.rgb, each) for tile in tiles]
    height = max(picture.shape[0] for picture in pictures)
    captioned = any(tile.caption for tile in tiles)
    page = _paper(width, height + (CAPTION if captioned else 0) + GAP)
    for place, (tile, picture) in enumerate(zip(tiles, pictures, strict=True)):
        left = place * (each + GAP)
        page[: picture.shape[0], left : left + each] = picture
        if tile.caption:
            page[height : height + CAPTION, left : left + each] = _line(tile.caption, each, CAPTION, FONT_SCALE)
    return page


def _fitted(rgb: Picture, width: int) -> Picture:
    height = max(1, round(rgb.shape[0] * width / rgb.shape[1]))
    how = cv2.INTER_AREA if width < rgb.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=how), np.uint8)


def _line(text: str, width: int, height: int, scale: float) -> Picture:
    page = _paper(width, height)
    plain = unicodedata.normalize("NFKD", text)  # e and its accent apart
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    printable = letters.encode("ascii", "replace").decode()  # all that these letters can draw
    cv2.putText(page, printable, (1, round(height * 0.62)), FONT, scale, INK, 1, cv2.LINE_AA)
    return page


def _paper(width: int, height: int) -> Picture:
    return np.full((height, width, 3), PAPER, np.uint8)
