"""Conditions are read from a made-up /proc and /sys; what is not there stays unknown."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from allaprima.bench import conditions
from allaprima.bench.catalogue import Conditions
from allaprima.bench.conditions import Watch
from allaprima.realtime import machine

CPU = "sys/devices/system/cpu"
Clock = list[float]
OURS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
needs_linux = pytest.mark.skipif(not OURS, reason="only Linux says which cores are ours")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    now = [100.0]
    monkeypatch.setattr(conditions.time, "monotonic", lambda: now[0])
    return now


def write(root: Path, path: str, text: object) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n")


def watched(root: Path, between: Callable[[], None] = lambda: None) -> Conditions:
    """The window of a watch in which nothing happens but ``between``."""
    with Watch(every=60, root=root) as watch:
        between()
    return watch.conditions()


def wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done() and time.monotonic() < deadline:
        time.sleep(0.001)


def stat(root: Path, busy: int, stolen: int) -> None:
    """All cores of ours together have worked and been withheld for so many ticks; another has worked all the time."""
    first, *others = OURS
    lines = ["cpu  9 9 9 9 9 9 9 9 0 0", f"cpu{first} {busy} 0 0 77 5 0 0 {stolen} 0 0"]
    lines += [f"cpu{number} 0 0 0 99 0 0 0 0 0 0" for number in others]
    write(root, "proc/stat", "\n".join([*lines, f"cpu{max(OURS) + 1} {9 * busy} 0 0 0 0 0 0 0 0 0", "intr 1 2"]))


@needs_linux
def test_load_is_that_of_others_on_our_cores(tmp_path: Path, clock: Clock) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    stat(tmp_path, 1000, 0)

    def between() -> None:
        clock[0] += 100
        stat(tmp_path, 1000 + 70 * ticks, 20 * ticks)

    found = watched(tmp_path, between)
    assert found.other_load_cores == pytest.approx(0.7, abs=0.05)  # less what this process took meanwhile
    assert found.stolen_cores == pytest.approx(0.2, abs=0.001)


@needs_linux
def test_what_we_took_ourselves_is_no_other_load(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [50.0]
    monkeypatch.setattr(conditions.os, "times", lambda: (own[0], 0.0, 0.0, 0.0, 0.0))
    stat(tmp_path, 0, 0)

    def between() -> None:
        clock[0] += 10
        own[0] += 6
        stat(tmp_path, 7 * os.sysconf("SC_CLK_TCK"), 0)

    assert watched(tmp_path, between).other_load_cores == pytest.approx(0.1)


@needs_linux
def test_of_a_moment_nothing_is_known_of_load(tmp_path: Path, clock: Clock) -> None:
    stat(tmp_path, 0, 0)
    assert watched(tmp_path, lambda: stat(tmp_path, 1, 0)).other_load_cores is None


def test_where_nothing_can_be_read_nothing_is_known(tmp_path: Path) -> None:
    assert watched(tmp_path) == Conditions()


def test_what_is_damaged_is_not_known(tmp_path: Path) -> None:
    for path in (f"{CPU}/cpu0/cpufreq/scaling_cur_freq", f"{CPU}/cpu0/thermal_throttle/core_throttle_count"):
        write(tmp_path, path, "<unknown>")
    write(tmp_path, "proc/stat", "cpu0 1 2")
    write(tmp_path, "proc/cpuinfo", "cpu MHz : often")
    write(tmp_path, "sys/class/powercap/intel-rapl:0/energy_uj", "")
    assert watched(tmp_path) == Conditions()


def test_sensors_are_looked_at_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = f"{CPU}/cpu0/cpufreq/scaling_cur_freq"
    monkeypatch.setattr(conditions, "SENSORS_EVERY", 0)
    write(tmp_path, file, 1_000_000)
    with Watch(every=0.001, root=tmp_path) as watch:
        write(tmp_path, file, 3_000_000)
        wait(lambda: watch.conditions().clock_mhz == (1000, 3000))
        write(tmp_path, file, 2_000_000)
    assert watch.conditions().clock_mhz == (1000, 3000)


def test_power_is_told_with_whose_it_is(tmp_path: Path, clock: Clock) -> None:
    file = "sys/class/powercap/intel-rapl:0/energy_uj"
    write(tmp_path, file, 0)

    def between() -> None:
        clock[0] += 4
        write(tmp_path, file, 200_000_000)

    found = watched(tmp_path, between)
    assert (found.watts, found.watts_of) == (50, "package")


def test_the_peak_is_the_most_that_was_held_in_the_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = [30_000_000, 900_000_000, 40_000_000]
    monkeypatch.setattr(machine, "resident", lambda: held.pop(0) if len(held) > 1 else held[0])
    with Watch(every=0.001, root=tmp_path) as watch:
        wait(lambda: len(held) == 1)
    assert watch.rss_mb == 900
    assert watch.vram_mb is None


def test_of_a_card_that_paints_the_cards_conditions_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ["1410, 40, 100, 1000, 0x08", "1980, 61, 300, 3000, 0x04"]
    monkeypatch.setattr(machine, "answer", lambda _: [rows.pop(0)])
    write(tmp_path, "proc/cpuinfo", "cpu MHz\t\t: 2700.0")
    with Watch("cuda", every=60, root=tmp_path) as watch:
        pass
    found = watch.conditions()
    assert (found.clock_mhz, found.temperature_c, found.throttled) == ((1410, 1980), (40, 61), True)
    assert (found.watts, found.watts_of) == (200, "gpu")
    assert watch.vram_mb == pytest.approx(2000 * 2**20 / 1e6, abs=0.1)
