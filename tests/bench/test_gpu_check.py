"""The check of a card: without one every part says so, and its logic runs on the emulator; no figure counts here."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from allaprima.bench import gpu_check, gpu_parts
from allaprima.bench.gpu_check import Part, page, read_kernels, read_own, read_pytest, read_sanitizer
from allaprima.bench.gpu_painter import frames, summed
from allaprima.realtime.backends import cuda_step
from allaprima.realtime.bundle import Bundle

from ..kernels.fake_cupy import FakeCupy
from ..realtime.backends.cuda_rig import Still, card, filters

SIZE = (38, 30)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> Iterator[FakeCupy]:
    monkeypatch.setattr(cuda_step, "Dis", Still)
    monkeypatch.setattr(
        "allaprima.bench.gpu_painter.styles", lambda: (Bundle(tiny_bundle), [filters(0.25), filters(-0.25)])
    )
    with card() as found:
        yield found


# ---- the parts, on the emulator ----


def test_a_backend_is_measured(fake: FakeCupy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_parts, "WARM_UP", 4)
    found = gpu_parts.backend([SIZE], count=4)
    told = found.figures["38x30"]
    picture = SIZE[0] * SIZE[1] * 3 // 2
    assert told["host"]["bytes_up"] == told["host"]["bytes_down"] == picture
    assert told["card"]["bytes_up"] == picture
    assert 20 < told["launches"] < 40
    assert {what for what, *_ in found.bars} == {"38x30: p99 over p50", "38x30: first frame, s"}


def test_swaps_and_sessions_and_memory(fake: FakeCupy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_parts, "WARM_UP", 4)
    assert gpu_parts.swapping(SIZE, 3).bars[0][0] == "a swap, of a frame"
    ((_, steps, limit, _),) = gpu_parts.sessions(SIZE, 4).bars
    assert (steps, limit) == (0, 2)
    assert gpu_parts.memory([SIZE]).figures == {"38x30": {"mib": 0}}
    assert gpu_parts.sanitized(SIZE).figures == {"frames": 4}


def test_a_part_prints_one_line(fake: FakeCupy, capsys: pytest.CaptureFixture[str]) -> None:
    fake.devices = 0
    gpu_parts.main("memory")
    told = json.loads(capsys.readouterr().out)
    assert told["state"] == "cannot"
    assert told["why"].startswith("there is no NVIDIA card to use")


def test_pictures_move_and_times_are_summed() -> None:
    one, two = frames((64, 48), 2)
    assert [plane.shape for plane in one.planes] == [(48, 64), (24, 32), (24, 32)]
    assert abs(one.planes[0].astype(int) - two.planes[0]).mean() > 3
    assert summed([0.01] * 99 + [0.02]) == pytest.approx({"fps": 100 / 1.01, "p50_ms": 10, "p99_ms": 20})


# ---- what parts say ----


def test_the_last_line_counts() -> None:
    assert read_own(0, 'a warning\n{"state": "done", "figures": {}, "bars": []}\n')["state"] == "done"
    assert read_own(1, "Traceback")["state"] == "failed"
    assert read_own(0, "") == {"state": "failed", "why": "exit status 0", "output": ""}


def test_kernel_tests_are_counted() -> None:
    assert read_pytest(0, "84 passed, 3 deselected in 9s")["figures"] == {"passed": 84}
    assert read_pytest(1, "2 failed, 82 passed")["state"] == "failed"
    assert read_pytest(1, "REQUIRE_CUDA=1, but CuPy is not installed\n3 errors")["why"] == "CuPy is not installed"


def test_what_needs_an_absent_package_is_left_out_and_named() -> None:
    absent = "E   ModuleNotFoundError: No module named 'openvino'\n"
    told = read_pytest(1, f"{absent}ERROR tests/kernels/test_temporal_cuda.py\n700 passed, 1 error in 80s")
    assert told["figures"] == {"passed": 700, "left out": "1 files, which need openvino"}
    assert told["state"] == "done"
    assert read_pytest(1, f"{absent}ERROR tests/kernels/test_x.py\n1 failed, 1 passed, 1 error")["state"] != "done"
    assert read_kernels(1, "ModuleNotFoundError: No module named 'av'")["why"] == "av is not installed"


def test_the_kernels_bars_are_taken_over() -> None:
    bar = {"what": "flow of a frame", "measured": 350.0, "bar": "<= 400", "unit": "us", "met": True}
    report = {"sizes": [{"size": [1920, 1080], "a_frame": {"flow": {}}, "bars": [bar]}]}
    told = read_kernels(0, "noise\n" + json.dumps(report))
    assert told["bars"] == [("1920x1080: flow of a frame, us", 350.0, 400.0, False)]
    assert read_kernels(7, "error: CuPy is not installed")["state"] == "cannot"
    assert read_kernels(1, "Traceback")["state"] == "failed"


def test_memcheck_is_read() -> None:
    assert read_sanitizer(0, "x\n========= ERROR SUMMARY: 0 errors\n")["bars"] == [("errors of memcheck", 0, 0, False)]
    assert read_sanitizer(9, "========= ERROR SUMMARY: 3 errors")["bars"][0][1] == 3
    assert read_sanitizer(1, '{"state": "cannot", "why": "no card"}\nERROR SUMMARY: 0 errors')["why"] == "no card"
    assert read_sanitizer(1, "========= Error: Device not supported.")["state"] == "cannot"


# ---- the command ----


def scripted(name: str, script: str, seconds: int = 20) -> Part:
    return Part(name, seconds, lambda: ["-c", script], read_own)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    done = f"""
import json; open({str(tmp_path / "ran")!r}, "a").write("x")
import allaprima.realtime.errors
bars = [["fps", 10, 300, True], ["s", 1, 3, False]]
print(json.dumps({{"state": "done", "figures": {{"a": {{"b": 1.5}}}}, "bars": bars}}))
"""
    found = [
        scripted("good", done),
        Part("absent", 1, lambda: "there is none", read_own),
        scripted("slow", "import time; print('so far', flush=True); time.sleep(60)", 1),
    ]
    monkeypatch.setattr(gpu_check, "parts", lambda: found)
    return found


def test_all_parts_run_and_the_page_tells_it(parts: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main(["h200", "--results", str(tmp_path)]) == 1, "one failed"
    report = json.loads((tmp_path / "gpu-check-h200.json").read_text())
    states = {name: told["state"] for name, told in report["parts"].items()}
    assert states == {"good": "done", "absent": "cannot", "slow": "failed"}
    assert report["parts"]["slow"]["output"] == "so far\n"
    text = (tmp_path / "gpu-check-h200.md").read_text()
    assert text == capsys.readouterr().out[: len(text)] == page(report)
    assert "| fps | 10 | >= 300 | MISSED |" in text
    assert "| s | 1 | <= 3 | met |" in text
    assert "- absent: cannot (there is none)" in text
    assert "- a: b 1.5" in text


def test_it_goes_on_where_it_was(parts: Any, tmp_path: Path) -> None:
    words = ["h200", "--results", str(tmp_path), "--only", "good"]
    for _ in range(2):
        assert gpu_check.main(words) == 0
    assert (tmp_path / "ran").read_text() == "x"
    gpu_check.main([*words, "--again"])
    assert (tmp_path / "ran").read_text() == "xx"


def test_an_unknown_part_is_told(parts: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main(["h200", "--only", "goood", "--results", str(tmp_path)]) == 2
    assert "there is no part goood; there are: good, absent, slow" in capsys.readouterr().err


def test_each_part_of_ours_is_there() -> None:
    own = [part for part in gpu_check.parts() if part.read is read_own]
    assert {part.words()[-1] for part in own} == gpu_parts.PARTS.keys() - {"sanitized"}
    assert sum(part.seconds for part in gpu_check.parts()) <= 2 * 1800, "two leases of a card"


def test_the_command_starts_with_nothing_but_python(tmp_path: Path) -> None:
    words = [sys.executable, "-S", "-E", str(gpu_check.ROOT / "bench/gpu_check.py"), "x", "--only", "sanitizer"]
    done = subprocess.run([*words, "--results", str(tmp_path)], capture_output=True, text=True, check=False)
    assert "- sanitizer: " in done.stdout, done.stderr
