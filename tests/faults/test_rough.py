"""Slow, bursty, damaged and jumping: real files through the real pipeline, counted, with picture and sound intact."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from allaprima.realtime.cli import main
from allaprima.realtime.frame import Frame
from allaprima.realtime.pipeline import Manner, Progress, run
from allaprima.realtime.sinks import open_sink
from allaprima.realtime.sources import open_source
from allaprima.realtime.stylizer import Stylizer

from .conftest import Film, watch

Clip = Callable[..., Path]
PATIENCE = 40
FRAMES = 50


class Rough:
    """A source that waits before some frames, and may call itself live."""

    def __init__(self, source: Any, waits: Callable[[int], float], live: bool = False) -> None:
        self._source, self._waits = source, waits
        self.info = replace(source.info, live=live)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def __enter__(self) -> "Rough":
        self._source.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._source.__exit__(*error)

    def __iter__(self) -> Iterator[Frame]:
        for index, frame in enumerate(self._source):
            time.sleep(self._waits(index))
            yield replace(frame, captured=time.monotonic()) if self.info.live else frame


class Slow:
    """A sink that takes its time over some frames."""

    def __init__(self, sink: Any, waits: Callable[[int], float]) -> None:
        self._sink, self._waits, self._count = sink, waits, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def __enter__(self) -> "Slow":
        self._sink.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._sink.__exit__(*error)

    def write(self, frame: Frame) -> None:
        time.sleep(self._waits(self._count))
        self._count += 1
        self._sink.write(frame)


def never(index: int) -> float:
    return 0.0


@pytest.fixture
def paint(tmp_path: Path, tiny_bundle: Path) -> Callable[..., tuple[Progress, Film]]:
    """Paint a file into a file; gives the figures and what lies in the output."""

    def go(
        path: Path, source: Any = never, sink: Any = never, live: bool = False, **manner: Any
    ) -> tuple[Progress, Film]:
        out = tmp_path / "out.mkv"
        opened = Rough(open_source(str(path)), source, live)
        result: list[Progress] = []

        def work() -> None:
            result.append(
                run(opened, Stylizer("dark", bundle=tiny_bundle), [Slow(open_sink(str(out), opened.info), sink)],
                    manner=Manner(**manner))
            )  # fmt: skip

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert not thread.is_alive(), "it hangs"
        assert result, "it failed"
        return result[0], watch(out)

    return go


@pytest.mark.parametrize(
    ("source", "sink"),
    [
        (never, lambda index: 0.02),
        (lambda index: 0.02, never),
        (lambda index: 0.3 if index % 20 == 10 else 0.0, lambda index: 0.3 if index % 25 == 5 else 0.0),
    ],
    ids=["slow sink", "slow source", "bursts"],
)
def test_a_file_loses_nothing_whoever_is_slow(paint: Any, clip: Clip, source: Any, sink: Any) -> None:
    given = clip(frames=FRAMES)
    progress, film = paint(given, source, sink)
    before = watch(given)
    assert film.times == before.times
    assert film.sound == before.sound
    assert film.sound_times == before.sound_times
    assert (progress.painted, progress.dropped_in, progress.dropped_out, progress.lost) == (FRAMES, 0, 0, 0)


@pytest.mark.parametrize("which", ["source", "sink"])
def test_a_live_stream_drops_pictures_but_no_sound_and_counts_them(paint: Any, clip: Clip, which: str) -> None:
    """Bursts of 25 frames at once, or a sink that stands still for them."""
    given = clip(frames=FRAMES)
    waits = {"source": lambda index: 0.4 if index % 25 == 0 else 0.0} if which == "source" else {}
    if which == "sink":
        waits = {"source": lambda index: 0.01, "sink": lambda index: 0.3 if index == 2 else 0.0}
    progress, film = paint(given, **waits, live=True)
    before = watch(given)
    assert len(film.times) < FRAMES
    assert set(film.times) <= set(before.times)
    assert film.times == sorted(film.times)
    assert len(film.times) + progress.dropped_in + progress.dropped_out == FRAMES
    assert film.times[-1] == before.times[-1]
    assert film.sound == before.sound
    assert film.sound_times == before.sound_times


def test_every_20th_packet_is_garbage(clip: Clip, tmp_path: Path, tiny_bundle: Path, capsys: Any) -> None:
    given = clip(frames=100, options={"g": "10", "bf": "0", "preset": "ultrafast"})
    with av.open(str(given)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(given.read_bytes())
    bad = range(5, 100, 20)
    for number in bad:
        start, size = places[number]
        at = data.index(_bytes_of(given, number), start)
        data[at : at + size] = b"\xff" * size
    broken, out = tmp_path / "broken.mkv", tmp_path / "out.mkv"
    broken.write_bytes(data)
    assert main(["run", str(broken), str(out), "--bundle", str(tiny_bundle), "--json"]) == 0
    told = capsys.readouterr().out
    before, film = watch(given), watch(out)
    assert film.times == [time for number, time in enumerate(before.times) if number not in bad]
    assert film.sound == before.sound
    assert film.sound_times == before.sound_times
    assert f'"lost": {len(bad)}' in told or f"{len(bad)} of 100 frames could not be decoded" in told


def _bytes_of(path: Path, number: int) -> bytes:
    with av.open(str(path)) as container:
        packets = (packet for packet in container.demux(video=0) if packet.size)
        return next(bytes(packet) for index, packet in enumerate(packets) if index == number)


# ---- clocks ----


@pytest.mark.parametrize("seconds", [-3600, -1, 3600], ids=["back to zero", "a second back", "an hour on"])
def test_a_source_whose_time_jumps(clip: Clip, tmp_path: Path, tiny_bundle: Path, seconds: int) -> None:
    """Two recordings in one file, as a recorder leaves them that was restarted."""
    pieces = [_later(clip("clip.ts", FRAMES), tmp_path / f"{at}.ts", at) for at in (3700, 3700 + seconds)]
    joined, result = tmp_path / "joined.ts", tmp_path / "out.mkv"
    joined.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    assert main(["run", str(joined), str(result), "--bundle", str(tiny_bundle), "-q"]) == 0
    before, film = watch(joined), watch(result)
    assert len(film.times) == 2 * FRAMES
    assert all(a < b for a, b in zip(film.times, film.times[1:], strict=False))
    assert film.samples >= 0.97 * before.samples
    assert all(a <= b for a, b in zip(film.sound_times, film.sound_times[1:], strict=False))
    assert abs(film.times[-1] - film.sound_times[-1]) < 0.3


def _later(path: Path, copy: Path, seconds: int) -> Path:
    """The same recording with all times so much later."""
    with av.open(str(copy), "w") as out, av.open(str(path)) as container:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in container.streams}
        for packet in container.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                ticks = round(seconds / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                out.mux(packet)
    return copy


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 0.5], ids=["an hour on", "an hour back", "half a second on"])
@pytest.mark.parametrize("clock", ["monotonic", "time"])
def test_our_own_clock_jumps(paint: Any, clip: Clip, monkeypatch: Any, clock: str, jump: float) -> None:
    """A machine that slept, or whose clock was set: a live run at a cadence goes on, and its times with it."""
    real, away = getattr(time, clock), SimpleNamespace(by=0.0)
    monkeypatch.setattr(time, clock, lambda: real() + away.by)

    def waits(index: int) -> float:
        away.by = jump if index >= FRAMES // 2 else 0.0
        return 0.01

    progress, film = paint(clip(frames=FRAMES), waits, live=True)
    assert len(film.times) + progress.dropped_in + progress.dropped_out == FRAMES
    assert len(film.times) > FRAMES // 2
    assert film.times[-1] == Fraction(FRAMES - 1, 25)
    assert film.sound == watch(clip(frames=FRAMES)).sound
