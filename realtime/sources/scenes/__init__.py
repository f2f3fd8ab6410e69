"""Painted test scenes: moving pictures whose optical flow and occlusion are known exactly.

A scene is a stack of layers, like the painted flats of a stage.  Each layer is painted once, larger
than the picture; a frame only moves the layers by fractions of a pixel and lays them over one another,
back to front.  The flow of a pixel is the motion of the front-most layer there, so it needs no
estimation.

In this package lengths are in *picture heights* and speeds in heights per second unless a name says
``_px``, so that a scene looks the same at every size.  Colors are sRGB; paint is float32 in 0..1 with
premultiplied alpha until it is dry, and uint8 after.
"""

from collections.abc import Callable
from fractions import Fraction

from allaprima.realtime.sources.scenes.bay import bay_by_day
from allaprima.realtime.sources.scenes.harbor import harbor_at_dusk
from allaprima.realtime.sources.scenes.layers import Size
from allaprima.realtime.sources.scenes.stage import SHOT_FRAMES, Cutting, Scene, Still

__all__ = ["SCENES", "SHOT_FRAMES", "Scene", "open_scene"]

STILL_SECONDS = 2.0  # the instant of the landscape that `still-noise` looks at


def _landscape(size: Size, rate: Fraction) -> Scene:
    return bay_by_day(size, rate, "landscape")


def _cut(size: Size, rate: Fraction) -> Scene:
    return Cutting("cut", bay_by_day(size, rate, "day"), harbor_at_dusk(size, rate, "dusk"))


def _still_noise(size: Size, rate: Fraction) -> Scene:
    day = bay_by_day(size, rate, "day")
    return Still("still-noise", day.frame(round(STILL_SECONDS * rate)), rate)


_SCENES: dict[str, Callable[[Size, Fraction], Scene]] = {
    "landscape": _landscape,
    "cut": _cut,
    "still-noise": _still_noise,
}
SCENES: tuple[str, ...] = tuple(_SCENES)


def open_scene(name: str, size: Size = (1280, 720), rate: Fraction = Fraction(30)) -> Scene:
    """Paint the scene ``name`` at ``size`` (width, height; at least 16 x 16).

    Raises `ValueError` for a name that is not in `SCENES`.
    """
    if name not in _SCENES:
        raise ValueError(f"no scene is called {name!r}; there are {', '.join(SCENES)}")
    return _SCENES[name](size, rate)
