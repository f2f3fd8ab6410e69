"""The time code through an encoder, what is made of it, the table, and a short run with a peer."""

import asyncio
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("aiortc")

from allaprima.bench import calls, sent, table, timecode, webrtc
from allaprima.bench.callers import PeerCaller
from allaprima.bench.calls import Plan, Result
from allaprima.bench.passages import LEGS, Passage, legs
from allaprima.bench.results import Bar
from allaprima.bench.sent import Sent
from allaprima.bench.timecode import (
    LOOP,
    RATE,
    Seen,
    Sighting,
    blocks_of,
    camera_pictures,
    cells_of,
    coded,
    growth,
    quarters,
    read,
)
from allaprima.realtime import extras
from allaprima.realtime.errors import ConfigError

SIZE = (320, 176)


def encoded(pictures: list[Any], crf: int) -> list[Any]:
    """The luma of RGB pictures after x264 at a quality."""
    coder: Any = av.CodecContext.create("libx264", "w")
    coder.width, coder.height, coder.pix_fmt, coder.time_base = *SIZE, "yuv420p", Fraction(1, RATE)
    coder.options = {"crf": str(crf), "preset": "ultrafast", "tune": "zerolatency"}
    decoder: Any = av.CodecContext.create("h264", "r")
    found = []
    for index, picture in enumerate([*pictures, None]):
        frame = (
            None if picture is None else av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        )
        if frame is not None:
            frame.pts = index
        for packet in coder.encode(frame):
            found += [each.reformat(format="gray").to_ndarray() for each in decoder.decode(packet)]
    return found + [each.reformat(format="gray").to_ndarray() for each in decoder.decode(None)]


def sighting(at: float, number: int) -> Sighting:
    return Sighting(at, blocks_of(coded(np.full((96, 160, 3), 90, np.uint8), number)[..., 1]))


# ---- the time code ----


def test_every_number_survives_an_encoder_at_its_worst(tiny: Any) -> None:
    backs = [np.repeat(tiny.texture(SIZE, seed)[..., None], 3, 2) for seed in (1, 2)]
    pictures = [coded(backs[number % 2], number) for number in range(LOOP)]
    assert [read(blocks_of(luma)) for luma in encoded(pictures, 45)] == list(range(LOOP))


def test_a_style_may_brighten_and_flatten_but_noise_is_no_number() -> None:
    blocks = blocks_of(coded(np.zeros((96, 160, 3), np.uint8), 77)[..., 0])
    assert read(0.1 * blocks + 150) == 77
    assert read(255 - blocks) is None
    noise = np.random.default_rng(0).uniform(0, 255, (1000, timecode.ROWS, timecode.COLUMNS))
    assert sum(read(one) is not None for one in noise) < 25


def test_the_camera_goes_there_and_back_without_a_cut() -> None:
    pictures = camera_pictures((160, 96))
    assert len(pictures) == LOOP
    assert np.array_equal(pictures[1][20:], pictures[-1][20:])
    assert [read(blocks_of(picture[..., 1])) for picture in pictures] == list(range(LOOP))


# ---- figures ----


def test_delays_are_found_across_the_end_of_the_numbers() -> None:
    camera = [sighting(n / RATE, n % LOOP) for n in range(LOOP + 40)]
    screen = [sighting(n / RATE + 0.12, n % LOOP) for n in range(20, LOOP + 30, 2)]
    screen.insert(3, Sighting(screen[2].at + 0.001, screen[2].blocks))  # shown twice: counts once
    screen.append(Sighting(9.0, np.zeros((timecode.ROWS, timecode.COLUMNS))))
    seen = Seen(camera, screen)
    delays = seen.delays()
    assert len(delays) == len(screen) - 2
    assert [delay for _, delay in delays] == pytest.approx([0.12] * len(delays))
    assert seen.readable == pytest.approx(1 - 1 / len(screen))
    assert Seen(camera, screen[:-1]).longest_gap() == pytest.approx(2 / RATE)
    assert (Seen([], []).delays(), Seen([], []).readable, Seen([], []).longest_gap()) == ([], 0.0, 0.0)


def test_growth_compares_the_last_quarter_with_the_first() -> None:
    assert growth([(t / 10, 0.1) for t in range(100)]) == pytest.approx(0)
    assert growth([(t / 10, 0.1 + t / 100) for t in range(101)]) == pytest.approx(0.75, abs=0.01)
    assert growth([(1.0, 5.0)]) == growth([]) == 0.0


def test_quarters_show_where_it_grew() -> None:
    found = quarters([(t / 10, 0.1 if t < 300 else 0.2) for t in range(401)])
    assert [p50 for p50, _ in found] == pytest.approx([0.1, 0.1, 0.1, 0.2])
    assert found[3][1] == pytest.approx(0.2)
    assert quarters([]) == []


def test_black_and_frozen_pictures_are_counted(tiny: Any) -> None:
    def shown(luma: Any) -> Sighting:
        return Sighting(0.0, np.zeros((timecode.ROWS, timecode.COLUMNS)), cells_of(luma))

    still = tiny.texture(SIZE, 1)
    moved = [shown(np.roll(still, 3 * n, 1)) for n in range(4)]
    assert (Seen([], moved).black(), Seen([], moved).frozen()) == (0, 0)
    black, gray = shown(np.full_like(still, 16)), shown(np.full_like(still, 120))
    assert Seen([], [*moved, black, moved[0], gray]).black() == 2
    assert Seen([], [moved[0], moved[0], moved[1], shown(np.roll(still, 3, 1) ^ 1)]).frozen() == 2
    turned = [Sighting(n, sighting(n, 5).blocks, moved[0].cells) for n in range(2)]
    assert (Seen([], turned).frozen(), Seen(turned, turned).frozen()) == (1, 0), "the camera showed it twice"
    assert [Seen([], turned).frozen(came) for came in ([5, 5, 6], [5, 6, 5], [6, 6, 5], [None, None])] == [0, 1, 1, 1]
    nobody_looked = [sighting(0, 1), sighting(1, 1)]
    assert (Seen([], nobody_looked).black(), Seen([], nobody_looked).frozen()) == (0, 0)


def test_the_camera_moves_enough_for_a_frozen_picture_to_be_seen() -> None:
    pictures = [picture[..., 1] for picture in camera_pictures(SIZE)]
    unread = np.zeros((timecode.ROWS, timecode.COLUMNS))
    shown = [Sighting(0.0, unread, cells_of(one)) for one in [*pictures, pictures[0]]]
    assert Seen([], shown).frozen() == 0


def test_the_legs_of_the_way_are_told_apart() -> None:
    camera = [sighting(n / RATE, n % LOOP) for n in range(2 * LOOP)]
    screen = [sighting(n / RATE + 0.1, n % LOOP) for n in range(2 * LOOP)]
    passages = [Passage(n % LOOP, at + 0.02, at + 0.03, at + 0.07) for n in range(2 * LOOP) for at in [n / RATE]]
    passages[5].sent = passages[6].number = None
    found = legs(Seen(camera, screen), passages)
    assert list(found) == list(LEGS)
    assert [p50 for p50, _ in found.values()] == pytest.approx([20, 10, 40, 30])
    assert [p95 for _, p95 in found.values()] == pytest.approx([20, 10, 40, 30])
    assert legs(Seen([], []), passages) == {}


def result(p95: float, grown: float, before: int, after: int, frozen: int = 0) -> Result:
    painted = {"camera to screen, p95 (ms)": p95, "growth of the delay (ms)": grown}
    swaps = {"dropped just before swaps (frames)": float(before), "dropped just after swaps (frames)": float(after)}
    swaps |= {"black pictures": 0, "frozen pictures": frozen}
    found = Result("Chromium", "strength 0", (640, 360), {"painted": painted, "swaps": swaps})
    found.quarters, found.legs = [(100.0, 120.0), (101.0, 333.0)], {"to the screen": (30.0, 77.0)}
    found.bars = calls.bars(found, Plan())
    return found


def test_bars_stand_beside_the_figures() -> None:
    assert [bar.met for bar in result(120, 5, 0, 0).bars] == [True] * 5
    assert [bar.met for bar in result(170, 50, 0, 1).bars] == [False, False, True, True, True]
    assert [bar.met for bar in result(170, 50, 0, 5, frozen=1).bars] == [False, False, False, True, False]
    slow = result(100, 0, 0, 0)
    slow.stretches["painted"]["received (fps)"] = 19.0
    assert calls.bars(slow, Plan())[0].as_json()["met"] is False
    assert [bar.met for bar in result(1, 0, 40, 50).bars] == [True] * 5, "by chance"
    assert calls.bars(result(1, 0, 0, 0), Plan(size=(1280, 720)))[0].what == "growth of the delay (ms)"


def test_the_table_and_the_json_have_it_all(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    from rich.console import Console

    monkeypatch.setattr(table, "OUT", Console(highlight=False, width=140))
    found = result(170, 5, 0, 0)
    found.other_load = 1.5
    qualities = {"ours": Sent(10, 38.25, 35.0, 5500.0, 4.0)}
    webrtc.show(found, qualities)
    shown = capsys.readouterr().out
    assert "Chromium; delay with strength 0" in shown
    for words in ("swaps", "≤ 150 ms: MISSED", "38.2", "quarter 2", "333", "77.0", "Other programs took 1.5"):
        assert words in shown
    text = json.loads(json.dumps(webrtc.as_json(found, qualities)))
    assert text["stretches"]["painted"]["camera to screen, p95 (ms)"] == 170
    assert text["bars"][0] == Bar("camera to screen, p95 (ms)", 170, 150, False, " ms").as_json()
    assert text["quality"]["ours"]["psnr"] == 38.25
    assert text["quarters_ms"][1] == {"p50": 101.0, "p95": 333.0}
    assert text["legs_ms"]["to the screen"]["p95"] == 77.0


def test_without_the_extra_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(extras, "present", lambda extra: False)
    monkeypatch.setattr("sys.argv", ["webrtc"])
    with pytest.raises(SystemExit) as end:
        table.run(webrtc.main)
    assert end.value.code == ConfigError.exit_code
    assert "pip install 'allaprima[webrtc]'" in capsys.readouterr().err


def test_importing_the_command_needs_nothing_of_the_extra() -> None:
    code = "import sys; sys.modules.update(aiortc=None, aiohttp=None); import allaprima.bench.webrtc"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 0


# ---- for real ----


def test_a_short_run_with_a_peer(tiny_bundle: Path) -> None:
    plan = Plan(size=SIZE, seconds=1.2, swaps=1, bundle=tiny_bundle, settle=0.2)
    found = asyncio.run(calls.measure(plan, note=lambda text: None))
    assert list(found.stretches) == ["unpainted", "painted", "swaps"]
    assert found.size == SIZE
    assert found.code == "the style plain as it is"
    for figures in found.stretches.values():
        assert 5 < figures["received (fps)"] <= figures["camera (fps)"] * 1.5
        assert figures["code read (share)"] > 0.8
        assert 0 < figures["camera to screen, p50 (ms)"] <= figures["camera to screen, p95 (ms)"] < 4000
        assert figures["black pictures"] == 0
        assert 0 <= figures["step of the governor, mean (0 is full effort)"] <= 10
    assert found.stretches["swaps"]["answer to a swap (ms)"] > 0
    swaps = {"dropped just after swaps (frames)", "black pictures", "frozen pictures"}
    assert {bar.what for bar in found.bars} == {"growth of the delay (ms)"} | swaps
    assert len(found.quarters) == 4
    assert list(found.legs) == list(LEGS)
    assert all(0 <= p50 <= p95 for p50, p95 in found.legs.values())


def test_a_server_that_is_not_there_is_said_by_the_callers_process() -> None:
    with pytest.raises(ConfigError, match="cannot be reached"):
        asyncio.run(PeerCaller.open(SIZE, "http://127.0.0.1:9"))


def test_ours_arrives_better_than_the_stock_encoders(tiny_bundle: Path) -> None:
    found = sent.qualities(None, tiny_bundle, (640, 352), 8)
    assert len(found) == 5
    assert {one.pictures for one in found.values()} == {8}
    assert found["ours as it starts"].psnr > found["aiortc's as it starts"].psnr
