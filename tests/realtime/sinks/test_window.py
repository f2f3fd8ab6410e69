"""The window, on SDL's dummy screen."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from allaprima.realtime.errors import SinkError
from allaprima.realtime.frame import Color
from allaprima.realtime.sinks import open_sink
from allaprima.realtime.sinks.window import fit


@pytest.fixture
def pygame(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    from allaprima.realtime.sinks import window

    try:
        return window._pygame()
    except SinkError:
        pytest.skip("pygame is not installed")


class Recorder:
    def __init__(self):
        self.calls = []

    def select(self, number):
        self.calls.append(("select", number))

    def toggle_bypass(self):
        self.calls.append("bypass")

    def change_strength(self, delta):
        self.calls.append(("strength", delta))

    def quit(self):
        self.calls.append("quit")

    def status(self):
        return "starry night 0.8"


def plain(studio, info, y, u, v):
    width, height = info.size
    luma, chroma = (height, width), (height // 2, width // 2)
    values = ((luma, y), (chroma, u), (chroma, v))
    planes = tuple(np.full(shape, value, np.uint8) for shape, value in values)
    return replace(studio.frame(0, 0, info), planes=planes)


@pytest.mark.parametrize(
    ("color", "yuv"), [(Color(matrix=1, range=1), (63, 102, 240)), (Color(matrix=6, range=1), (81, 90, 240))]
)
def test_red_is_red(studio, pygame, color, yuv):
    info = studio.info((64, 48), live=True, color=color)
    with open_sink("window:", info) as sink:
        sink.write(plain(studio, info, *yuv))
        red, green, blue, _ = pygame.display.get_surface().get_at((32, 24))
    assert red > 250
    assert green < 6
    assert blue < 6


def test_keys(studio, pygame):
    controls = Recorder()
    info = studio.info((64, 48), live=True)
    names = ("1", "9", "SPACE", "LEFT", "RIGHT", "f", "f", "q")
    keys = [getattr(pygame, f"K_{name}") for name in names]
    with open_sink("window:", info, controls=controls) as sink:
        sink.write(plain(studio, info, 16, 128, 128))
        before = pygame.surfarray.array3d(pygame.display.get_surface()).max()
        for key in keys:
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
        pygame.event.post(pygame.event.Event(pygame.QUIT))
        sink.write(plain(studio, info, 16, 128, 128))
        after = pygame.surfarray.array3d(pygame.display.get_surface()).max()
    strength = [("strength", -0.1), ("strength", 0.1)]
    assert controls.calls == [("select", 1), ("select", 9), "bypass", *strength, "quit", "quit"]
    assert before < 10
    assert after > 200  # the line of text


def test_letterbox(studio, pygame):
    info = studio.info((64, 48), live=True)
    with open_sink("window:", info) as sink:
        sink.write(plain(studio, info, 235, 128, 128))
        pygame.display.set_mode((200, 48), pygame.RESIZABLE)
        sink.write(plain(studio, info, 235, 128, 128))
        surface = pygame.display.get_surface()
        assert surface.get_at((100, 24))[0] > 250
        assert surface.get_at((5, 24))[0] == 0


def test_fit():
    assert fit((64, 48), 1.0, (128, 96)) == (0, 0, 128, 96)
    assert fit((64, 48), 1.0, (200, 48)) == (68, 0, 64, 48)
    assert fit((720, 576), 16 / 15, (768, 576)) == (0, 0, 768, 576)


def test_no_screen(studio, pygame, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonsense")
    with pytest.raises(SinkError, match="no window opens"):
        open_sink("window:", studio.info())


def test_no_pygame(studio, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(SinkError) as caught:
        open_sink("window:", studio.info())
    assert caught.value.hint == "pip install 'allaprima[window]'"
