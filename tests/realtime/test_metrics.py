"""Stage times."""

import sys
import threading
import time
from collections.abc import Iterator

import pytest

from allaprima.realtime.metrics import RECENT, Flicker, Stages


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
