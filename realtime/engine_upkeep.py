"""Which engines are still good, and which can go.

An engine is *damaged* (plan or record), *foreign* (built on a card that is not here), *stale* (another TensorRT,
driver, bundle or version of this program than now) or *good*.  Without a card only the damaged ones can be told.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from allaprima.realtime.bundle import Bundle
from allaprima.realtime.engine_key import Machine, Record, graph_hash, model_hash
from allaprima.realtime.engines import EngineBusy, Engines, Entry
from allaprima.realtime.errors import BackendUnavailable, BundleError, EngineMissing, SinkError

State = Literal["good", "stale", "foreign", "damaged", "unknown"]
DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one engine fares."""

    entry: Entry
    state: State
    why: str = ""
    """Which parts of its key differ, or what is broken; empty for a good one."""

    def as_json(self) -> dict[str, Any]:
        record = self.entry.record
        return {
            "name": self.entry.path.stem,
            "path": str(self.entry.path),
            "bytes": self.entry.bytes,
            "used": round(self.entry.used),
            "state": self.state,
            "why": self.why or None,
            "record": None if record is None else record.model_dump(mode="json"),
        }


def machines() -> list[Machine] | None:
    """One for each card here; None where there is no card, no CuPy or no TensorRT."""
    from allaprima.realtime.backends.nets import trt

    try:
        return trt.machines()
    except BackendUnavailable:
        return None


def judge(entry: Entry, here: Sequence[Machine] | None) -> Verdict:
    """By record and sizes; the plan is not read."""
    if entry.record is None:
        return Verdict(entry, "damaged", entry.problem)
    differences = _differences(entry.record)
    if here is not None:
        key = entry.record.key
        cards = [machine for machine in here if (machine.gpu, machine.capability) == (key.gpu, key.capability)]
        if not cards:
            ours = " and ".join(f"{machine.gpu} {machine.capability}" for machine in here)
            return Verdict(entry, "foreign", f"built on {key.gpu} {key.capability} (here {ours})")
        differences = [*key.differences(cards[0]), *differences]
    if differences:
        return Verdict(entry, "stale", ", ".join(differences))
    return Verdict(entry, "unknown" if here is None else "good")


def _differences(record: Record) -> list[str]:
    """What has changed since on our side: the program, or the bundle in that folder."""
    found = []
    if record.key.graph != graph_hash():
        found.append("built by another version of this program")
    try:
        if model_hash(Bundle(Path(record.bundle), verify=False)) != record.key.model:
            found.append(f"the bundle {record.bundle} has changed")
    except (BundleError, KeyError):
        pass  # moved or gone: it may be the same one elsewhere
    return found


def judged(engines: Engines, here: Sequence[Machine] | None) -> list[Verdict]:
    return [judge(entry, here) for entry in engines.entries()]


def verify(engines: Engines, here: Sequence[Machine]) -> Iterator[Verdict]:
    """Hash, key and, of what is neither damaged, foreign nor stale, whether TensorRT takes it."""
    from allaprima.realtime.backends.nets.tensorrt_net import Plan

    for verdict in judged(engines, here):
        if verdict.state == "damaged":
            yield verdict
            continue
        try:
            content, record = engines.load(verdict.entry.path)
            if verdict.state == "good":
                Plan(content, record)
        except EngineMissing as error:  # it is there, but of no use
            yield Verdict(verdict.entry, "damaged", str(error))
        else:
            yield verdict


@dataclass(frozen=True, slots=True)
class Pruned:
    """A file that was removed, or with a dry run would be."""

    path: Path
    bytes: int
    why: str


def prune(
    engines: Engines,
    here: Sequence[Machine] | None,
    everything: bool = False,
    older: float | None = None,
    keep: int | None = None,
    dry: bool = False,
) -> list[Pruned]:
    """Remove engines: damaged, foreign and stale ones; ``everything``; those not used for ``older`` days; and, the
    longest unused first, as many as it takes to be left with ``keep`` bytes.

    One that is being built stays.  Raises `SinkError` where a file cannot be removed.
    """
    now, going, staying = time.time(), [], []
    for verdict in judged(engines, here):
        unused = (now - verdict.entry.used) / DAY
        if everything:
            going.append((verdict.entry, "all"))
        elif verdict.state in ("damaged", "foreign", "stale"):
            going.append((verdict.entry, f"{verdict.state}: {verdict.why}"))
        elif older is not None and unused > older:
            going.append((verdict.entry, f"not used for {unused:.0f} days"))
        else:
            staying.append(verdict.entry)
    if keep is not None:
        total = sum(entry.bytes for entry in staying)
        for entry in sorted(staying, key=lambda entry: entry.used):
            if total <= keep:
                break
            going.append((entry, "to make room"))
            total -= entry.bytes
    files = [(entry.path, entry.bytes, why) for entry, why in going]
    files += [(file, file.stat().st_size, "left by a build that was killed") for file in engines.strays()]
    if everything:
        files += [(file, file.stat().st_size, "all") for file in sorted(engines.folder.glob("timing-*.cache"))]
    done = [Pruned(file, size, why) for file, size, why in files if _remove(engines, file, dry)]
    for lock in () if dry else engines.folder.glob("*.lock"):
        with contextlib.suppress(EngineBusy), engines.building(lock.stem):
            pass  # a killed builder's goes with ours
    return done


def _remove(engines: Engines, file: Path, dry: bool) -> bool:
    """False for what is in use."""
    if dry:
        return True
    try:
        with engines.building(file.name.removeprefix(".").partition(".")[0]):
            if file.suffix == ".plan":
                engines.remove(file)
            else:
                file.unlink(missing_ok=True)
    except EngineBusy:
        return False
    except OSError as error:
        raise SinkError(f"cannot remove {file}: {error.strerror}") from error
    return True
