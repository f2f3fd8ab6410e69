"""What stands beside a speed: whether the picture was steady, and whether steadiness has cost its sharpness."""

from pathlib import Path

from allaprima.bench import clips, footage
from allaprima.bench.coherence import e_warp, sharpness_ratio
from allaprima.bench.painted import check
from allaprima.realtime.stylizer import Stylizer

FRAMES = 12
SCENE = "landscape"


def beside(size: clips.Size, style: str, backend: str, bundle: Path | None, frames: int = FRAMES) -> dict[str, float]:
    """``flicker`` and ``sharpness`` of a catalogue's case, along the exact motion of a scene; raises `NotPainted`."""
    scene = footage.scene_footage(SCENE, size, frames)
    reels = []
    for steadiness in (None, 0.0):
        stylizer = Stylizer(style, steadiness=steadiness, bundle=bundle, backend=backend)
        made = [stylizer(frame).landed() for frame in scene.frames]
        check((frame.planes[0] for frame in scene.frames), (frame.planes[0] for frame in made))
        reels.append(footage.pictures(made))
    held, alone = reels
    errors = [[e_warp(reel[t], reel[t - 1], *scene.motion[t]) or 0.0 for reel in reels] for t in footage.pairs(scene)]
    above, below = (sum(each[which] for each in errors) for which in (0, 1))
    flicker = (above / below) ** 0.5 if below else 0.0
    return {"flicker": round(flicker, 4), "sharpness": round(sharpness_ratio(held, alone, True), 4)}
