"""A made-up /sys, and a driver that answers as nvidia-smi does."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from allaprima.bench import sensors
from allaprima.bench.sensors import Card, Processor
from allaprima.realtime import machine

CPU = "sys/devices/system/cpu"
RAPL = "sys/class/powercap"


def write(root: Path, path: str, text: object) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n")


def looked(root: Path, path: str = "", then: object = None) -> Processor:
    """After two looks, between which a file has changed."""
    processor = Processor(root)
    processor.look()
    if path:
        write(root, path, then)
    processor.look()
    return processor


def test_clocks_are_the_least_and_the_most_of_all_cores_at_any_time(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", "cpu MHz\t\t: 1.0")
    write(tmp_path, f"{CPU}/cpu0/cpufreq/scaling_cur_freq", 3_500_000)
    write(tmp_path, f"{CPU}/cpu11/cpufreq/scaling_cur_freq", 2_000_000)
    found = looked(tmp_path, f"{CPU}/cpu11/cpufreq/scaling_cur_freq", 1_200_000)
    assert found.clock.ends() == (1200, 3500)


def test_without_a_driver_for_it_the_clock_is_that_of_cpuinfo(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", "processor : 0\ncpu MHz\t\t: 2700.031\nprocessor : 1\ncpu MHz\t\t: 2699.1")
    assert looked(tmp_path).clock.ends() == (2699.1, 2700.0)


def test_a_clock_of_nothing_is_none(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", "cpu MHz\t\t: 0.000")
    assert looked(tmp_path).clock.ends() is None


def test_heat_is_the_processors_not_the_boards(tmp_path: Path) -> None:
    for number, (kind, heat) in enumerate([("acpitz", 27_800), ("x86_pkg_temp", 61_000), ("cpu-thermal", 99_000)]):
        write(tmp_path, f"sys/class/thermal/thermal_zone{number}/type", kind)
        write(tmp_path, f"sys/class/thermal/thermal_zone{number}/temp", heat)
    found = looked(tmp_path, "sys/class/thermal/thermal_zone1/temp", 74_500)
    assert found.temperature.ends() == (61, 74.5)


def test_heat_may_come_from_a_hardware_monitor(tmp_path: Path) -> None:
    for number, (name, heat) in enumerate([("nvme", 40_000), ("k10temp", 55_250)]):
        write(tmp_path, f"sys/class/hwmon/hwmon{number}/name", name)
        write(tmp_path, f"sys/class/hwmon/hwmon{number}/temp1_input", heat)
    assert looked(tmp_path).temperature.ends() == (55.2, 55.2)


@pytest.mark.parametrize(("after", "throttled"), [(7, False), (8, True)])
def test_throttled_is_who_was_throttled_in_between(tmp_path: Path, after: int, throttled: bool) -> None:
    file = f"{CPU}/cpu1/thermal_throttle/package_throttle_count"
    write(tmp_path, file, 7)
    write(tmp_path, f"{CPU}/cpu0/thermal_throttle/core_throttle_count", 3)
    found = looked(tmp_path, file, after)
    assert found.throttled is throttled
    found.look()
    assert found.throttled is throttled  # what was, was


def test_power_is_that_of_all_packages_over_the_end_of_a_counter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(sensors.time, "monotonic", lambda: now[0])
    for name, joules in (("intel-rapl:0", 900), ("intel-rapl:1", 0), ("intel-rapl:0:0", 0)):
        write(tmp_path, f"{RAPL}/{name}/energy_uj", joules * 1_000_000)
        write(tmp_path, f"{RAPL}/{name}/max_energy_range_uj", 1000 * 1_000_000)
    processor = Processor(tmp_path)
    processor.look()
    assert processor.watts is None
    now[0] += 4
    # 120 J of the first package, whose counter began anew at 1000; 80 of the second; the cores are part of the first.
    for name, joules in (("intel-rapl:0", 20), ("intel-rapl:1", 80), ("intel-rapl:0:0", 99)):
        write(tmp_path, f"{RAPL}/{name}/energy_uj", joules * 1_000_000)
    processor.look()
    assert processor.watts == 50


def test_power_that_only_root_may_read_is_not_known(tmp_path: Path) -> None:
    write(tmp_path, f"{RAPL}/intel-rapl:0/energy_uj", 5)
    (tmp_path / f"{RAPL}/intel-rapl:1/energy_uj").mkdir(parents=True)  # cannot be read, by root neither
    assert looked(tmp_path, f"{RAPL}/intel-rapl:0/energy_uj", 10**9).watts is None


# ---- the card ----


class Driver:
    """Answers as nvidia-smi does, one row after the other; knows the bits of throttling by one name only."""

    def __init__(self, name: str, *rows: str) -> None:
        self.name, self.rows = name, list(rows)
        self.asked: list[Sequence[str]] = []

    def __call__(self, words: Sequence[str]) -> list[str]:
        self.asked.append(words)
        fields = words[3].removeprefix("--query-gpu=").split(",")
        assert fields[:-1] == ["clocks.sm", "temperature.gpu", "power.draw", "memory.used"]
        if fields[-1] != self.name:
            return []
        return [self.rows.pop(0) if len(self.rows) > 1 else self.rows[0]]


def twice(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> Card:
    monkeypatch.setattr(machine, "answer", driver)
    card = Card()
    card.look()
    card.look()
    return card


@pytest.mark.parametrize("name", sensors.REASONS)
def test_a_card_is_asked_as_its_driver_understands(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    driver = Driver(name, "1410, 40, 100.50, 1024, 0x0000000000000001", "1980, 61, 300.50, 3000, 0x0000000000000004")
    found = twice(monkeypatch, driver)
    assert found.clock.ends() == (1410, 1980)
    assert found.temperature.ends() == (40, 61)
    assert found.watts == 200.5
    assert found.throttled is False  # idle, and at its power limit: neither is a fault
    assert found.memory == (3000 - 1024) * 2**20
    assert len(driver.asked) == 2 + sensors.REASONS.index(name)  # the wrong name is tried once


@pytest.mark.parametrize("bits", [0x08, 0x20, 0x40, 0x80, 0x24])
def test_a_card_that_was_too_hot_was_throttled(monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    rows = f"1980, 60, 300, 10, 0x{bits:016x}", "1980, 60, 300, 10, 0x0000000000000000"
    assert twice(monkeypatch, Driver(sensors.REASONS[0], *rows)).throttled is True


def test_a_card_that_keeps_figures_to_itself_leaves_them_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    found = twice(monkeypatch, Driver(sensors.REASONS[0], "[N/A], 45, [Not Supported], 12, [N/A]"))
    assert (found.clock.ends(), found.watts, found.throttled) == (None, None, None)
    assert found.temperature.ends() == (45, 45)


def test_without_a_driver_nothing_is_known_of_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    found = twice(monkeypatch, Driver("none", ""))
    assert (found.clock.ends(), found.throttled, found.memory) == (None, None, 0)


def test_the_card_is_the_first_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sensors.sys.modules, "cupy", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f3,1")
    driver = Driver(sensors.REASONS[0], "1, 2, 3, 4, 0x0")
    twice(monkeypatch, driver)
    assert driver.asked[0][:3] == ["nvidia-smi", "-i", "GPU-8f3"]
