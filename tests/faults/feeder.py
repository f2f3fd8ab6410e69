"""A child process that feeds damaged inputs: ``feeder.py GROUP FOLDER FIRST COUNT``.

Writes the number of the input it is at into FOLDER/at, one JSON line for each that ended in anything but success or an
error of ours, and one line with figures at the end.  It ends itself, with a traceback, where one takes too long.
"""

import faulthandler
import gc
import json
import logging
import os
import random
import resource
import sys
import threading
import traceback
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "realtime/sources")]

import targets  # noqa: E402

from allaprima.realtime.errors import AllaprimaError  # noqa: E402

SECONDS = 30.0
"""For one input, on a slow and busy machine."""
MEMORY = 8 << 30
"""Bytes of addresses: what asks for more shall fail here, and not bring the machine down."""
SETTLED = 0.3
"""Share of the inputs after which threads, files and memory are counted for the first time."""


def main(group: str, folder: Path, first: int, count: int) -> None:
    faulthandler.enable()
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    outcomes: Counter[str] = Counter()
    with targets.open_group(group, folder) as made:
        mark = os.open(folder / "at", os.O_WRONLY | os.O_CREAT)
        for target in made:
            for seed in target.seeds:
                target.feed(seed)  # what is damaged below is sound
        before = held()
        for number in range(first, first + count):
            target = made[number % len(made)]
            os.pwrite(mark, b"%-20d" % number, 0)
            numbers = random.Random(f"{target.name} {number}")
            data = target.mutate(numbers.choice(target.seeds), target.seeds, numbers)
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            try:
                outcome = target.feed(data) or "taken"
            except AllaprimaError as error:
                outcome = type(error).__name__
                str(error).encode()  # it must be possible to print it
            except Exception:  # noqa: BLE001 (this is what is looked for)
                outcome = "BAD"
                (folder / f"bad-{target.name}-{number}").write_bytes(data)
                tell({"number": number, "target": target.name, "bad": traceback.format_exc()[-1500:]})
            faulthandler.cancel_dump_traceback_later()
            outcomes[f"{target.name} {outcome}"] += 1
            if number - first == round(SETTLED * count):
                before = held()
        gc.collect()
        tell({"outcomes": outcomes, "before": before, "after": held()})


def tell(what: object) -> None:
    print(json.dumps(what), flush=True)


def held() -> tuple[int, int, int]:
    """Threads, open files, and resident memory in bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return threading.active_count(), len(os.listdir("/proc/self/fd")), pages * resource.getpagesize()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
