"""Styles at run time: load, mix, cross-fade and swap filters, without work on the frame's way.

All filters of a style lie in one flat float32 vector of about 44,000 numbers (StyleBank, Chen et al.,
CVPR 2017, section 3.4: styles are mixed by mixing filters, not pictures).  A swap changes which vector
the net reads; a mix is a weighted sum of vectors; a cross-fade is one such sum for each frame.
"""

import difflib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from allaprima.realtime.bundle import Bundle, Filters, StyleCard
from allaprima.realtime.errors import ConfigError, UnknownStyle

Vector = NDArray[np.float32]
RESCAN = 0.5
"""Seconds between looks into the styles folders."""


@dataclass(frozen=True)
class Mix:
    """Styles and their weights, which sum to 1."""

    weights: tuple[tuple[str, float], ...]

    @classmethod
    def parse(cls, text: str) -> "Mix":
        """``"starry-night"`` or ``"starry-night:0.7,udnie:0.3"``; weights are scaled to sum to 1."""
        weights: dict[str, float] = {}
        for part in text.split(","):
            name, colon, number = part.strip().partition(":")
            try:
                weight = float(number) if colon else 1.0
            except ValueError:
                weight = -1.0
            if not name or not 0 <= weight < 1e6:
                raise ConfigError(f"{text!r} is not a style or a mix", 'write NAME or "NAME:0.7,OTHER:0.3"')
            weights[name] = weights.get(name, 0.0) + weight
        return cls.of(weights)

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> "Mix":
        total = sum(weights.values())
        if not total > 0 or any(w < 0 for w in weights.values()):
            raise ConfigError("the weights of a mix must be positive", "for example a:0.7,b:0.3")
        return cls(tuple((name, w / total) for name, w in weights.items() if w > 0))

    def __str__(self) -> str:
        if len(self.weights) == 1:
            return self.weights[0][0]
        return ",".join(f"{name}:{weight:g}" for name, weight in self.weights)


Style = str | Mix


class StyleBank:
    """The styles of a bundle, by name; files that appear in the styles folders become available.

    `resolve` may be called from any thread.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._shapes = {name: tuple(shape) for name, shape in sorted(bundle.manifest.filters.items())}
        self._length = sum(int(np.prod(shape)) for shape in self._shapes.values())
        self._lock = threading.Lock()
        self._loaded: dict[Path, tuple[tuple[int, int], StyleCard, Vector]] = {}
        self._files: dict[str, Path] = {}
        self._scanned = 0.0

    def names(self) -> list[str]:
        """All style names, shipped ones first; a new file shows up within half a second."""
        if time.monotonic() - self._scanned > RESCAN:
            self._files = self.bundle.style_files()
            self._scanned = time.monotonic()
        return list(self._files)

    def card(self, name: str) -> StyleCard:
        return self._load(name)[0]

    def resolve(self, style: Style) -> Vector:
        """The flat filters of a style or a mix.  Raises `UnknownStyle` or `BundleError`."""
        mix = Mix.parse(style) if isinstance(style, str) else style
        vectors = [self._load(name)[1] for name, _ in mix.weights]
        if len(vectors) == 1:
            return vectors[0]
        total = np.zeros(self._length, np.float32)
        for vector, (_, weight) in zip(vectors, mix.weights, strict=True):
            total += vector * np.float32(weight)
        return total

    def stamp(self, mix: Mix) -> tuple[tuple[int, int] | None, ...]:
        """Changes when the file of a style of the mix does, or another takes its place; cheap, nothing is read."""
        self.names()
        return tuple(_stamp(path) if (path := self._files.get(name)) else None for name, _ in mix.weights)

    def new_vector(self) -> Vector:
        return np.zeros(self._length, np.float32)

    def views(self, vector: Vector) -> Filters:
        """The filters inside a flat vector, by name; no copy."""
        views, start = {}, 0
        for name, shape in self._shapes.items():
            end = start + int(np.prod(shape))
            views[name] = vector[start:end].reshape(shape)
            start = end
        return views

    def _load(self, name: str) -> tuple[StyleCard, Vector]:
        if name not in self.names():
            self._scanned = 0.0
            if name not in self.names():
                raise UnknownStyle(f"no style called {name!r}", closest(name, self.names()))
        path = self._files[name]
        stamp = _stamp(path)
        if stamp is None:
            self._scanned = 0.0
            raise UnknownStyle(f"style {name!r} has gone", closest(name, self.names()))
        with self._lock:
            if path not in self._loaded or self._loaded[path][0] != stamp:
                card, filters = self.bundle.load_style(path)
                vector = np.concatenate([filters[key].ravel() for key in self._shapes])
                self._loaded[path] = (stamp, card, vector)
            return self._loaded[path][1:]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class Fade:
    """Filters on their way from one style to another; `step` gives those of the next frame.

    Every vector has its place from the start: a step writes into the fade's own two buffers and
    allocates nothing.
    """

    def __init__(self, bank: StyleBank, start: Vector) -> None:
        self._current = start.copy()
        self._from = start.copy()
        self._to = start.copy()
        self._scratch = bank.new_vector()
        self._left = self._frames = 0
        self.filters = bank.views(self._current)

    def to(self, target: Vector, frames: int = 0) -> None:
        """Head for ``target``; after ``frames`` steps, or at the next one, the filters are exactly it."""
        np.copyto(self._from, self._current)
        np.copyto(self._to, target)
        self._left = self._frames = max(frames, 1)

    @property
    def moving(self) -> bool:
        """Whether the next `step` changes the filters."""
        return self._left > 0

    def step(self) -> Filters:
        if self._left:
            self._left -= 1
            t = np.float32(1 - self._left / self._frames)
            np.subtract(self._to, self._from, out=self._scratch)
            np.multiply(self._scratch, t, out=self._scratch)
            np.add(self._from, self._scratch, out=self._current)
            if not self._left:
                np.copyto(self._current, self._to)
        return self.filters


def closest(name: str, names: list[str]) -> str:
    """A hint that names the styles which look like ``name``, or all of them."""
    near = difflib.get_close_matches(name, names, 3, 0.5) or [n for n in names if name and name[:4] in n]
    return f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}"
