"""What a user would pick instead, beside ours, in one run: each in a process of its own, in turns.

    python -m allaprima.bench.rivals [--size 640x360] [--against NAME] [--trials 3] [--json FILE]

A slow minute hits both of a pair, so what counts is `Rival.times`: theirs over ours of trials that stood side by side.
All work on the same frames, with real motion, and on none that was not checked: ours has painted, theirs has painted
what PyTorch paints.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from allaprima.bench import clips, rival_nets, rival_steady, table
from allaprima.bench.catalogue import Rival, Trials
from allaprima.bench.contender import DEFAULT, NET, REFERENCE, CannotRun, Contender, Footage, Ours, Ready
from allaprima.bench.results import describe_machine, versions, write_json
from allaprima.realtime.config import parse_size
from allaprima.realtime.errors import ConfigError

SCHEMA = "allaprima-bench-rivals/1"
SIZES = ("640x360",)
SECONDS = 1.2
"""Of one trial; a frame that takes longer is a trial by itself."""
RANDOM = "random weights, for a stopwatch only; {gflop:.3g} GFLOP a frame"
ALONE = "each frame by itself, nothing is held steady"
STEADY = "flow both ways at full size, OpenCV's remap, bytes blended"

Note = Callable[[str], None]
Open = Callable[[Footage], Ready]
Layer = Literal["nets", "engine", "temporal"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One that can be asked for by name."""

    title: str
    open: Open
    instead_of: tuple[Layer, ...]
    note: str
    """With ``{gflop}`` for what its convolutions take."""
    needs: tuple[str, ...] = (REFERENCE, NET)
    """Files of the footage's folder that `rival_nets.export` writes."""


def _net(runtime: str, open: Open, *needs: str) -> Entry:
    return Entry(
        f"pytorch/examples in {runtime}", open, ("nets", "engine"), f"{RANDOM}; {ALONE}", needs or (REFERENCE, NET)
    )


ENTRIES = {
    "pytorch": _net("PyTorch", rival_nets.pytorch, REFERENCE),
    "pytorch-compiled": _net("PyTorch, compiled", rival_nets.pytorch_compiled, REFERENCE),
    "pytorch-tuned": _net("PyTorch, 16 bits, channels last", rival_nets.pytorch_tuned, REFERENCE),
    "onnxruntime": _net("ONNX Runtime", rival_nets.onnxruntime),
    "openvino-f32": _net("OpenVINO, f32", rival_nets.openvino_f32),
    "openvino": _net("OpenVINO", rival_nets.openvino),
    "opencv-dnn": _net("OpenCV DNN", rival_nets.opencv_dnn),
    "by-hand": Entry(
        "pytorch/examples in OpenVINO, steady by NumPy",
        rival_steady.whole_by_hand,
        ("engine",),
        f"{RANDOM}; {STEADY}",
    ),
    "numpy": Entry(
        "steady by NumPy and OpenCV",
        rival_steady.by_hand,
        ("temporal",),
        f"{STEADY}; ours includes bringing frames in and out",
        needs=(),
    ),
}
NAMES = tuple(ENTRIES)
OURS: dict[Layer, Open] = {"nets": rival_steady.nets, "engine": rival_steady.engine, "temporal": rival_steady.temporal}


def chosen(only: Sequence[str]) -> list[str]:
    """Those names, in the order of `NAMES`; all for none or "all".  Raises `ConfigError` for an unknown one."""
    for name in only:
        if name not in (*NAMES, "all"):
            raise ConfigError(f"there is no rival called {name!r}", f"choose all or some of {', '.join(NAMES)}")
    return [name for name in NAMES if not only or "all" in only or name in only]


def measure(size: clips.Size, trials: int, note: Note, only: Sequence[str] = (), paint: Ours = DEFAULT) -> list[Rival]:
    """Each of ``only`` (all without) at ``size`` ``(width, height)``, in ``trials`` pairs with ours as ``paint`` says.

    What cannot run here says why in `Rival.absent`.  Raises `CannotRun` where ours stops on the way.
    """
    entries, found = [ENTRIES[name] for name in chosen(only)], []
    with clips.workplace() as folder, ExitStack() as running:
        footage = Footage.render(Path(folder), size, paint)
        ours: dict[Layer, Contender] = {}
        why_not: dict[str, str] = {}
        """By layer of ours, and by file that the networks start from."""
        for layer in dict.fromkeys(layer for entry in entries for layer in entry.instead_of):
            note(f"{clips.text(size)}: starting our {layer}")
            try:
                ours[layer] = running.enter_context(Contender(path(OURS[layer]), footage))
            except CannotRun as error:
                why_not[layer] = f"nothing of ours to compare with: {error}"
        if any(entry.needs for entry in entries):
            why_not |= _export(footage, note)
        for entry in entries:
            reasons = [why_not[need] for need in (*entry.needs, *entry.instead_of) if need in why_not]
            if reasons:
                found += [_absent(entry, layer, size, reasons[0]) for layer in entry.instead_of]
            else:
                note(f"{clips.text(size)}: {entry.title}")
                found += _compare(entry, footage, {layer: ours[layer] for layer in entry.instead_of}, size, trials)
    return found


def _export(footage: Footage, note: Note) -> dict[str, str]:
    """Why what the networks start from is not there, by file."""
    note("writing the network of pytorch/examples as ONNX")
    try:
        with Contender(path(rival_nets.export), footage):
            return {}
    except CannotRun as error:
        return {name: str(error) for name in (REFERENCE, NET) if not (footage.folder / name).exists()}


def _compare(
    entry: Entry, footage: Footage, ours: Mapping[Layer, Contender], size: clips.Size, trials: int
) -> list[Rival]:
    own: dict[Layer, list[float]] = {layer: [] for layer in ours}
    spent: list[float] = []
    try:
        with Contender(path(entry.open), footage) as theirs:
            about = theirs.about
            turns = [(own[layer], contender) for layer, contender in ours.items()]
            turns.insert(1, (spent, theirs))  # beside each of ours
            for trial in range(trials):
                for taken, contender in turns if trial % 2 == 0 else reversed(turns):
                    taken.append(contender.trial(SECONDS))
    except CannotRun as error:
        if not all(contender.alive for contender in ours.values()):
            raise CannotRun(f"ours has stopped: {error}") from error
        return [_absent(entry, layer, size, str(error)) for layer in ours]
    unlike = entry.note.format(gflop=rival_nets.FLOP_A_PIXEL * size[0] * size[1] / 1e9)
    return [
        Rival(
            name=entry.title,
            instead_of=layer,
            size=size,
            ms=Trials.of(spent),
            ours_ms=Trials.of(taken),
            times=Trials.of(his / mine for his, mine in zip(spent, taken, strict=True)),
            about=f"{about}; ours: {ours[layer].about}",
            note=unlike,
        )
        for layer, taken in own.items()
    ]


def _absent(entry: Entry, layer: Layer, size: clips.Size, why: str) -> Rival:
    return Rival(name=entry.title, instead_of=layer, size=size, absent=why)


def path(open: Open) -> str:
    """What `contender` finds it by."""
    return f"{open.__module__}:{open.__qualname__}"


# ---- the command ----


def show(rivals: Iterable[Rival]) -> None:
    """A table of ratios for each size, and below it what was not alike and who was not there."""
    found = list(rivals)
    for size in dict.fromkeys(rival.size for rival in found):
        here = [rival for rival in found if rival.size == size]
        rows = [_row(rival) for rival in here]
        columns = ("", "beside our", "theirs, ms", "ours, ms", "times", "min", "max")
        table.plain(f"Instead of ours, {clips.text(size)}: theirs over ours, in turns", columns, rows)
        for name in dict.fromkeys(rival.name for rival in here):
            some = [rival for rival in here if rival.name == name]
            says = dict.fromkeys(rival.absent or "; ".join(filter(None, (rival.about, rival.note))) for rival in some)
            for text in says:
                table.OUT.print(f"{name}: {text}", markup=False)


def _row(rival: Rival) -> tuple[str, ...]:
    figures = [rival.ms, rival.ours_ms, rival.times]
    medians = ["-" if trials is None else table.number(trials.median) for trials in figures]
    ends = ["-"] * 2 if rival.times is None else [table.number(end) for end in (rival.times.min, rival.times.max)]
    return (rival.name, rival.instead_of, *medians, *ends)


def main(
    size: Annotated[list[str] | None, typer.Option(help="WIDTHxHEIGHT; repeatable.")] = None,
    against: Annotated[list[str] | None, typer.Option(metavar="NAME", help="all, or one; repeatable.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Pairs with each.")] = 3,
    as_json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is stdout.")] = None,
) -> None:
    """Measure and print."""
    sizes, only = [parse_size(text) for text in size or SIZES], chosen(against or ())
    found = [rival for each in sizes for rival in measure(each, trials, table.note, only)]
    report = {"schema": SCHEMA, "machine": describe_machine(), "versions": versions(), "settings": {"trials": trials}}
    if as_json != "-":
        table.heading(report)
        show(found)
    write_json(report | {"rivals": [rival.model_dump(mode="json", exclude_none=True) for rival in found]}, as_json)


if __name__ == "__main__":
    table.run(main)
