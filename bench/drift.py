"""Does what is shown change with time, though the input does not?  The same second of video, again and again."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allaprima.bench import clips
from allaprima.bench.coherence import LUMA, Picture, blobs, fine_stripes, low_passed_distance, sharpness_ratio
from allaprima.bench.footage import RATE, pictures
from allaprima.bench.painted import check
from allaprima.realtime.frame import Frame
from allaprima.realtime.rgb import Rgb
from allaprima.realtime.sources.scenes import open_scene
from allaprima.realtime.stylizer import Stylizer

SIZE = (320, 180)
SCENE = "landscape"
WINDOW = 15
"""Frames over which a moment's figures are means: the last half of its second."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The default against per-frame painting of the same frames, after so many seconds."""

    second: int
    sharpness: float
    """Ratio at half size."""
    brightness: float
    """Mean luma over that of per-frame painting, difference in 0..1."""
    distance: float
    """Low-passed, root mean square in 0..1."""
    stripes: float
    """Fine stripes on even places, ratio (`fine_stripes`)."""
    blobs: float
    """Coarse waves that nobody painted, ratio (`blobs`)."""

    @classmethod
    def of(cls, second: int, shown: Sequence[Picture], alone: Sequence[Picture]) -> "Moment":
        together = list(zip(shown, alone, strict=True))
        return cls(
            second=second,
            sharpness=sharpness_ratio(shown, alone, half=True),
            brightness=float(np.mean([((a - b) @ LUMA).mean(dtype=np.float64) for a, b in together])),
            distance=float(np.mean([low_passed_distance(a, b) for a, b in together])),
            stripes=fine_stripes(shown, alone),
            blobs=blobs(shown, alone),
        )

    def as_json(self) -> dict[str, Any]:
        figures = {"sharpness": self.sharpness, "brightness": self.brightness, "distance": self.distance}
        figures |= {"stripes": self.stripes, "blobs": self.blobs}
        return {"second": self.second} | {name: round(value, 5) for name, value in figures.items()}


def change(moments: Sequence[Moment]) -> dict[str, float]:
    """From the first moment to the last: of the sharpness relative, of the others in shares of full scale."""
    first, last = moments[0], moments[-1]
    return {
        "sharpness": last.sharpness / first.sharpness - 1,
        "brightness": last.brightness - first.brightness,
        "distance": last.distance - first.distance,
    }


def swing(size: clips.Size = SIZE) -> list[Frame]:
    """One second of a scene that goes forth and back, so that it can be repeated without a jump.

    History is then never swept out of the picture: nothing that creeps in goes away by itself.  And every
    second shows the same, so that a change can only come from the history.
    """
    scene, rgb, period = open_scene(SCENE, size, RATE), Rgb(), int(RATE)
    forth = [rgb.frame(scene.frame(index)) for index in range(period // 2 + 1)]
    return forth + forth[-2:0:-1]


def measure(
    seconds: Iterable[int], style: str | None = None, bundle: Path | None = None, size: clips.Size = SIZE
) -> Iterator[Moment]:
    """The moments at the ends of these seconds; no more than a second of pictures is kept."""
    frames, wanted = swing(size), sorted(set(seconds))
    alone = pictures(_paint(Stylizer(style, steadiness=0.0, bundle=bundle), frames))[-WINDOW:]
    steady = Stylizer(style, bundle=bundle)
    for second in range(1, wanted[-1] + 1):
        made = _paint(steady, frames)
        if second in wanted:
            yield Moment.of(second, pictures(made[-WINDOW:]), alone)


def _paint(stylizer: Stylizer, frames: Sequence[Frame]) -> list[Frame]:
    made = [stylizer(frame).landed() for frame in frames]
    check((frame.planes[0] for frame in frames), (frame.planes[0] for frame in made))
    return made
