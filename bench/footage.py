"""What steadiness is measured on: frames, and the motion between them, exact where a scene or a file tells it."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.bench import clips
from allaprima.bench.coherence import Flow, Mask, Picture, forward_backward_hidden, grown, outside
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.frame import Frame
from allaprima.realtime.rgb import Rgb
from allaprima.realtime.sources.scenes import SCENES, open_scene

Bytes = NDArray[np.uint8]
Motion = tuple[Flow, Mask]

RATE = Fraction(30)
LEAST_SEEN = 0.2
"""Share of a pair that must be comparable; pairs with less are cuts, and are counted, not measured."""
PAN_PX, PAN_FRAMES = 8, 24
"""Pixels a frame, and frames, of the even pan that lag is measured on."""
UNKNOWN_FLOW = 1e9
"""Values above it mean "unknown" in a .flo file."""
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi")


@dataclass(frozen=True, slots=True)
class Footage:
    """Frames and the motion between them: ``motion[t]`` leads from frame ``t`` to ``t - 1``."""

    name: str
    frames: Sequence[Frame]
    motion: Sequence[Motion]
    cut: int | None = None
    """The first frame of another shot."""
    still: bool = False
    pan: bool = False
    """Moves evenly and fast; made for lag, and no part of the means."""
    rate: Fraction = RATE
    """Frames per second."""


class Reel(Sequence[Picture]):
    """Pictures as they are shown: items are float32 RGB ``(H, W, 3)`` in 0..1, kept as uint8 in `bytes`, a
    quarter of the memory."""

    def __init__(self, pictures: Iterable[Bytes]) -> None:
        self.bytes = list(pictures)

    def __len__(self) -> int:
        return len(self.bytes)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Reel(self.bytes[index])
        return self.bytes[index].astype(np.float32) / 255


def as_bytes(picture: Picture) -> Bytes:
    """uint8 of a float picture in 0..1, rounded."""
    return np.asarray(np.clip(picture * 255 + 0.5, 0, 255), np.uint8)


def pictures(frames: Iterable[Frame]) -> Reel:
    rgb = Rgb()
    return Reel(rgb.array(frame) for frame in frames)


def pairs(footage: Footage) -> Iterator[int]:
    """Frames that can be compared with the one before."""
    for index in range(1, len(footage.frames)):
        if 1 - footage.motion[index][1].mean() >= LEAST_SEEN:
            yield index


# ---- motion that has to be estimated ----


def medium_flow() -> Any:
    """OpenCV's DIS in its medium setting (Kroeger et al., ECCV 2016)."""
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def estimated(dis: Any, earlier: Bytes, later: Bytes) -> Motion:
    """Flow from the gray picture ``later`` to ``earlier``, both uint8 ``(H, W)``, checked forward and backward."""
    backward, forward = dis.calc(later, earlier, None), dis.calc(earlier, later, None)
    return backward, forward_backward_hidden(backward, forward)


# ---- kinds of footage ----


def scene_footage(name: str, size: clips.Size, frames: int) -> Footage:
    """A test scene with its exact motion; around its first cut where it has one."""
    scene, rgb = open_scene(name, size, RATE), Rgb()
    cut = min(scene.cuts, default=None)
    first = 0 if cut is None else max(0, cut - frames // 2)
    range_ = range(first, first + frames)
    motion = [scene.motion(index) for index in range_]
    return Footage(
        name=f"test:{name}",
        frames=[rgb.frame(scene.frame(index)) for index in range_],
        motion=[(flow, grown(hidden)) for flow, hidden in motion],
        cut=None if cut is None else cut - first,
        still=name == "still-noise",
    )


def pan_footage(size: clips.Size, frames: int = PAN_FRAMES) -> Footage:
    """One wide picture behind a window that goes `PAN_PX` to the right each frame; exact motion."""
    width, height = size
    wide = open_scene("landscape", (width + PAN_PX * (frames - 1), height), RATE).frame(0)
    rgb, flow = Rgb(), np.zeros((height, width, 2), np.float32)
    flow[..., 0] = PAN_PX
    unrelated = (np.zeros_like(flow), np.ones((height, width), bool))
    return Footage(
        name="test:pan",
        frames=[rgb.frame(wide[:, PAN_PX * t : PAN_PX * t + width]) for t in range(frames)],
        motion=[unrelated, *[(flow, outside(flow))] * (frames - 1)],
        pan=True,
    )


def clip_footage(path: Path, frames: int) -> Footage:
    """A file with the flow that OpenCV's DIS (medium) finds, checked forward and backward."""
    found = clips.frames_of(path, frames)
    height, width = found[0].planes[0].shape
    motion: list[Motion] = [(np.zeros((height, width, 2), np.float32), np.ones((height, width), bool))]
    dis = medium_flow()
    for before, now in itertools.pairwise(found):
        earlier, later = (np.ascontiguousarray(frame.planes[0]) for frame in (before, now))
        motion.append(estimated(dis, earlier, later))
    return Footage(path.stem, found, motion, rate=clips.rate(path))


def true_pair(truth: Path) -> Footage:
    """Two pictures with the true flow of Middlebury or Sintel, as the file ``truth`` (.flo) gives it.

    The flow leads from the first picture to the second, so they are played the other way round: the second,
    then the first, and no flow has to be inverted.
    """
    flow = cv2.readOpticalFlow(str(truth))
    number = re.search(r"\d+", truth.stem)
    if flow is None or not flow.size or number is None:
        raise ConfigError(f"{truth} is not a flow file that can be read")
    following = f"{int(number[0]) + 1:0{len(number[0])}d}"
    first, second = (_read(truth.parent, f"frame*{index}.png") for index in (number[0], following))
    unknown = (np.abs(flow) > UNKNOWN_FLOW).any(-1)
    flow[unknown] = 0
    hidden = unknown | outside(flow)
    for name in ("occlusions", "invalid"):
        if (mask := truth.with_name(f"{name}_{truth.stem}.png")).exists():
            hidden |= cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE) > 127
    rgb, unrelated = Rgb(), (np.zeros_like(flow), np.ones_like(hidden))
    frames = [rgb.frame(np.ascontiguousarray(bgr[..., ::-1])) for bgr in (second, first)]
    return Footage(truth.parent.name, frames, [unrelated, (flow, hidden)])


def _read(folder: Path, pattern: str) -> Bytes:
    found = next(folder.glob(pattern), None)
    bgr = None if found is None else cv2.imread(str(found), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ConfigError(f"there is no picture {pattern} in {folder}")
    return np.asarray(bgr, np.uint8)


def true_pairs(folder: Path) -> Iterator[Footage]:
    """Those of all .flo files below a folder; none where there is no such folder."""
    for truth in sorted(folder.rglob("*.flo")):
        yield true_pair(truth)


def footages(size: clips.Size, frames: int, folder: Path | None) -> Iterator[Footage]:
    """The test scenes, the pan, then the clips of a folder, one at a time: each fills memory with its frames."""
    for name in SCENES:
        yield scene_footage(name, size, frames)
    yield pan_footage(size)
    if folder is not None:
        found = sorted(path for path in folder.glob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
        if not found:
            raise ConfigError(f"there is no clip in {folder}", f"Looked for {', '.join(VIDEO_SUFFIXES)}.")
        for path in found:
            yield clip_footage(path, frames)
