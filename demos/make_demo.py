"""What `make demo` runs: paint a clip, and lay out what came of it on one contact sheet.

python -m allaprima.demos.make_demo [--in clip.mp4] [--style great-wave] [--out painted.mp4]
"""

import argparse
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from allaprima.demos import contact_sheet
from allaprima.demos.contact_sheet import Picture, Tile
from allaprima.realtime import Stylizer, open_source, report
from allaprima.realtime.config import Config, parse_size
from allaprima.realtime.errors import AllaprimaError, OutputExists, SinkError, SourceError
from allaprima.realtime.job import Failed, Job
from allaprima.realtime.report import Outcome
from allaprima.realtime.rgb import Rgb
from allaprima.realtime.steering import Stop

SCENE, SIZE, SECONDS = "test:landscape", (1280, 720), 5.0
OUT = Path("out/demo.mp4")
STYLE = "starry-night"
MOMENTS = (0.04, 0.35, 0.65, 0.96)
"""Shares of the clip at which the sheet looks at it."""
STYLES_PER_ROW = 5
SETTLE_FRAMES = 4
"""Frames painted before the one that shows a style: its history is then full."""
LAST_FRAME_SECONDS = 0.05
"""The sheet looks no closer to the end than this."""
STOPPED = 130


def main() -> int:
    """Paint, print where the results are, give the exit code; a user's mistake is two lines."""
    wishes = _parse()
    try:
        with Stop().on_signals() as stop:
            return _demo(wishes, stop)
    except AllaprimaError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--in", dest="source", metavar="IN", default="", help=f"default {SCENE}")
    parser.add_argument("--style", metavar="STYLE", default="", help=f"name or mix, default {STYLE}")
    parser.add_argument("--out", metavar="OUT", default="", help=f"default {OUT}")
    parser.add_argument("--size", metavar="WxH", help="paint at this size")
    parser.add_argument("--seconds", type=float, help=f"no longer than this; default {SECONDS:g} for a scene")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT and its contact sheet")
    parser.add_argument("--no-open", action="store_true", help="do not show the results on the screen")
    return parser.parse_args()


def _demo(wishes: argparse.Namespace, stop: Stop) -> int:
    source, out = wishes.source or SCENE, Path(wishes.out or OUT)
    png = out.with_suffix(".png")
    overwrite = wishes.overwrite or not wishes.out  # what lies at the usual place is ours to replace
    if not wishes.out:
        _make_folder(out.parent)
    if png.exists() and not overwrite:
        raise OutputExists(f"{png} exists", "The contact sheet goes there: remove it, or name another OUT.")
    size = parse_size(wishes.size) if wishes.size else None if wishes.source else SIZE
    outcome = _paint(source, out, wishes, size, overwrite, stop)
    rows = [_looks(source, outcome, size), _looks(str(out), outcome)]
    if not wishes.source:
        rows += _styles(source, outcome)
    title = f"{outcome.style}: {source}, painted at {outcome.size[0]}x{outcome.size[1]}"
    contact_sheet.write(png, contact_sheet.sheet(title, rows))
    print(f"painted:        {out}\ncontact sheet:  {png}")
    if not wishes.no_open:
        _open_on_screen(out, png)
    return STOPPED if outcome.interrupted else 0


def _paint(
    source: str,
    out: Path,
    wishes: argparse.Namespace,
    size: tuple[int, int] | None,
    overwrite: bool,
    stop: Stop,
) -> Outcome:
    """The clip itself, with a progress bar and a summary."""
    seconds = wishes.seconds or (SECONDS if source.startswith("test:") else None)
    settings = Config(
        style=wishes.style or STYLE,
        size=None if size is None else f"{size[0]}x{size[1]}",  # type: ignore[arg-type]
        to=seconds,
        overwrite=overwrite,
    )
    job = Job(source, str(out), settings, stop)
    print(f"painting {source} in the style {settings.style}", file=sys.stderr, flush=True)
    try:
        with report.display() as on_frame:
            outcome = job.paint(on_frame)
    except Failed as error:
        print(report.summary(error.outcome))
        raise
    print(report.summary(outcome))
    return outcome


def _looks(uri: str, outcome: Outcome, size: tuple[int, int] | None = None) -> list[Tile]:
    """The clip at a few moments; none of a live one, which cannot be had again."""
    tiles = []
    for share in MOMENTS:
        at = share * max(0.0, outcome.video_seconds - LAST_FRAME_SECONDS)
        try:
            picture = _picture(uri, at, size)
        except SourceError:
            continue
        if picture is not None:
            tiles.append(Tile(picture, f"{at:.1f} s"))
    return tiles


def _picture(uri: str, at: float, size: tuple[int, int] | None) -> Picture | None:
    """The frame shown at ``at`` seconds, with square pixels; None of a live source."""
    with open_source(uri, size=size, start=at, frames=1) as source:
        if source.info.live:
            return None
        rgb, aspect = Rgb().array(next(iter(source))), source.info.sample_aspect or 1
    if aspect == 1:
        return rgb
    shape = (max(1, round(rgb.shape[1] * aspect)), rgb.shape[0])
    return np.asarray(cv2.resize(rgb, shape, interpolation=cv2.INTER_AREA), np.uint8)


def _styles(source: str, outcome: Outcome) -> list[list[Tile]]:
    """One frame of the scene in every style, with its name."""
    with open_source(source, size=outcome.size, frames=SETTLE_FRAMES) as scene:
        frames = list(scene)
    stylizer = Stylizer()
    tiles = []
    for name in stylizer.bank.names():
        stylizer.set_style(name)
        stylizer.forget()
        painted = [stylizer(frame) for frame in frames][-1]
        card = stylizer.bank.card(name)
        tiles.append(Tile(Rgb().array(painted), ", ".join(word for word in (name, card.artist) if word)))
    return evenly(tiles, STYLES_PER_ROW)


def evenly(tiles: list[Tile], longest: int) -> list[list[Tile]]:
    """Rows of at most ``longest`` tiles, none more than one shorter than another."""
    rows = -(-len(tiles) // longest)
    ends = [round(len(tiles) * row / rows) for row in range(rows + 1)]
    return [tiles[start:end] for start, end in pairwise(ends)]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot make the folder {folder}: {error.strerror}", "Name another OUT.") from error


def _open_on_screen(*files: Path) -> None:
    """Show the files with the desktop's own programs, where there is a screen."""
    opener = "open" if sys.platform == "darwin" and "SSH_CONNECTION" not in os.environ else None
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        opener = shutil.which("xdg-open")
    for file in files if opener else ():
        subprocess.Popen(
            [str(opener), str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


if __name__ == "__main__":
    sys.exit(main())
