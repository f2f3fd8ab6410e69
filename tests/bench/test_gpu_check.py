"""The check of a card: without one every part says so, and its logic runs on the emulator; no figure counts here."""

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.bench import gpu_check, gpu_painter, gpu_parts
from allaprima.bench.gpu_check import Part, page, read_headline, read_kernels, read_own, read_pytest, read_sanitizer
from allaprima.bench.gpu_painter import Cannot, frames, needs, psnr, real_frames, summed
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


def test_the_environment_is_told_also_without_a_card(fake: FakeCupy, capsys: pytest.CaptureFixture[str]) -> None:
    gpu_parts.main("environment")
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["figures"]["gpu"], told["figures"]["capability"]) == ("done", "A fake", "9.0")
    fake.devices = 0
    gpu_parts.main("environment")
    told = json.loads(capsys.readouterr().out)
    assert told["state"] == "cannot"
    assert told["figures"]["packages"]["numpy"] == np.__version__


BARE = """
import json, sys
class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pydantic", "platformdirs", "typer", "rich", "safetensors", "av", "onnx"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Bare())
from allaprima.bench import gpu_parts
for name in gpu_parts.PARTS:
    gpu_parts.main(name)
"""


def test_where_hardly_anything_is_installed_every_part_says_what_it_needs() -> None:
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=False)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(gpu_parts.PARTS), done.stderr
    assert {each["state"] for each in told} == {"cannot"}
    assert "is not installed" in told[0]["why"]
    assert told[0]["figures"]["packages"]["python"]


def test_what_a_part_needs_is_named() -> None:
    needs("json", "numpy")
    with pytest.raises(Cannot, match=r"^no_such_thing is not installed$"):
        needs("json", "no_such_thing")
    with pytest.raises(Cannot, match=r"^no_such, nor_such are not installed$"):
        needs("no_such", "nor_such")


def test_frames_are_those_of_a_film_if_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    what, pictures = real_frames((64, 36), 2)
    assert (what, len(pictures)) == ("the built-in landscape", 2)
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for level in (60, 120, 180):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    monkeypatch.setenv(gpu_painter.CLIP, str(film))
    what, pictures = real_frames((39, 31), 2)
    assert (what, len(pictures)) == (str(film), 2)
    assert [plane.shape for plane in pictures[1].planes] == [(31, 39), (16, 20), (16, 20)]
    assert [float(plane.mean()) for plane in pictures[1].planes] == pytest.approx(
        [16 + 120 * 219 / 255, 128, 128], abs=2
    )
    monkeypatch.setenv(gpu_painter.CLIP, str(tmp_path / "none.avi"))
    with pytest.raises(Cannot, match="OpenCV cannot read"):
        real_frames((64, 36))
    monkeypatch.delenv(gpu_painter.CLIP)
    monkeypatch.setattr(gpu_painter, "find_spec", lambda name: None)
    assert real_frames((64, 36))[0].startswith("made-up blobs")


def test_decibels() -> None:
    assert psnr(np.array([1.0, 1.02]), np.array([1.0, 1.0]), 2) == pytest.approx(43.01, abs=0.01)
    assert psnr(np.zeros(2), np.zeros(2), 2) == 99


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


def test_the_headline_is_read_from_among_other_lines() -> None:
    case = {"layer": "file", "size": [1280, 720], "fps": {"median": 212.5}, "invalid": []}
    result = {"cases": [case, case | {"layer": "live", "invalid": ["too few frames", "hot"]}], "name": "a"}
    told = read_headline(0, f"{{noise\nmeasuring\n{json.dumps(result, indent=1)}\nbye\n")
    assert told["figures"]["file 1280x720"] == {"fps": 212.5}
    assert told["figures"]["live 1280x720"] == {"fps": 212.5, "invalid": "too few frames; hot"}
    assert told["result"] == result
    refused = read_headline(4, "error: the cuda backend cannot start: no card\nhint: none")
    assert refused == {"state": "cannot", "why": "no card"}
    assert read_headline(2, "error: there is no style 'x'\nhint: y")["why"] == "there is no style 'x'"
    assert read_headline(0, "nothing")["state"] == "failed"
    assert read_headline(1, "ModuleNotFoundError: No module named 'rich'")["why"] == "rich is not installed"
    assert read_pytest(1, "/usr/bin/python3: No module named pytest")["why"] == "pytest is not installed"


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
        scripted("slow", "import time; print('so far', flush=True); time.sleep(60)", 1),
        scripted("good", done),
        Part("absent", 1, lambda: "there is none", read_own),
    ]
    monkeypatch.setattr(gpu_check, "parts", lambda: found)
    return found


def test_all_parts_run_and_the_page_tells_it(parts: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main(["h200", "--results", str(tmp_path)]) == 1, "one failed"
    report = json.loads((tmp_path / "gpu-check-h200.json").read_text())
    states = {name: told["state"] for name, told in report["parts"].items()}
    assert states == {"good": "done", "absent": "cannot", "slow": "failed"}
    assert report["parts"]["slow"]["output"] == "so far\n"
    assert report["parts"]["slow"]["why"] == "not done after 1 s"
    text = (tmp_path / "gpu-check-h200.md").read_text()
    assert "1 done, 1 cannot, 1 failed; " in text
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


def test_what_was_never_tried_comes_first(parts: Any, tmp_path: Path) -> None:
    gpu_check.main(["h200", "--results", str(tmp_path), "--only", "absent", "slow"])
    order: list[str] = []
    for part in parts:
        object.__setattr__(part, "words", lambda name=part.name: order.append(name) or "not now")
    gpu_check.main(["h200", "--results", str(tmp_path)])
    assert order == ["good", "slow", "absent"]


def test_when_the_time_is_over_parts_are_cut_and_come_next_time(
    parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_check, "TOO_SHORT", 0.2)
    parts[:] = [scripted("slow", "import time; time.sleep(60)"), scripted("good", 'print(\'{"state": "done"}\')')]
    words = ["h200", "--results", str(tmp_path)]
    assert gpu_check.main([*words, "--minutes", "0.01"]) == 0
    text = capsys.readouterr().out
    assert "- slow: cut, 1 s (stopped after 1 s: the time was over)" in text
    assert "- good: cut (no time was left of 0.01 minutes)" in text
    assert "The same command goes on with what was cut." in text
    assert gpu_check.main([*words, "--only", "good"]) == 0
    assert "- good: done" in capsys.readouterr().out
    assert gpu_check.main([*words, "--again", "--minutes", "0"]) == 0
    assert "- good: done" in capsys.readouterr().out, "what is known is kept"


def test_a_part_may_use_what_others_have_left_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    todo = [scripted(name, "", 60) for name in "abcde"]
    found = []
    for (part, limit, last), took in zip(gpu_check.limits(todo, 4.0), (10, 110, 60, 55, 0), strict=True):
        found.append((part.name, limit, last))
        now[0] += took
    assert found == [("a", 60, False), ("b", 110, False), ("c", 60, False), ("d", 60, True), ("e", 5, True)]
    assert [limit for _, limit, _ in gpu_check.limits(todo[:2], 4.0, 7.0)] == [7, 7]
    assert [limit for _, limit, _ in gpu_check.limits(todo[:1], 0.01)] == [0]


def test_a_part_that_is_stopped_takes_along_what_it_started(tmp_path: Path) -> None:
    sleeper = (
        "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)"
    )
    part = scripted("slow", f"{sleeper}; sys.stdout.flush(); import time; time.sleep(60)")
    told = gpu_check.run(part, dict(os.environ), 1.5)
    child = Path(f"/proc/{told['output'].strip()}/status")
    assert told["state"] == "failed"
    assert told["seconds"] < 40, "it would have gone on, and been waited for"
    for _ in range(100):
        if not child.exists() or "State:\tZ" in child.read_text():
            return
        time.sleep(0.02)
    pytest.fail("it goes on")


def test_a_part_whose_words_have_another_form_has_failed() -> None:
    part = Part("kernels", 20, lambda: ["-c", 'print(\'{"no": "sizes"}\')'], read_kernels)
    told = gpu_check.run(part, dict(os.environ), 20)
    assert told["state"] == "failed"
    assert "KeyError: 'sizes'" in told["output"]


def test_reasons_that_are_the_same_are_told_once() -> None:
    cannot = {"state": "cannot", "why": "no card", "seconds": 1.0}
    done = {"state": "done", "seconds": 2.0, "figures": {f"f{n}": n for n in range(20)}}
    text = page({"began": "now", "parts": {"a": cannot, "b": done, "c": cannot}})
    assert "1 done, 2 cannot; 4 s." in text
    assert "- a, c: cannot (no card)\n- b: done, 2 s\n" in text
    assert "- f0 0, f1 1, " in text
    assert "f15 15, and 4 more" in text


def test_carried_packages_and_the_film_are_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    with zipfile.ZipFile(tmp_path / "site" / "carried-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried.py", "x = 1")
    options = gpu_check._options().parse_args(
        ["x", "--site", str(tmp_path / "site"), "--clip", str(tmp_path / "a.mp4")]
    )
    found = gpu_check.surroundings(tmp_path, options)
    paths = [str(tmp_path), str(tmp_path / "wheels"), str(tmp_path / "site")]
    assert found["PYTHONPATH"].split(os.pathsep)[:3] == paths
    assert (tmp_path / "wheels" / "carried.py").read_text() == "x = 1"
    assert found[gpu_painter.CLIP] == found[gpu_check.CLIP] == str(tmp_path / "a.mp4")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = [sys.executable, "-c", "import importlib.metadata as m; print(m.distribution('allaprima').locate_file(''))"]
    told = subprocess.run(words, env=found, cwd=elsewhere, capture_output=True, text=True, check=False).stdout
    assert str(tmp_path) in told, "the command says which version it is, also where it is not installed"


def test_an_unknown_part_is_told(parts: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main(["h200", "--only", "goood", "--results", str(tmp_path)]) == 2
    assert "there is no part goood; there are: slow, good, absent" in capsys.readouterr().err


def test_each_part_of_ours_is_there() -> None:
    own = [part for part in gpu_check.parts() if part.read is read_own]
    assert {part.words()[-1] for part in own} == gpu_parts.PARTS.keys() - {"sanitized"}
    known = {part.name: part.seconds for part in gpu_check.parts()}
    assert list(known)[:7] == ["environment", "parity", "engine", "runtimes", "file", "headline", "profile"]
    assert sum(list(known.values())[:7]) <= 60 * gpu_check.MINUTES


def test_the_command_starts_with_nothing_but_python(tmp_path: Path) -> None:
    words = [sys.executable, "-S", "-E", str(gpu_check.ROOT / "bench/gpu_check.py"), "x", "--only", "sanitizer"]
    done = subprocess.run([*words, "--results", str(tmp_path)], capture_output=True, text=True, check=False)
    assert "- sanitizer: " in done.stdout, done.stderr
