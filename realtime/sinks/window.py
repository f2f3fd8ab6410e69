"""``window:``: the picture on this machine's screen, steered with keys."""

import os
import time
import warnings
from types import ModuleType, TracebackType
from typing import Any, Self

from allaprima.realtime.errors import SinkError
from allaprima.realtime.frame import Color, Frame, StreamInfo
from allaprima.realtime.sinks.base import Controls
from allaprima.realtime.sinks.pace import Pace
from allaprima.realtime.sinks.picture import Converter, even, to_av

STATUS_SECONDS = 2.0
STRENGTH_STEP = 0.1
SCREEN = Color(matrix=1, range=2)
"""What RGB on a screen is: full range; the matrix does not matter there."""


class WindowSink:
    """A resizable window; the picture keeps its shape.

    Keys: 1-9 style, space bypass, left and right strength, f full screen, q quits.  The window is
    made on the first `write`: SDL wants it made, fed and asked for events by one thread.
    """

    def __init__(self, info: StreamInfo, controls: Controls | None = None) -> None:
        self.notes: list[str] = []
        self._info = info
        self._controls = controls
        self._game = _pygame()
        self._convert = Converter()
        self._pace = Pace(info)
        self._window: Any = None
        self._text_until = 0.0
        self._full = False
        _check_display(self._game)

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame) -> None:
        if self._window is None:
            self._open()
        self._pace.wait(frame)
        self.poll()
        self._show(frame)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._window = None
        self._game.display.quit()

    def poll(self) -> None:
        """Act on keys and on the window's buttons; also good to call while no frames come."""
        if self._window is None:
            return
        for event in self._game.event.get():
            if event.type == self._game.QUIT:
                self._call("quit")
            elif event.type == self._game.KEYDOWN:
                self._key(event.key)

    def _open(self) -> None:
        game = self._game
        try:
            game.display.init()
            self._window = game.display.set_mode(self._shape(), game.RESIZABLE)
        except game.error as error:
            raise _no_display(str(error)) from error
        game.display.set_caption(f"{self._info.name} - allaprima")

    def _shape(self) -> tuple[int, int]:
        """The picture's size with square pixels, within the screen."""
        width, height = self._info.size
        width = round(width * float(self._info.sample_aspect or 1))
        screen_width, screen_height = self._game.display.get_desktop_sizes()[0]
        scale = min(1.0, 0.9 * screen_width / width, 0.9 * screen_height / height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def _key(self, key: int) -> None:
        game = self._game
        if game.K_1 <= key <= game.K_9:
            self._call("select", key - game.K_1 + 1)
        elif key == game.K_SPACE:
            self._call("toggle_bypass")
        elif key in (game.K_LEFT, game.K_RIGHT):
            self._call("change_strength", STRENGTH_STEP if key == game.K_RIGHT else -STRENGTH_STEP)
        elif key == game.K_q:
            self._call("quit")
        elif key == game.K_f:
            self._full = not self._full
            flags, size = (game.FULLSCREEN, (0, 0)) if self._full else (game.RESIZABLE, self._shape())
            self._window = game.display.set_mode(size, flags)

    def _call(self, name: str, *arguments: float) -> None:
        if self._controls is not None:
            getattr(self._controls, name)(*arguments)
            self._text_until = time.monotonic() + STATUS_SECONDS

    def _show(self, frame: Frame) -> None:
        game, window = self._game, self._game.display.get_surface()
        box = fit(frame.size, float(self._info.sample_aspect or 1), window.get_size())
        picture = to_av(frame, even(frame.size))
        rgb = self._convert(picture, frame.color, SCREEN, "rgb24", box[2:]).to_ndarray()
        window.fill((0, 0, 0))
        window.blit(game.image.frombuffer(rgb.tobytes(), box[2:], "RGB"), box[:2])
        if time.monotonic() < self._text_until and self._controls is not None:
            self._write_text(window, self._controls.status())
        game.display.flip()

    def _write_text(self, window: Any, text: str) -> None:
        font_module: Any = self._game.font
        if not font_module:  # SDL_ttf is missing: no text, no harm
            return
        if not font_module.get_init():
            font_module.init()
        font = font_module.Font(None, max(18, window.get_height() // 24))
        label = font.render(text, True, (255, 255, 255), (0, 0, 0))
        window.blit(label, (8, window.get_height() - label.get_height() - 8))


def fit(size: tuple[int, int], sample_aspect: float, window: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where the picture goes in the window: left, top, width, height."""
    width, height = size[0] * sample_aspect, size[1]
    scale = min(window[0] / width, window[1] / height)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    return (window[0] - wide) // 2, (window[1] - high) // 2, wide, high


def _pygame() -> ModuleType:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pygame's own, about pkg_resources
            import pygame
    except ImportError as error:
        raise SinkError("window: needs the package pygame", "pip install 'allaprima[window]'") from error
    module: ModuleType = pygame
    return module


def _check_display(game: ModuleType) -> None:
    try:
        game.display.init()
    except game.error as error:
        raise _no_display(str(error)) from error
    driver = game.display.get_driver()
    game.display.quit()
    if driver == "offscreen" or (driver == "dummy" and os.environ.get("SDL_VIDEODRIVER") != "dummy"):
        raise _no_display("SDL found no screen")


def _no_display(error: str) -> SinkError:
    return SinkError(
        f"no window opens: {error}",
        "This machine or session has no screen; write to a file, or send with rtmp:// or the web page.",
    )
