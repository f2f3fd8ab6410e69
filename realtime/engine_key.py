"""What names a TensorRT engine: everything that decides whether a plan is the right one.

An engine fits one net, one size, one card, one TensorRT and one driver: all of that is its `Key`.  Beside each
plan lies its `Record`: the key, the plan's hash, how it was built and how close it comes to the nets in fp32.
"""

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from allaprima.realtime.backends.layout import CELL, MARGIN, Layout
from allaprima.realtime.bundle import NETS, Bundle

PRECISIONS = ("half", "norms-full", "full")
"""fp16 with norms in fp32; all but the convolutions in fp32; everything in fp32."""
GRAPH_SOURCES = ("network.py", "onnx_graph.py")
FORMAT = 1
"""Version of the record; an engine with another is built again."""

Cells = tuple[int, int]
"""Height and width of a packed picture."""


class Machine(BaseModel):
    """What an engine is bound to besides the net: made on one of these, it is of no use on another."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    gpu: str
    """The card's name."""
    capability: str
    """Its compute capability: ``9.0``."""
    tensorrt: str
    driver: str

    def differences(self, other: "Machine") -> list[str]:
        """Which of these four differ, in words: of this one, then of ``other``."""
        return differences(self, other, tuple(Machine.model_fields))


class Key(Machine):
    """Everything that decides whether a plan is the right one."""

    model: str
    """SHA-256 over the hashes of the bundle's three nets."""
    graph: str
    """SHA-256 of our code that joins them."""
    cells: Cells | None
    """Size of the packed picture; None: any size in the record's range."""
    regions: int
    precision: str
    """As it was asked for, one of `PRECISIONS`; the record says what it came to."""

    @property
    def name(self) -> str:
        """The file's name without its ending; two keys never share one."""
        size = "any" if self.cells is None else f"{self.cells[1]}x{self.cells[0]}"
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()
        return f"{self.model[:8]}-{size}-{self.regions}-{self.precision}-{digest[:12]}"


class Record(BaseModel):
    """The sidecar of a plan."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = FORMAT
    key: Key
    sha256: str
    """Of the plan."""
    bytes: int
    road: str
    """How it was built: ``onnx`` or ``torch-tensorrt``."""
    precision: str
    """What it came to after the comparison with fp32."""
    psnr: float
    """Decibels to the nets in fp32, the worst of the styles and pictures compared; black to white is the peak."""
    compared: int
    """How many paintings were compared."""
    bundle: str
    """Folder of the model bundle it was built from."""
    inputs: dict[str, str]
    """Our names of the inputs to the engine's."""
    output: str
    """The engine's name of ``painted``."""
    range: tuple[Cells, Cells, Cells] | None = None
    """Of an engine for any size: the least, the usual and the largest packed picture."""
    seconds: float = 0.0
    """How long it took to build."""

    def covers(self, cells: Cells) -> bool:
        """Whether a packed picture of this size can go through."""
        if self.range is None:
            return self.key.cells == cells
        least, _, most = self.range
        return all(low <= side <= high for low, side, high in zip(least, cells, most, strict=True))


def differences(one: Machine, other: Machine, fields: tuple[str, ...]) -> list[str]:
    pairs = [(field, getattr(one, field), getattr(other, field)) for field in fields]
    return [f"{field} {mine} (here {there})" for field, mine, there in pairs if mine != there]


def packed_size(size: tuple[int, int]) -> Cells:
    """The packed picture of a frame of ``size`` ``(width, height)``: the engine's margin and stride, in cells."""
    return Layout(size).cells


def picture_size(cells: Cells) -> tuple[int, int]:
    """The largest frame ``(width, height)`` of such a packed picture: `packed_size` the other way round."""
    return cells[1] * CELL - 2 * MARGIN, cells[0] * CELL - 2 * MARGIN


def model_hash(bundle: Bundle) -> str:
    return hashlib.sha256("".join(bundle.manifest.sha256[net] for net in NETS).encode()).hexdigest()


def graph_hash() -> str:
    """Of the sources that join the nets to one graph: no version to forget to raise."""
    sources = [Path(__file__).with_name(name) for name in GRAPH_SOURCES]
    return hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()[:16]


def key_of(machine: Machine, bundle: Bundle, cells: Cells | None, regions: int = 1, precision: str = "half") -> Key:
    """The key of an engine for this net, size and machine."""
    return Key(
        **machine.model_dump(include=set(Machine.model_fields)),
        model=model_hash(bundle),
        graph=graph_hash(),
        cells=cells,
        regions=regions,
        precision=precision,
    )
