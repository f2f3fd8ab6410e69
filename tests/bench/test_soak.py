"""That a soak does what it says and adds up rightly; never how large a time is."""

import json
import math
import socket
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from allaprima.bench import outside, soak, soaked
from allaprima.bench.outside import Camera, Receiver
from allaprima.bench.soak import Plan
from allaprima.bench.soaked import Sample, Soaked, Windows
from allaprima.realtime.errors import ConfigError, SourceLost
from allaprima.realtime.pipeline import Progress

LINUX = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc here")


def made(samples: list[Sample], windows: Windows | None = None, seconds: float = 1000.0) -> Soaked:
    return Soaked(seconds, 10.0, Progress(None), windows or Windows(lambda: True), samples, 1, 0, None)


def test_a_camera_shows_its_frames_over_and_over_until_it_is_unplugged(tiny: ModuleType) -> None:
    frames = [tiny.frame(seed=seed) for seed in range(2)]
    camera, seen = Camera(frames, 200.0), []
    shown = iter(camera)
    seen += [next(shown) for _ in range(5)]
    camera.unplug()
    with pytest.raises(SourceLost):
        next(shown)
    assert [frame.planes[0] is frames[index % 2].planes[0] for index, frame in enumerate(seen)] == [True] * 5
    assert [frame.index for frame in seen] == list(range(5))
    assert [float(frame.pts * frame.time_base) for frame in seen] == [index / 200 for index in range(5)]
    assert seen[-1].captured - seen[0].captured > 0.015
    stopped = Camera(frames, 200.0)
    stopped.stop()
    assert list(stopped) == []


def test_a_receiver_hangs_up_and_takes_the_next_call() -> None:
    receiver = Receiver()
    try:
        where = ("127.0.0.1", int(receiver.uri.rpartition(":")[2]))
        with socket.create_connection(where, 5) as line:
            line.sendall(b"x" * 1000)
            until = time.monotonic() + 5
            while receiver.bytes < 1000 and time.monotonic() < until:
                time.sleep(0.01)
            receiver.drop()
            line.settimeout(5)
            assert line.recv(1) == b""
        with socket.create_connection(where, 5) as line:
            line.sendall(b"y")
            while receiver.connections < 2 and time.monotonic() < until:
                time.sleep(0.01)
    finally:
        receiver.close()
    assert (receiver.connections, receiver.bytes >= 1000) == (2, True)


def test_times_are_those_of_a_frame_from_its_first_to_its_last_stage_in_timed_windows() -> None:
    full = [True]
    windows = Windows(lambda: full[0])

    def frame(index: int, start: float, seconds: float) -> None:
        windows("upload", start, 0.001, index)
        windows("net", start + 0.001, 0.001, index)
        windows("finish", start + seconds - 0.001, 0.001, index)

    frame(0, 1.0, 9.0)  # rough: not timed
    windows.kind, windows.since = "steady", 10.0
    frame(1, 10.1, 9.0)  # still settling
    frame(2, 11.0, 0.02)
    full[0] = False
    frame(3, 11.5, 9.0)  # with less effort
    full[0] = True
    windows("finish", 12.0, 1.0, 99)  # of a frame that was never begun
    windows.kind = "swaps"
    frame(4, 13.0, 0.03)
    assert windows.times["steady"] == [pytest.approx(0.02)]
    assert windows.times["swaps"] == [pytest.approx(0.03)]
    assert made([], windows).ratio == pytest.approx(1.5)
    assert math.isnan(made([]).ratio)


def test_growth_is_what_is_left_after_the_warm_up() -> None:
    """3.6 MB an hour, a thread for a moment, and a file that stays."""
    samples = [Sample(float(t), 100 + t / 1000, 9 + (t == 500), 20 + (t > 700)) for t in range(0, 1000, 10)]
    samples[0] = Sample(0.0, 1.0, 1, 1)
    found = made(samples)
    assert found.settled[0].seconds == soaked.WARM_UP_SECONDS
    assert found.per_hour("megabytes") == pytest.approx(3.6)
    assert (found.grown("threads"), found.grown("files")) == (0, 1)
    met = {bar.what: bar.met for bar in found.bars}
    assert met["memory, MB an hour"]
    assert met["threads more at the end"]
    assert not met["open files more at the end"]
    assert not met["p99 with swaps / without"], "nothing was timed"


def test_what_sizes_need_beside_each_other_is_no_growth() -> None:
    """A camera of three sizes, each for three minutes; then the same with a leak."""
    needs = (250.0, 230.0, 240.0)
    samples = [Sample(t, needs[int(t / 180) % 3], 9, 20) for t in map(float, range(0, 1800, 10))]
    assert made(samples, seconds=1800.0).per_hour("megabytes") == 0
    leaking = [replace(each, megabytes=each.megabytes + each.seconds / 180) for each in samples]
    assert made(leaking, seconds=1800.0).per_hour("megabytes") == pytest.approx(20, rel=0.2)


def test_frames_dropped_while_others_crowd_the_machine_are_told_and_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allaprima.realtime.machine.cores", lambda: 4)
    windows = Windows(lambda: True, "steady")
    windows.end(3, 1.5)
    assert _dropped(windows) == 3, "there is no calm window to judge by"
    windows.end(0, 0.5)
    assert _dropped(windows) == 0
    windows.kind = "rough"
    windows.end(7, 0.0)
    assert _dropped(windows) == 0, "in a rough window frames may be dropped"
    windows.kind = "swaps"
    windows.end(2, None)
    assert _dropped(windows) == 2
    found = made([Sample(0.0, 1.0, 1, 1)], windows).as_json()
    assert found["windows"] == {"calm": 2, "crowded": 1, "dropped_calm": 2}
    assert found["dropped"]["by_window"] == {"steady": 3, "rough": 7, "swaps": 2}


def _dropped(windows: Windows) -> float:
    soaked = made([Sample(0.0, 1.0, 1, 1)], windows)
    return next(bar.measured for bar in soaked.bars if bar.what == "frames dropped in calm timed windows")


def test_it_says_where_it_cannot_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(soaked.Path, "read_text", missing)
    with pytest.raises(ConfigError, match="only Linux"):
        soaked.look(0.0)


@LINUX
def test_a_short_soak_does_everything_once(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(soak, "WINDOWS", ("steady", "swaps", "rough", "settling"))
    monkeypatch.setattr(soak, "Plan", lambda *given: Plan(*given, window=0.4, every=0.2))
    monkeypatch.setattr(soak, "SWAP_SECONDS", 0.03)
    monkeypatch.setattr(soaked, "SETTLING_SECONDS", 0.05)
    monkeypatch.setattr(outside, "SCENE_FRAMES", 6)
    for place in ("sources", "sinks"):
        monkeypatch.setattr(f"allaprima.realtime.{place}.reconnect.FIRST_PAUSE", 0.05)
    monkeypatch.setattr("allaprima.realtime.sinks.reconnect.PROVEN", 0.0)
    report = tmp_path / "soak.json"
    for seconds, rate in ((5.2, 40.0), (10.0, 20.0), (19.6, 10.0)):  # a busy machine needs longer
        soak.main(seconds / 60, "96x64", rate, tiny_bundle, str(report))
        found = json.loads(report.read_text())
        happened = {
            "swaps": found["swaps"] > 20,
            "another stream": found["guests"] >= 1,
            "the source is back": found["returns"]["source"] >= 1,
            "the receiver is called again": found["connections"] >= 2,
            "frames": found["frames"] > 60,
            "frames are timed": all(found["frame_ms"][kind]["frames"] > 10 for kind in ("steady", "swaps")),
        }
        if all(happened.values()):
            break
    assert not [what for what, true in happened.items() if not true]
    assert found["schema"] == soak.SCHEMA
    assert len(found["samples"]) > 10
    assert {bar["what"] for bar in found["bars"]} == {bar.what for bar in made([Sample(0.0, 1.0, 1, 1)]).bars}
    shown = capsys.readouterr().out
    assert "p99 with swaps / without" in shown
    assert "flat" in shown or "GROWING" in shown
