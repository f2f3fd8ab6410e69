"""The virtual camera, with a stand-in for its driver."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from allaprima.realtime.errors import SinkError
from allaprima.realtime.sinks import open_sink


def test_no_package(studio, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(SinkError) as caught:
        open_sink("vcam:", studio.info())
    assert caught.value.hint == "pip install 'allaprima[vcam]'"


def test_no_driver(studio):
    pytest.importorskip("pyvirtualcam")
    with pytest.raises(SinkError, match="no virtual camera"):
        open_sink("vcam:/dev/video97", studio.info())


@pytest.mark.skipif(sys.platform != "linux", reason="the hint is for Linux")
def test_no_driver_hint(studio, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("'v4l2loopback' backend: no devices\nmore")

    module = SimpleNamespace(Camera=fail, PixelFormat=SimpleNamespace(I420="I420"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)
    with pytest.raises(SinkError, match=r"no devices$") as caught:
        open_sink("vcam:", studio.info())
    assert "modprobe v4l2loopback" in caught.value.hint


def test_frames(studio, monkeypatch):
    sent, opened = [], []

    class Camera:
        def __init__(self, *args, **named):
            opened.append((args, named))

        def send(self, data):
            sent.append(data.copy())

        def close(self):
            sent.append("closed")

    module = SimpleNamespace(Camera=Camera, PixelFormat=SimpleNamespace(I420="I420"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)
    info = studio.info((65, 48), live=True)
    with open_sink("vcam:/dev/video10", info) as sink:
        sink.write(studio.frame(0, 0, info))
    assert opened == [((66, 48, 25.0), {"fmt": "I420", "device": "/dev/video10"})]
    assert sent[0].shape == (66 * 48 * 3 // 2,)
    assert np.array_equal(sent[0][: 66 * 48].reshape(48, 66)[:, :65], studio.frame(0, 0, info).planes[0])
    assert sent[1] == "closed"
    assert sink.notes == ["padded to 66x48 because cameras have even sizes"]
