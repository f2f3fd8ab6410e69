"""One scale in a process of its own: the memory of its streams is then theirs alone.

    python -m allaprima.bench.scaled '{"over": "streams", "size": [640, 360], ...}'

takes a `Spec` and prints a list of `Scale`.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from allaprima.bench import clips, precision, scales, table
from allaprima.bench.catalogue import Scale
from allaprima.bench.children import ChildFailed, finished

FOUND = TypeAdapter(list[Scale])


@dataclass(frozen=True, slots=True)
class Spec:
    """What `scales.measure` is asked."""

    over: str
    size: clips.Size
    seconds: float
    streams: tuple[int, ...]
    backend: str
    precision: str
    bundle: str | None = None


def measured(spec: Spec, limit: float, note: Callable[[str], None]) -> list[Scale]:
    """From a child process; one that fails leaves the scale out, and ``note`` is told why."""
    note(f"scale over {spec.over}: measuring")
    words = [sys.executable, "-m", "allaprima.bench.scaled", json.dumps(asdict(spec))]
    try:
        return FOUND.validate_json(finished(words, limit))
    except subprocess.TimeoutExpired:
        note(f"scale over {spec.over}: left out, it was not done after {limit:.0f} s")
    except (ValueError, ChildFailed) as error:
        note(f"scale over {spec.over}: left out, {error}")
    return []


def main(words: Sequence[str] | None = None) -> None:
    (text,) = sys.argv[1:] if words is None else words
    given = json.loads(text)
    spec = Spec(**{**given, "size": tuple(given["size"]), "streams": tuple(given["streams"])})
    precision.use(spec.precision)
    bundle = None if spec.bundle is None else Path(spec.bundle)
    found = scales.measure(
        [spec.over], spec.size, spec.seconds, table.note, spec.streams, backend=spec.backend, bundle=bundle
    )
    print(FOUND.dump_json(found, exclude_none=True).decode())


if __name__ == "__main__":
    main()
