"""What `allaprima bench` measures, in which order, and the one `Result` that comes of it."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from allaprima.bench import catalogue, ceilings, clips, moving, precision, rivals, roofline, scaled, trust
from allaprima.bench.cases import LAYERS, Layer, Spec, failed, measured
from allaprima.bench.catalogue import Case, Ceilings, Machine, Result, Rival, Scale
from allaprima.bench.conditions import Watch
from allaprima.bench.contender import Ours
from allaprima.bench.results import describe_machine, versions
from allaprima.realtime.backends import open_backend
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.errors import AllaprimaError
from allaprima.realtime.frame import Color
from allaprima.realtime.stylizer import Stylizer

SIZES: tuple[clips.Size, ...] = ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))
SECONDS = 2.4
"""Of each case, all trials together; what loads and warms up comes on top."""
TRIALS = 3
BUDGET = 150.0
"""Seconds after which a run without wishes leaves the remaining cases out, so that it ends within three minutes."""
GRACE = 25.0
"""Seconds beyond them that the case under way may take."""
LIMIT = 300.0
"""Seconds that a case may take in a run with wishes."""
CEILING_SECONDS = 2.0
BESIDE_PIXELS = 1280 * 720
"""Flicker and sharpness are measured at the smallest size, and only up to this one: that takes more frames, painted
twice, and their exact motion."""
LEFT_OUT = "not measured: the run had used its {:.0f} seconds (name the size, as in --size 1280x720)"
STREAMS = (1, 2, 4, 8)
"""At once, in a scale over streams that names none."""
PROBED = (64, 64)
"""Size at which it is found out which backend paints."""

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured."""

    sizes: Sequence[clips.Size] = SIZES
    layers: Sequence[Layer] = LAYERS
    style: str | None = None
    """None: the first of the bundle."""
    backend: str = "auto"
    precision: str | None = None
    """None: what the backend takes by itself."""
    bundle: Path | None = None
    seconds: float = SECONDS
    trials: int = TRIALS
    streams: Sequence[int] = ()
    """So many at once, as a scale; none leaves it out."""
    scales: Sequence[str] = ()
    against: Sequence[str] | None = None
    """Names of rivals; an empty sequence is all of them, None is none."""
    name: str | None = None
    """Of the device; None: after the machine."""
    budget: float | None = None
    """Seconds after which the remaining cases are left out; None: never."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A plan with everything decided that it leaves open."""

    plan: Plan
    stylizer: Stylizer
    backend: str
    precision: str

    @property
    def bundle(self) -> Bundle:
        return self.stylizer.bundle

    @property
    def where(self) -> str | None:
        """The folder of the bundle; None for the shipped one."""
        return None if self.plan.bundle is None else str(self.plan.bundle)

    def spec(self, layer: Layer, size: clips.Size, clip: Path) -> Spec:
        plan = self.plan
        smallest = min(plan.sizes, key=pixels)
        beside = layer == "engine" and size == smallest and pixels(size) <= BESIDE_PIXELS
        style = str(self.stylizer.style)
        return Spec(
            layer, size, str(clip), self.backend, self.precision, style, plan.seconds, plan.trials, self.where, beside
        )

    def settings(self) -> dict[str, str | float | int | bool]:
        stylizer, manifest = self.stylizer, self.bundle.manifest
        return {
            "style": str(stylizer.style),
            "strength": stylizer.strength,
            "steadiness": stylizer.steadiness,
            "bundle": f"{manifest.name} {manifest.version}",
            "backend": self.backend,
            "precision": self.precision,
            "scene": moving.SCENE,
            "seconds": self.plan.seconds,
            "trials": self.plan.trials,
        }


def setup(plan: Plan) -> Setup:
    """Raises the error of whatever cannot be (a style, a backend, a precision, a rival) before anything is measured."""
    if plan.against is not None:
        rivals.chosen(plan.against)
    stylizer = Stylizer(plan.style, bundle=plan.bundle, backend=plan.backend)
    backend = open_backend(plan.backend, PROBED, Color())
    backend.close()
    return Setup(plan, stylizer, backend.name, precision.chosen(backend.name, plan.precision))


def run(plan: Plan, note: Note) -> Result:
    """All cases, then scales and rivals; ``note`` is told what is being measured."""
    decided, began = setup(plan), time.monotonic()
    with Watch(decided.backend) as watch, clips.workplace() as name:
        note("ceilings: memory and matrix products")
        most = ceilings.measure([decided.precision], CEILING_SECONDS, decided.backend)
        cases = tuple(_cases(decided, most, Path(name), began, note))
        curves = _scales(decided, note)
        beside = _rivals(decided, note)
    return Result(
        name=plan.name or device_name(),
        machine=described(),
        versions=versions(),
        settings=decided.settings(),
        ceilings=most,
        cases=cases,
        scales=tuple(curves),
        rivals=tuple(beside),
        conditions=watch.conditions(),
        seconds=max(round(time.monotonic() - began, 1), 0.1),
    )


def _cases(decided: Setup, most: Ceilings, folder: Path, began: float, note: Note) -> Iterable[Case]:
    plan = decided.plan
    for size in plan.sizes:
        for layer in plan.layers:
            passed = time.monotonic() - began
            if plan.budget is not None and passed > plan.budget:
                spec = decided.spec(layer, size, folder)
                note(f"{spec}: left out, {plan.budget:.0f} seconds are over")
                yield failed(spec, LEFT_OUT.format(plan.budget))
                continue
            note(f"{clips.text(size)} {layer}: measuring")
            limit = LIMIT if plan.budget is None else plan.budget + GRACE - passed
            yield _case(decided, layer, size, folder, limit, most)


def _case(decided: Setup, layer: Layer, size: clips.Size, folder: Path, limit: float, most: Ceilings) -> Case:
    try:
        clip = moving.clip(folder, size)
    except AllaprimaError as error:
        return failed(decided.spec(layer, size, folder), f"no input could be made: {error}")
    return judged(measured(decided.spec(layer, size, clip), limit), decided.bundle, most)


def judged(case: Case, bundle: Bundle, most: Ceilings) -> Case:
    """The case with what bounds it and, if it does not count, why."""
    if case.invalid:
        return case
    spent = {name: trials.median for name, trials in case.stages_ms.items()}
    bounds = roofline.bounds(spent, case.size, bundle, case.precision, most)
    case = case.model_copy(update={"bounds": bounds})
    return case.model_copy(update={"invalid": trust.judge(case, most, bundle=bundle)})


def _scales(decided: Setup, note: Note) -> list[Scale]:
    plan, found = decided.plan, list[Scale]()
    streams = tuple(plan.streams or STREAMS)
    for over in dict.fromkeys([*plan.scales, *(["streams"] if plan.streams else [])]):
        spec = scaled.Spec(
            over, plan.sizes[0], plan.seconds, streams, decided.backend, decided.precision, decided.where
        )
        found += scaled.measured(spec, LIMIT, note)
    return found


def _rivals(decided: Setup, note: Note) -> list[Rival]:
    plan = decided.plan
    if plan.against is None:
        return []
    ours = Ours(decided.backend, str(decided.stylizer.style), decided.where, decided.precision)
    try:
        return rivals.measure(plan.sizes[0], plan.trials, note, plan.against, paint=ours)
    except AllaprimaError as error:  # what was measured before is kept
        note(f"rivals: left out, {error}")
        return []


def pixels(size: clips.Size) -> int:
    return size[0] * size[1]


def described() -> Machine:
    """This machine, now."""
    found = describe_machine()
    return Machine(**{name: found[name] for name in Machine.model_fields})


def device_name() -> str:
    """A name for a file: of the first card, else of the processor and its cores."""
    found = described()
    if found.gpus:
        return catalogue.slug(found.gpus[0].partition(",")[0])
    return catalogue.slug(f"{found.cpu}, {found.cores} cores")
