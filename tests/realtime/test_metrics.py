"""Stage times."""

import sys
import threading
import time
from collections.abc import Iterator

import pytest

from allaprima.realtime.metrics import RECENT, REMEMBERED, Delays, Flicker, Stages


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_stage_is_timed_while_it_runs() -> None:
    stages = Stages()
    with stages("net"):
        time.sleep(0.02)
    assert 0.02 <= stages.totals()["net"] < 2


def test_means_are_over_the_frames_of_each_stage() -> None:
    stages = Stages()
    for seconds in (0.010, 0.030):
        stages.add("net", seconds)
    stages.add("blend", 0.004)
    assert stages.milliseconds() == pytest.approx({"net": 20, "blend": 4})
    assert stages.totals() == pytest.approx({"net": 0.040, "blend": 0.004})


def test_stages_keep_the_order_in_which_they_first_ran() -> None:
    stages = Stages()
    for name in ("upload", "net", "finish", "net", "upload"):
        stages.add(name, 0.001)
    assert list(stages.milliseconds()) == ["upload", "net", "finish"]


def test_totals_are_the_readers_own() -> None:
    stages = Stages()
    stages.add("net", 1)
    stages.totals()["net"] = 5
    assert stages.totals() == {"net": 1}


@pytest.mark.usefixtures("hasty_threads")
def test_several_threads_may_add_while_another_reads() -> None:
    stages = Stages()

    def add(worker: int) -> None:
        for number in range(400):
            stages.add(f"{worker} {number}", 1)
            stages.add("all", 1)

    threads = [threading.Thread(target=add, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert all(value == pytest.approx(1000) for value in stages.milliseconds().values())
    assert stages.totals()["all"] == 1200


def test_flicker_is_the_root_of_the_mean_lately_and_overall() -> None:
    flicker = Flicker()
    assert flicker.now is None
    assert flicker.overall is None
    for _ in range(RECENT):
        flicker.add(0.09)
    assert flicker.now == flicker.overall == pytest.approx(0.3)
    for _ in range(RECENT):
        flicker.add(0.01)
    assert flicker.now == pytest.approx(0.1)
    assert flicker.overall == pytest.approx(0.05**0.5)


def test_who_watches_is_told_of_every_stage_in_its_thread() -> None:
    stages, seen = Stages(), []
    stages.add("decode", 0.01)
    stages.watch = lambda *told: seen.append((threading.current_thread().name, *told))
    before = time.perf_counter()
    worker = threading.Thread(target=lambda: stages.add("net", 0.5, 7), name="engine")
    worker.start()
    worker.join()
    with stages("blend", 8):
        pass
    stages.watch = None
    stages.add("finish", 0.1)
    (thread, name, start, seconds, frame), (_, *second) = seen
    assert (thread, name, seconds, frame) == ("engine", "net", 0.5, 7)
    assert before - 0.5 <= start <= time.perf_counter() - 0.5
    assert (second[0], second[3]) == ("blend", 8)


def test_delays_are_those_of_late() -> None:
    delays = Delays()
    assert delays.quantile(0.5) is None
    for number in range(2 * REMEMBERED):
        delays.add(number)
    assert delays.quantile(0) == REMEMBERED
    assert delays.quantile(0.5) == REMEMBERED + REMEMBERED / 2
    assert delays.quantile(1) == 2 * REMEMBERED - 1
