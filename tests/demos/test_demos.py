"""Each demo as a user starts it, at a tiny size."""

import os
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from allaprima.demos import contact_sheet, make_demo
from allaprima.demos.contact_sheet import Tile

TINY = "test:landscape?size=64x48&frames=4"


def demo(name: str, *words: str, folder: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"allaprima.demos.{name}", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    return done


def frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_paint_file(tmp_path: Path) -> None:
    done = demo("paint_file", TINY, "out.mp4", "great-wave", folder=tmp_path)
    assert "4 frames" in done.stdout
    assert frames(tmp_path / "out.mp4") == 4


def test_paint_file_is_under_twenty_lines() -> None:
    text = Path(__file__).parents[2].joinpath("demos", "paint_file.py").read_text()
    assert len(text.splitlines()) < 20


def test_webcam_with_a_scene_for_a_camera(tmp_path: Path) -> None:
    assert "4 frames" in demo("webcam", "starry-night", TINY, "null:", folder=tmp_path).stdout


def test_mix_styles(tmp_path: Path) -> None:
    source = "test:landscape?size=64x48&frames=12"
    done = demo("mix_styles", source, "out.mp4", "starry-night", "udnie", "the-scream", folder=tmp_path)
    assert "starry-night, udnie, the-scream" in done.stdout
    assert frames(tmp_path / "out.mp4") == 12


def test_your_own_loop(tmp_path: Path) -> None:
    demo("your_own_loop", "udnie", "both.png", folder=tmp_path)
    assert cv2.imread(str(tmp_path / "both.png")).shape == (360, 1280, 3)


def test_make_demo_paints_the_scene_and_lays_out_every_style(tmp_path: Path) -> None:
    short = ("--size", "64x48", "--seconds", "0.1")
    done = demo("make_demo", *short, folder=tmp_path)
    assert str(Path("out/demo.mp4")) in done.stdout
    assert str(Path("out/demo.png")) in done.stdout
    assert frames(tmp_path / "out" / "demo.mp4") == 3
    height = cv2.imread(str(tmp_path / "out" / "demo.png")).shape[0]
    own = demo("make_demo", *short, "--in", "test:landscape", "--style", "udnie", folder=tmp_path)
    assert "udnie" in own.stderr
    assert cv2.imread(str(tmp_path / "out" / "demo.png")).shape[0] < height  # the usual place is written again


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--in", "nothing.mp4"), 3, "no such file"),
        (("--style", "stary-night"), 8, "did you mean starry-night"),
        (("--in", TINY, "--out", "taken.mp4"), 10, "taken.png exists"),
        (("--in", TINY, "--out", "nowhere/out.mp4"), 4, "there is no folder"),
        (("--size", "big"), 2, "not a size"),
    ],
)
def test_make_demo_tells_mistakes_in_one_line(words: tuple[str, ...], code: int, says: str, tmp_path: Path) -> None:
    (tmp_path / "taken.png").touch()
    told = demo("make_demo", *words, folder=tmp_path, code=code).stderr
    assert says in told
    assert told.startswith("error: ")
    assert len(told.splitlines()) <= 2


def test_the_styles_of_a_sheet_stand_in_rows_of_nearly_one_length() -> None:
    rows = make_demo.evenly([Tile(np.zeros((1, 1, 3), np.uint8), str(i)) for i in range(14)], 5)
    assert [len(row) for row in rows] == [5, 4, 5]
    assert [tile.caption for row in rows for tile in row] == [str(i) for i in range(14)]


def test_a_caption_loses_its_accents_not_its_letters() -> None:
    def row(caption: str) -> contact_sheet.Picture:
        return contact_sheet.sheet("", [[Tile(np.zeros((9, 16, 3), np.uint8), caption)]])

    assert np.array_equal(row("Cézanne, Doré"), row("Cezanne, Dore"))
