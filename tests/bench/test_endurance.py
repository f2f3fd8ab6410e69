import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from allaprima.bench import command, endurance


def watched(memory: Sequence[tuple[float, int]], frames: int = 1000) -> command.Watched:
    answer = {"frames": frames, "seconds": 3.0, "first_frame_seconds": 1.0}
    return command.Watched(10.0, answer, 300_000_000, tuple(memory), 6.0, 0.0)


def test_growth_is_the_slope_after_settling() -> None:
    settling = [(k / 10, 50_000_000 + 4_000_000 * k) for k in range(20)]
    leaking = [(2 + k / 10, 200_000_000 + 1_000_000 * k) for k in range(80)]
    run = endurance.summarize("null:", watched([*settling, *leaking]))
    assert run.growth_mb == pytest.approx(100)  # 10 MB a second over 10 s and 1,000 frames
    assert [bar.met for bar in run.bars] == [True, False]
    flat = endurance.summarize("null:", watched([(second, 7) for second, _ in settling]))
    assert flat.growth_mb == 0


def test_a_long_run_goes_into_nothing_and_into_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs: list[str] = []

    def paint(source: str, output: str) -> command.Watched:
        outputs.append(output)
        return watched([(0.0, 1_000_000), (9.0, 1_000_000)], 100)

    looked: list[str] = []
    monkeypatch.setattr(command, "paint", paint)
    monkeypatch.setattr(endurance, "check_file", lambda clip, output: looked.append(str(output)))
    monkeypatch.setattr(endurance, "CLIP_FRAMES", 3)
    report = tmp_path / "long.json"
    endurance.main("64x48", 100, str(report))
    assert outputs[0] == "null:"
    assert looked == outputs[1:]
    runs = json.loads(report.read_text())["memory"]
    assert [(run["output"], run["frames"]) for run in runs] == [("null:", 100), ("file", 100)]
    assert "growth" in capsys.readouterr().out
