"""Two results side by side: what became faster, what slower, and what is the same within the noise of their trials."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import variance
from typing import Literal

from allaprima.bench import clips
from allaprima.bench.catalogue import Case, Machine, Result, Trials
from allaprima.bench.results import BUSY_CORES

Verdict = Literal["faster", "slower", "same within noise", "not compared"]
STUDENT = {1: 63.66, 2: 9.92, 3: 5.84, 4: 4.60, 5: 4.03, 6: 3.71, 7: 3.50, 8: 3.36, 9: 3.25, 10: 3.17}
"""Two-sided 99 % quantiles of Student's t by degrees of freedom."""
MANY = 3.11
"""The same for more of them: that of 11."""
LEAST_NOISE = 0.03
"""Share by which two runs of the same program differ though the trials within each agree: memory lies elsewhere."""
ABSENT = "the other result does not have it"


@dataclass(frozen=True, slots=True)
class Compared:
    """One case of now beside the same case of before."""

    case: Case
    verdict: Verdict
    ratio: float | None = None
    """Frames a second of now over those of before."""
    low: float | None = None
    high: float | None = None
    """Between which the ratio lies, as far as the trials can tell."""
    why: str = ""
    """Why they are not compared."""


def compare(now: Result, before: Result) -> list[Compared]:
    """Every case of ``now``, in its order."""
    known = {_key(case): case for case in before.cases}
    return [_compared(case, known.get(_key(case))) for case in now.cases]


def _key(case: Case) -> tuple[object, ...]:
    return case.layer, case.size, case.backend, case.precision, case.style, case.streams


def _compared(now: Case, before: Case | None) -> Compared:
    if before is None:
        return Compared(now, "not compared", why=ABSENT)
    for case, when in ((now, "now"), (before, "before")):
        if case.invalid:
            return Compared(now, "not compared", why=f"invalid {when}: {case.invalid[0]}")
    ratio = now.fps.median / before.fps.median
    factor = noise(now.fps, before.fps)
    low, high = ratio / factor, ratio * factor
    verdict: Verdict = "faster" if low > 1 else "slower" if high < 1 else "same within noise"
    return Compared(now, verdict, round(ratio, 3), round(low, 3), round(high, 3))


def noise(now: Trials, before: Trials) -> float:
    """The factor within which the ratio of two medians is not known: at 99 %, by Student's t of the logarithms."""
    logs = [[math.log(max(value, 1e-9)) for value in each.trials] for each in (now, before)]
    freedom = sum(len(each) - 1 for each in logs)
    if not freedom:
        return 1 + LEAST_NOISE
    pooled = sum(variance(each) * (len(each) - 1) for each in logs if len(each) > 1) / freedom
    error = math.sqrt(pooled * sum(1 / len(each) for each in logs))
    return max(math.exp(STUDENT.get(freedom, MANY) * error), 1 + LEAST_NOISE)


def warnings(now: Result, before: Result) -> list[str]:
    """What makes a comparison less than it seems."""
    found = [f"the {what} differs: {a} now, {b} before" for what, a, b in _differences(now, before)]
    for result, when in ((now, "now"), (before, "before")):
        busy = result.conditions.other_load_cores
        if busy is not None and busy >= BUSY_CORES:
            found.append(f"{when}, other programs took {busy:.1f} cores meanwhile")
    return found


def _differences(now: Result, before: Result) -> Iterable[tuple[str, object, object]]:
    a, b = now.machine, before.machine
    for field in Machine.model_fields:
        if field not in ("time", "memory_gb") and getattr(a, field) != getattr(b, field):
            yield f"machine's {field}", _shown(getattr(a, field)), _shown(getattr(b, field))
    for name in sorted({*now.versions} | {*before.versions}):
        if now.versions.get(name) != before.versions.get(name):
            yield f"version of {name}", now.versions.get(name, "none"), before.versions.get(name, "none")


def _shown(value: object) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)


def rows(found: Sequence[Compared]) -> list[tuple[str, ...]]:
    """Case, ratio, its bounds, verdict: as `table.plain` shows them."""
    shown: list[tuple[str, ...]] = []
    for each in found:
        name = f"{clips.text(each.case.size)} {each.case.layer}"
        if each.ratio is None:
            shown.append((name, "-", "-", f"{each.verdict}: {each.why}"))
        else:
            shown.append((name, f"{each.ratio:.2f}", f"{each.low:.2f} to {each.high:.2f}", each.verdict))
    return shown
