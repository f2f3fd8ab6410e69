"""Paint the camera into a window: python -m allaprima.demos.webcam [STYLE] [IN] [OUT]

Keys: 1-9 styles, left and right strength, space the plain picture, q the end.
"""

import sys
import threading

from allaprima.realtime import Progress, Stylizer, open_sink, open_source, run
from allaprima.realtime.steering import Steering


def main(style: str | None = None, camera: str = "camera:0", window: str = "window:") -> None:
    source = open_source(camera, size=(640, 480) if camera.startswith("camera:") else None)
    stylizer, stop = Stylizer(style), threading.Event()
    keys = Steering(stylizer, stop, float(source.info.rate or 30))
    sink = open_sink(window, source.info, controls=keys)

    def follow(progress: Progress) -> None:
        keys.progress = progress  # the window shows the speed

    progress = run(source, stylizer, [sink], stop=stop, on_frame=follow)
    print(f"{progress.painted} frames painted, {progress.fps:.1f} a second, {progress.dropped_in} dropped")


if __name__ == "__main__":
    main(*sys.argv[1:])
