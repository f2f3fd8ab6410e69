"""What a URI means, and what is said when nothing is there."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from allaprima.realtime.errors import SourceError, SourceLost
from allaprima.realtime.sources import SCHEMES, Source, camera, media, open_source
from allaprima.realtime.sources.request import label

Clip = Callable[..., str]


def refused(uri: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        open_source(uri)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return caught.value


def test_a_file_named_like_a_url(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(clip(frames=2))
    monkeypatch.chdir(path.parent)
    path.rename("udp:1.mp4")
    for name in ("udp:1.mp4", "file:udp:1.mp4"):
        with open_source(name) as source:
            assert len(list(source)) == 2


def test_percent_signs(clip: Clip) -> None:
    path = clip("a clip 100%.mkv", frames=2)
    coded = path.replace("%", "%25").replace(" ", "%20")
    for name in (path, f"file:{path}", f"file://{path}", f"file://{coded}", f"file://localhost{coded}"):
        with open_source(name) as source:
            assert len(list(source)) == 2


def test_sources_keep_the_protocol(clip: Clip) -> None:
    source: Source = open_source(clip())
    with source as entered:
        assert entered is source


@pytest.mark.parametrize(
    ("uri", "near"), [("rstp://host/a", "rtsp:"), ("cam:0", "camera:"), ("tset:landscape", "test:")]
)
def test_unknown_kinds_name_the_nearest(uri: str, near: str) -> None:
    assert near in refused(uri).hint


def test_unknown_kinds_far_from_all() -> None:
    assert all(scheme in refused("xylophone:3").hint for scheme in SCHEMES)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/a.mp4", "tcp://127.0.0.1:1", "rtmp://127.0.0.1:1/live/a"])
def test_nobody_answers(uri: str) -> None:
    assert "refused" in str(refused(uri))


def test_every_attempt_is_listed() -> None:
    message = str(refused("rtsp://anna:secret@127.0.0.1:1/door"))
    assert "tcp: Connection refused; udp: Connection refused" in message
    assert "secret" not in message


def test_silence_ends_in_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "NETWORK_TIMEOUT_SECONDS", 0.3)
    assert "no answer within" in str(refused("udp://127.0.0.1:39217"))


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://anna:secret@host:8554/door?x=1", "rtsp://anna:***@host:8554/door?x=1"),
        ("srt://host:9000?passphrase=secret&mode=caller", "srt://host:9000?passphrase=***&mode=caller"),
        ("https://host/a.m3u8?token=abc", "https://host/a.m3u8?token=***"),
        ("clip@home: take:2.mp4", "clip@home: take:2.mp4"),
        ("udp://@239.0.0.1:1234", "udp://@239.0.0.1:1234"),
    ],
)
def test_secrets_are_not_shown(uri: str, shown: str) -> None:
    assert label(uri) == shown


# Cameras


class Device:
    """Stands in for FFmpeg's reader of cameras."""

    def __init__(self, path: str, error: type[Exception] | None, code: int, only: str = "") -> None:
        self.path, self.error, self.code, self.only = path, error, code, only
        self.asked: list[dict[str, str]] = []

    def open(self, name: str, **wishes: Any) -> Any:
        self.asked.append(wishes["options"])
        if self.error is not None and self.only not in wishes["options"]:
            raise self.error(self.code, os.strerror(self.code), name)
        return REAL_OPEN(self.path)


REAL_OPEN = av.open


@pytest.fixture
def device(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Device]:
    def make(error: type[Exception] | None = None, code: int = 0) -> Device:
        fake = Device(clip("cam.mkv", pts=[9000, 9040, 9080], options={"bf": "0"}), error, code, only="none")
        monkeypatch.setattr(camera, "READER", "video4linux2,v4l2")
        monkeypatch.setattr(camera, "device_of", lambda name: fake.path)
        monkeypatch.setattr(av, "open", fake.open)
        return fake

    return make


def test_no_camera() -> None:
    error = refused("camera:77")
    assert "there is no" in str(error)
    assert "camera" in error.hint.lower()


def test_a_camera_that_gives_frames(device: Callable[..., Device]) -> None:
    fake = device()
    with open_source("camera:0", size=(64, 48), frames=2) as source:
        frames = list(source)
    assert source.info.live
    assert [frame.pts for frame in frames] == [0, frames[1].pts]
    assert fake.asked == [{"video_size": "64x48", "framerate": "30", "input_format": "mjpeg"}]


def test_a_camera_that_goes_away(device: Callable[..., Device]) -> None:
    device()
    with open_source("camera:0") as source, pytest.raises(SourceLost, match="camera:0"):
        list(source)


@pytest.mark.parametrize(
    ("error", "code", "said", "hint"),
    [
        (av.error.OSError, errno.EBUSY, "another program", "Close"),
        (av.error.PermissionError, errno.EACCES, "permission", "group"),
        (av.error.OSError, errno.ENODEV, "no such camera", "amera"),
    ],
)
def test_cameras_that_refuse(
    device: Callable[..., Device], error: type[Exception], code: int, said: str, hint: str
) -> None:
    fake = device(error, code)
    caught = refused("camera:0")
    assert said in str(caught)
    assert hint in caught.hint
    assert len(fake.asked) == 1


def test_every_mode_is_tried(device: Callable[..., Device]) -> None:
    fake = device(av.error.OSError, errno.EIO)
    message = str(refused("camera:0"))
    assert len(fake.asked) == 4
    assert fake.asked[-1] == {}
    for words in ("1280x720 MJPEG at 30: ", "1280x720 at 30: ", "1280x720: ", "any mode: "):
        assert words in message


def test_no_permission_for_a_camera(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "READER", "video4linux2,v4l2")
    monkeypatch.setattr(camera, "device_of", lambda name: clip())
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "video" in refused("camera:0").hint


def test_cameras_are_listed() -> None:
    assert all(name.startswith("camera:") for name in camera.list_cameras())
