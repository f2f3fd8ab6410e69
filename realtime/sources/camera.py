"""``camera:0``, ``camera:/dev/video2``: cameras of this machine, through FFmpeg's device readers."""

import contextlib
import errno
import os
import re
import sys
from pathlib import Path
from typing import Any

import av
from av.device import enumerate_input_devices
from av.error import FFmpegError

from allaprima.realtime.errors import SourceError
from allaprima.realtime.sources.reader import Input, MediaSource
from allaprima.realtime.sources.request import Request
from allaprima.realtime.sources.tally import reason

SIZE = (1280, 720)
RATE = 30
TIMEOUT_SECONDS = 5

READER = {"darwin": "avfoundation", "win32": "dshow"}.get(sys.platform, "video4linux2,v4l2")


FINAL = {errno.EBUSY, errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EACCES, errno.EPERM}
"""Errors that another capture mode would not cure."""


def open_camera(uri: str, request: Request) -> MediaSource:
    name = uri.partition(":")[2] or "0"
    device = device_of(name)
    with contextlib.ExitStack() as undo:
        container = _open(uri, device, request.size or SIZE)
        undo.callback(container.close)
        videos = container.streams.video
        if not videos or videos[0].codec_context is None:
            raise SourceError(f"{uri} gives no video that can be decoded", _others())
        videos[0].codec_context.thread_type = "SLICE"
        source = MediaSource(Input(uri, container, videos[0], live=True, from_zero=True), request)
        undo.pop_all()
    return source


def device_of(name: str) -> str:
    """What FFmpeg calls the camera on this system."""
    if READER == "dshow":
        return f"video={_dshow_name(name)}"
    if READER == "avfoundation":
        return f"{name}:none"
    return f"/dev/video{name}" if name.isdigit() else name


def list_cameras() -> list[str]:
    """The cameras of this machine, as `open_source` takes them, with what they call themselves."""
    if READER.startswith("video4linux2"):
        return [f"camera:{path}{_title(path)}" for path in _v4l2_devices()]
    return [f"camera:{number}  {title}" for number, title in enumerate(_known())]


def _v4l2_devices() -> list[str]:
    nodes = [str(path) for path in Path("/dev").glob("video*") if re.fullmatch(r"video\d+", path.name)]
    return sorted(nodes, key=lambda path: int(path.removeprefix("/dev/video")))


def _title(path: str) -> str:
    name = Path("/sys/class/video4linux", Path(path).name, "name")
    return f"  {name.read_text().strip()}" if name.exists() else ""


def _known() -> list[str]:
    try:
        found = enumerate_input_devices(READER)
    except (FFmpegError, OSError, ValueError):
        return []
    return [f"{device.description or device.name}" for device in found if "video" in device.media_types]


def _dshow_name(name: str) -> str:
    known = _known() if name.isdigit() else []
    return known[int(name)] if name.isdigit() and int(name) < len(known) else name


def _modes(size: tuple[int, int]) -> list[tuple[str, dict[str, str]]]:
    """From what is wanted to whatever the camera gives; MJPEG first, raw video starves USB at 720p."""
    shape = {"video_size": f"{size[0]}x{size[1]}"}
    rate = {"framerate": str(RATE)}
    named = f"{size[0]}x{size[1]}"
    packed = {"vcodec": "mjpeg"} if READER == "dshow" else {"input_format": "mjpeg"}
    modes = [] if READER == "avfoundation" else [(f"{named} MJPEG at {RATE}", shape | rate | packed)]
    return [*modes, (f"{named} at {RATE}", shape | rate), (named, shape), ("any mode", {})]


def _open(uri: str, device: str, size: tuple[int, int]) -> Any:
    _check(uri, device)
    failed, code = list[str](), None
    for mode, options in _modes(size):
        try:
            return av.open(device, format=READER, options=options, timeout=TIMEOUT_SECONDS)
        except (FFmpegError, OSError, ValueError) as error:
            failed.append(f"{mode}: {reason(error)}")
            code = getattr(error, "errno", None)
            if code in FINAL:
                break
    raise _refused(uri, failed, code)


def _check(uri: str, device: str) -> None:
    if not READER.startswith("video4linux2"):
        return
    if not os.path.exists(device):
        raise SourceError(f"cannot open {uri}: there is no {device}", _others())
    if not os.access(device, os.R_OK | os.W_OK):
        raise _forbidden(uri)


def _refused(uri: str, failed: list[str], code: int | None) -> SourceError:
    if code == errno.EBUSY:
        return SourceError(f"cannot open {uri}: another program is using it", "Close that program first.")
    if code in (errno.EACCES, errno.EPERM):
        return _forbidden(uri)
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return SourceError(f"cannot open {uri}: there is no such camera", _others())
    return SourceError(f"cannot open {uri}: {'; '.join(failed)}", "Is it a camera, and is it switched on?")


def _forbidden(uri: str) -> SourceError:
    hint = "Allow it in the system's privacy settings."
    if READER.startswith("video4linux2"):
        hint = "Add yourself to the group: sudo usermod -aG video $USER, then log in again."
    return SourceError(f"cannot open {uri}: no permission to use it", hint)


def _others() -> str:
    found = list_cameras()
    return f"Cameras here: {', '.join(found)}." if found else "No camera was found on this machine."
