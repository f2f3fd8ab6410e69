"""A loop of your own, NumPy in and NumPy out: python -m allaprima.demos.your_own_loop [STYLE] [PNG]

Give `Stylizer.paint` the RGB frames of one stream in order; it remembers what it needs to keep them steady.
"""

import sys
from fractions import Fraction

import cv2
import numpy as np

from allaprima.realtime import Stylizer
from allaprima.realtime.sources.scenes import open_scene

FRAMES = 12


def main(style: str = "starry-night", png: str = "your_own_loop.png") -> None:
    scene = open_scene("landscape", (640, 360), Fraction(30))  # your camera, your game, your renderer
    stylizer = Stylizer(style)
    for index in range(FRAMES):
        rgb = scene.frame(index)  # (H, W, 3) uint8
        painted = stylizer.paint(rgb)  # the same shape
    both = np.hstack([rgb, painted])
    if not cv2.imwrite(png, cv2.cvtColor(both, cv2.COLOR_RGB2BGR)):
        sys.exit(f"cannot write {png}")
    print(f"{FRAMES} frames painted, the last one beside its input: {png}")


if __name__ == "__main__":
    main(*sys.argv[1:])
