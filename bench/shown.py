"""What of a result is shown where, and how its figures are written: shared by README, plots and page."""

import re
from collections.abc import Iterable, Sequence

from allaprima.bench.catalogue import Case, Machine, Result, Rival

REFERENCE = "xeon-amx-2core"
"""The device whose figures head the README, as long as the catalogue has it."""
LAYERS = {"nets": "nets alone", "engine": "engine", "file": "file → file", "live": "live"}
BESIDE = {"nets": "the nets", "engine": "the engine", "temporal": "what holds the paint"}
"""What of ours a rival stands beside."""
NET = "net"
"""The stage that is the nets."""
UNITS = {"pixels": "Mpx", "streams": "streams", "styles": "styles", "channels": "channels"}

Size = tuple[int, int]
TIMES = "\N{MULTIPLICATION SIGN}"


def reference(results: Sequence[Result]) -> Result | None:
    return next((result for result in results if result.name == REFERENCE), results[0] if results else None)


def usual(result: Result) -> list[Case]:
    """One case of each layer and size: of one stream, painted as the first case was, in the order of sizes.

    The first that counts; where none does, the first that does not.
    """
    if not result.cases:
        return []
    found: dict[tuple[Size, str], Case] = {}
    for case in result.cases:
        key = (case.size, case.layer)
        if case.streams == 1 and _manner(case) == _manner(result.cases[0]) and (key not in found or found[key].invalid):
            found[key] = case
    return sorted(found.values(), key=lambda case: (case.size[0] * case.size[1], list(LAYERS).index(case.layer)))


def _manner(case: Case) -> tuple[str, str, str]:
    return case.backend, case.precision, case.style


def counted(result: Result, layer: str) -> dict[Size, Case]:
    """The usual cases of a layer that count, by size."""
    return {case.size: case for case in usual(result) if case.layer == layer and not case.invalid}


def sizes(cases: Iterable[Case | Rival]) -> list[Size]:
    return sorted({case.size for case in cases}, key=lambda size: (size[0] * size[1], size))


def besides_nets(case: Case) -> float | None:
    """Share of the stages' time that is not the nets; None where stages were not measured."""
    total = sum(each.median for each in case.stages_ms.values())
    return 1 - case.stages_ms[NET].median / total if NET in case.stages_ms and total else None


# ---- words ----


def figure(value: float) -> str:
    """As many digits as a machine that drifts can give."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 or not share else f"{100 * share:.1g} %"


def by(size: Size) -> str:
    return f"{size[0]}{TIMES}{size[1]}"


def machine(found: Machine) -> str:
    """ "Intel Xeon Processor, 2 cores, AMX-BF16, no GPU"."""
    cpu = re.sub(r"\s+", " ", re.sub(r"\((R|TM)\)", " ", found.cpu, flags=re.IGNORECASE)).strip()
    cores = "1 core" if found.cores == 1 else f"{found.cores} cores"
    return ", ".join([cpu, cores, *found.features[:1], *(found.gpus or ("no GPU",))])


def sentence(words: str) -> str:
    """With a capital letter and a full stop."""
    return words[:1].upper() + words[1:].rstrip(".") + "."


def listed(words: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([*([", ".join(words[:-1])] if len(words) > 1 else []), *words[-1:]])
