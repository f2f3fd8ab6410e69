"""How right the flow of the kernels is: its end-point error beside that of OpenCV's dense inverse search.

    python -m allaprima.bench.flow_quality [--data FOLDER] [--size 640x360] [--markdown FILE] [--json FILE]

On pairs with true flow (``FOLDER/flow``, *.flo) and on the test scenes, whose motion is exact; at their full size, and
at the size that the engine measures flow at.  Errors are means over the pixels that both pictures show, in pixels of
the pictures that are compared.  Runs on the GPU if there is one, else in the kernels' reference, which the tests
compare them with; the figures are the same to three digits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from allaprima.bench import table
from allaprima.bench.coherence import Flow, Mask
from allaprima.bench.footage import Bytes, Footage, pan_footage, scene_footage, true_pairs
from allaprima.bench.results import Bar, describe_machine, versions, write_json
from allaprima.kernels import cuda
from allaprima.kernels.flow import Dis
from allaprima.kernels.reference import dis, flow
from allaprima.realtime.backends.layout import FLOW_FACTOR, FLOW_SHORT_SIDE
from allaprima.realtime.config import parse_size

SCHEMA = "allaprima-bench-flow-quality/1"
FAST, MEDIUM, ENGINE, OURS, UNRESTED = "OpenCV fast", "OpenCV medium", "CPU engine", "ours", "ours, no rest"
LIMIT = 1.1
"""Most of the error of OpenCV's fast setting."""
MOMENTS = (8, 20)
"""Frames of each test scene that are looked at, with the one before."""
STILL = "test:still-noise"
"""Left out of the means: with nothing moving, only the test for rest counts."""

Errors = dict[str, float]
Method = Callable[[Bytes, Bytes], Flow]
"""Backward flow of two gray pictures, the previous and the current one."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two gray pictures, and what is known of the motion between them."""

    name: str
    previous: Bytes
    current: Bytes
    flow: Flow
    hidden: Mask

    @classmethod
    def of(cls, footage: Footage, index: int) -> "Pair":
        before, now = (np.ascontiguousarray(footage.frames[t].planes[0]) for t in (index - 1, index))
        return cls(f"{footage.name} {index}", before, now, *footage.motion[index])

    def small(self) -> "Pair":
        """As the engine measures flow; a pixel is seen if all of it is."""
        height, width = self.current.shape
        factor = 1
        while factor < FLOW_FACTOR and min(width, height) // (2 * factor) >= FLOW_SHORT_SIDE:
            factor *= 2
        size = (width // factor, height // factor)
        previous, current, seen, motion = (
            _shrunk(plane, size)
            for plane in (self.previous, self.current, (~self.hidden).astype(np.float32), self.flow)
        )
        scale = np.float32([width / size[0], height / size[1]])
        return Pair(self.name, previous, current, motion / scale, seen < 1)


def _shrunk(plane: Any, size: tuple[int, int]) -> Any:
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)


# ---- what is compared ----


def preset(number: int) -> Method:
    solver = cv2.DISOpticalFlow.create(number)
    return lambda previous, current: np.asarray(solver.calc(current, previous, None))


def engine(previous: Bytes, current: Bytes) -> Flow:
    backward, _ = flow.Dis(_size(current))(previous, current)
    return backward


def ours(previous: Bytes, current: Bytes) -> tuple[Flow, Flow]:
    """Backward and forward flow, on the device if there is one."""
    size = _size(current)
    if not on_device():
        return dis.Dis(size)(previous, current)
    asarray = cuda.cupy().asarray
    backward, forward = Dis(size)(asarray(previous), asarray(current))
    return backward.get(), forward.get()


def on_device() -> bool:
    try:
        return bool(cuda.cupy().cuda.is_available())
    except ImportError:
        return False


METHODS: dict[str, Method] = {
    FAST: preset(cv2.DISOPTICAL_FLOW_PRESET_FAST),
    MEDIUM: preset(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM),
    ENGINE: engine,
    OURS: lambda previous, current: ours(previous, current)[0],
    UNRESTED: lambda previous, current: ours(current, previous)[1],  # forward flow is as it was found
}


def _size(picture: NDArray[Any]) -> tuple[int, int]:
    height, width = picture.shape
    return width, height


def end_point_error(found: Flow, pair: Pair) -> float:
    return float(np.linalg.norm(found - pair.flow, axis=-1)[~pair.hidden].mean())


def pairs(data: Path | None, size: tuple[int, int]) -> Iterator[Pair]:
    if data is not None:
        yield from (Pair.of(footage, 1) for footage in true_pairs(data / "flow"))
    for name in ("landscape", "still-noise"):
        footage = scene_footage(name, size, max(MOMENTS) + 1)
        yield from (Pair.of(footage, index) for index in MOMENTS)
    yield Pair.of(pan_footage(size, 2), 1)


@dataclass(frozen=True, slots=True)
class Measured:
    """The errors of all methods at one size."""

    what: str
    motion: Errors
    """How far things move on the average, pixels."""
    errors: dict[str, Errors]
    """By pair, then by method."""

    @property
    def means(self) -> Errors:
        moving = [errors for name, errors in self.errors.items() if not name.startswith(STILL)]
        return {method: float(np.mean([errors[method] for errors in moving])) for method in METHODS}

    def bars(self) -> list[Bar]:
        means = self.means
        shares = {method: means[method] / means[FAST] for method in (OURS, UNRESTED)}
        return [Bar(f"{self.what}: {method} / {FAST}", share, LIMIT, False) for method, share in shares.items()]

    def rows(self) -> list[tuple[str, ...]]:
        def cells(errors: Errors) -> list[str]:
            return [f"{errors[method]:.3f}" for method in METHODS]

        rows = [(name, f"{self.motion[name]:.2f}", *cells(errors)) for name, errors in self.errors.items()]
        return [*rows, ("mean of what moves", "", *cells(self.means))]


def measure(what: str, some: Sequence[Pair]) -> Measured:
    measured = Measured(what, {}, {})
    for pair in some:
        table.note(f"{what}: {pair.name}")
        measured.motion[pair.name] = end_point_error(np.zeros_like(pair.flow), pair)
        measured.errors[pair.name] = {
            name: end_point_error(method(pair.previous, pair.current), pair) for name, method in METHODS.items()
        }
    return measured


# ---- the command ----


def markdown(found: Sequence[Measured], where: str) -> str:
    """A page of results."""
    lines = [
        "# Quality of the flow",
        "",
        "End-point errors in pixels, over what both pictures show: `python -m allaprima.bench.flow_quality "
        f'--data FOLDER`, {where}. "{ENGINE}" is OpenCV\'s search as the engine sets it, with its test for rest; '
        f'"{OURS}" is the backward flow of the kernels, "{UNRESTED}" the same without that test. '
        f'The bar is at most {LIMIT} times "{FAST}".',
    ]
    for measured in found:
        columns = ("", "motion", *METHODS)
        lines += ["", f"## {measured.what}", "", f"| {' | '.join(columns)} |", "|---|" + "---:|" * (len(columns) - 1)]
        lines += [f"| {' | '.join(row)} |" for row in measured.rows()]
        lines += ["", *(f"- {bar.what}: {bar.measured:.2f} ({bar})" for bar in measured.bars())]
    return "\n".join(lines) + "\n"


def main(
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Has flow/: pairs with true flow.")] = None,
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the test scenes.")] = "640x360",
    markdown_: Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="Write the tables here.")] = None,
    as_json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is stdout.")] = None,
) -> None:
    """Compare the flow of the kernels with OpenCV's, on motion that is known."""
    full = list(pairs(data, parse_size(size)))
    found = [measure("full size", full), measure("the engine's small size", [pair.small() for pair in full])]
    where = "on a GPU" if on_device() else "in the kernels' reference (NumPy)"
    report = {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "versions": versions(),
        "settings": {"size": size, "ours": where},
        "sizes": {m.what: {"motion": m.motion, "errors": m.errors, "means": m.means} for m in found},
        "bars": [bar.as_json() for measured in found for bar in measured.bars()],
    }
    if as_json != "-":
        table.heading(report)
        for measured in found:
            table.plain(f"End-point error, pixels: {measured.what}", ("", "motion", *METHODS), measured.rows())
            for bar in measured.bars():
                table.OUT.print(f"{bar.what}: {bar.measured:.2f} {bar}")
    write_json(report, as_json)
    if markdown_ is not None:
        markdown_.write_text(markdown(found, where), encoding="utf-8")


if __name__ == "__main__":
    table.run(main)
