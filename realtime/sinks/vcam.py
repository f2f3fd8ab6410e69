"""``vcam:``: a virtual camera that video calls can choose."""

import sys
from types import TracebackType
from typing import Any, Self

import numpy as np

from allaprima.realtime.errors import SinkError
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.sinks.pace import Pace
from allaprima.realtime.sinks.picture import even, to_av

HINTS = {
    "linux": "Load the driver: sudo apt install v4l2loopback-dkms && "
    "sudo modprobe v4l2loopback exclusive_caps=1 card_label=allaprima",
    "darwin": "Install OBS and start its virtual camera once.",
    "win32": "Install OBS, which brings the virtual camera.",
}


class VirtualCameraSink:
    """``vcam:`` takes the first device, ``vcam:/dev/video10`` that one."""

    steady = True

    def __init__(self, device: str, info: StreamInfo) -> None:
        try:
            import pyvirtualcam
        except ImportError as error:
            raise SinkError("vcam: needs the package pyvirtualcam", "pip install 'allaprima[vcam]'") from error
        self.notes: list[str] = []
        self._pace = Pace(info)
        self._size = even(info.size)
        if self._size != info.size:
            self.notes.append(f"padded to {self._size[0]}x{self._size[1]} because cameras have even sizes")
        try:
            self._camera: Any = pyvirtualcam.Camera(
                *self._size, float(info.rate or 30), fmt=pyvirtualcam.PixelFormat.I420, device=device or None
            )
        except (RuntimeError, OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise SinkError(f"no virtual camera opens: {reason}", HINTS.get(sys.platform, "")) from error

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame) -> None:
        self._pace.wait(frame)
        # The three planes one behind the other, each without gaps.
        picture = to_av(frame, self._size if even(frame.size) == self._size else even(frame.size))
        if (picture.width, picture.height) != self._size:
            picture = picture.reformat(*self._size)
        self._camera.send(np.ascontiguousarray(picture.to_ndarray()).reshape(-1))

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._camera.close()
