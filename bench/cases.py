"""Measures one case of `allaprima bench`, in a process of its own: its memory is its own, and so is its end.

    python -m allaprima.bench.cases '{"layer": "nets", "size": [640, 360], "clip": "landscape.mp4", ...}'

takes a `Spec` and prints one `Case`, without what the parent adds: bounds and reasons why it does not count.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, get_args

from allaprima.bench import clips
from allaprima.bench.catalogue import Case, Conditions, Trials
from allaprima.bench.children import finished
from allaprima.realtime.errors import AllaprimaError

Layer = Literal["nets", "engine", "file", "live"]
LAYERS: tuple[Layer, ...] = get_args(Layer)


@dataclass(frozen=True, slots=True)
class Spec:
    """One case that is to be measured."""

    layer: Layer
    size: clips.Size
    clip: str
    """A file of that size with moving frames (`moving.clip`)."""
    backend: str
    """``cpu`` or ``cuda``: not ``auto``."""
    precision: str
    style: str
    seconds: float
    """Of all trials together, about."""
    trials: int
    bundle: str | None = None
    beside: bool = False
    """Whether flicker and sharpness are measured beside the speed of the engine."""

    @classmethod
    def parse(cls, text: str) -> "Spec":
        given = json.loads(text)
        return cls(**{**given, "size": tuple(given["size"])})

    def __str__(self) -> str:
        return f"{clips.text(self.size)} {self.layer}"


# ---- in a process of its own ----


def measured(spec: Spec, limit: float) -> Case:
    """The case from a child process; one that fails, crashes or takes longer than ``limit`` seconds is invalid."""
    words = [sys.executable, "-m", "allaprima.bench.cases", json.dumps(asdict(spec))]
    try:
        return Case.model_validate_json(finished(words, limit))
    except subprocess.TimeoutExpired:
        return failed(spec, f"it was not done after {limit:.0f} s")
    except (ValueError, AllaprimaError) as error:
        return failed(spec, str(error).splitlines()[0])


def failed(spec: Spec, reason: str) -> Case:
    """What stands in the table for a case that could not be measured."""
    return Case(
        layer=spec.layer,
        size=spec.size,
        backend=spec.backend,
        precision=spec.precision,
        style=spec.style,
        frames=1,
        fps=Trials.of([0.0]),
        mpx_s=0.0,
        conditions=Conditions(),
        invalid=(reason,),
    )


def main(words: Sequence[str] | None = None) -> int:
    """Prints the case; an error of ours is one line, with its exit code."""
    from allaprima.bench import precision

    (text,) = sys.argv[1:] if words is None else words
    spec = Spec.parse(text)
    if spec.layer != "file":  # the command has a process of its own
        precision.use(spec.precision)
    try:
        print(measure(spec).model_dump_json(by_alias=True, exclude_none=True))
    except AllaprimaError as error:
        print(str(error), file=sys.stderr)
        return error.exit_code
    return 0


# ---- one case ----


def measure(spec: Spec) -> Case:
    """Raises `NotPainted` and whatever else painting raises."""
    from allaprima.bench.conditions import Watch

    with Watch(spec.backend) as watch:
        found = {"nets": _in_memory, "engine": _in_memory, "file": _file, "live": _live}[spec.layer](spec)
    found = {"rss_mb": watch.rss_mb, "vram_mb": watch.vram_mb} | found
    if spec.beside and spec.layer == "engine":
        from allaprima.bench.beside import beside

        found |= beside(spec.size, spec.style, spec.backend, _bundle(spec))
    fps = found["fps"]
    return Case(
        layer=spec.layer,
        size=spec.size,
        backend=spec.backend,
        precision=spec.precision,
        style=spec.style,
        mpx_s=round(fps.median * spec.size[0] * spec.size[1] / 1e6, 3),
        conditions=watch.conditions(),
        **found,
    )


def _in_memory(spec: Spec) -> dict[str, Any]:
    from allaprima.bench import engine

    stylizer, frames = _stylizer(spec), clips.frames_of(spec.clip)
    if spec.layer == "nets":
        trials = engine.nets(stylizer, frames, spec.backend, spec.seconds, spec.trials)
    else:
        trials = engine.engine(stylizer, frames, spec.seconds, spec.trials)
    return {
        "frames": trials[0].frames,
        "fps": Trials.of(trial.fps for trial in trials),
        "ms": Trials.of(trial.ms for trial in trials),
        "stages_ms": _by_stage({name: [trial.stages[name] for trial in trials] for name in trials[0].stages}),
        "core_ms": Trials.of(trial.core_ms for trial in trials),
    }


def _file(spec: Spec) -> dict[str, Any]:
    from allaprima.bench.files import files

    flags = ["--style", spec.style, "--backend", spec.backend]
    flags += [] if spec.bundle is None else ["--bundle", spec.bundle]
    with tempfile.TemporaryDirectory(prefix="allaprima-bench-") as folder:
        done = files(Path(spec.clip), Path(folder), flags, spec.precision, spec.seconds, spec.trials)
    return {
        "frames": done.frames,
        "fps": Trials.of(done.fps),
        "stages_ms": _by_stage(done.stages),
        "core_ms": Trials.of(done.core_ms) if done.core_ms else None,
        "first_frame_s": Trials.of(done.first_frame),
        "first_start_s": Trials.of([done.first_start]),
        "rss_mb": done.peak_mb,
    }


def _live(spec: Spec) -> dict[str, Any]:
    from allaprima.bench import live

    done = live.live(_stylizer(spec), clips.frames_of(spec.clip), spec.seconds, spec.trials)
    return {
        "frames": done.frames,
        "fps": Trials.of(done.fps),
        "core_ms": Trials.of(done.core_ms) if done.core_ms else None,
        "latency_ms": done.latency,
        "drops": done.drops,
        "source_fps": float(live.RATE),
        "effort": done.effort,
        "painted_share": done.painted_share,
    }


def _by_stage(spent: Mapping[str, Sequence[float]]) -> dict[str, Trials]:
    return {name: Trials.of(values) for name, values in spent.items() if fmean(values)}


def _stylizer(spec: Spec) -> Any:
    from allaprima.realtime.stylizer import Stylizer

    return Stylizer(spec.style, bundle=_bundle(spec), backend=spec.backend)


def _bundle(spec: Spec) -> Path | None:
    return None if spec.bundle is None else Path(spec.bundle)


if __name__ == "__main__":
    sys.exit(main())
