import importlib.metadata
import json
import subprocess
import time

import pytest

from allaprima.realtime import doctor, extras, machine
from allaprima.realtime.cli import main
from allaprima.realtime.doctor import Finding
from allaprima.realtime.errors import BackendUnavailable


@pytest.fixture(scope="module")
def findings():
    began = time.perf_counter()
    found = {(finding.topic, finding.name): finding for finding in doctor.examine()}
    assert time.perf_counter() - began < 15  # 1 s on an idle machine
    return found


def test_it_looks_at_everything(findings):
    topics = {topic for topic, _ in findings}
    assert topics == {"system", "painting", "graphics", "encoders", "decoders", "devices", "extras", "models"}
    assert not [finding for finding in findings.values() if "cannot be examined" in finding.says]


def test_what_every_machine_has(findings):
    assert findings["encoders", "libx264"].good
    assert findings["decoders", "in software"].good
    assert findings["models", "studio"].good
    assert findings["painting", "precision"].says.split()[0] in ("bf16", "f32")


def test_whatever_is_missing_has_a_remedy(findings):
    for finding in findings.values():
        assert finding.fix or finding.good is not False, finding
        assert not (finding.fix and finding.good), finding


def test_an_extra_that_is_missing_names_its_command(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    for finding in doctor._extras():
        assert finding.fix == f"pip install 'allaprima[{finding.name}]'"


def test_an_encoder_that_is_not_there():
    assert doctor._try_encoder("nonsense", "yuv420p", {}) != ""


@pytest.mark.parametrize(
    "error", [BackendUnavailable("broken", "mend it"), ImportError("broken"), RuntimeError("broken\nmore")]
)
def test_a_check_that_fails_is_a_finding(error):
    def check():
        yield Finding("topic", "first", True, "fine")
        raise error

    first, second = doctor._safely("topic", check)
    assert first.good
    assert second.good is False
    assert "broken" in second.says
    assert "more" not in second.says
    assert second.fix


def test_json(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda probe: [Finding("a", "b", False, "missing", "add it")])
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"a": {"b": {"good": False, "says": "missing", "fix": "add it"}}}
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert "- b              missing" in told
    assert "-> add it" in told


def test_a_program_that_is_missing_fails_or_hangs_answers_nothing(monkeypatch):
    assert machine.answer(["no-such-program-anywhere"]) == []
    assert machine.answer(["false"]) == []

    def hang(*words, **more):
        raise subprocess.TimeoutExpired(words, 2)

    monkeypatch.setattr(machine.subprocess, "run", hang)
    assert machine.answer(["true"]) == []


def test_graphics_cards(monkeypatch):
    monkeypatch.setattr(machine, "answer", lambda words: ["NVIDIA H200, 590.1, 143771 MiB", "noise"])
    assert machine.gpus() == ["NVIDIA H200, driver 590.1, 143771 MiB"]
    found = {finding.name: finding for finding in doctor._graphics()}
    assert "gpu 0" in found
    monkeypatch.setattr("allaprima.realtime.backends.cuda_device.probe", lambda: "it is too old")
    (paints,) = [finding for finding in doctor._graphics() if finding.name == "paints"]
    assert (paints.good, paints.says) == (False, "it is too old")


def test_the_extras_are_those_of_the_package():
    known = set(importlib.metadata.metadata("allaprima").get_all("Provides-Extra"))
    assert set(extras.MODULES) == set(extras.PURPOSE) <= known


def test_a_module_whose_package_has_another_name(monkeypatch):
    monkeypatch.setitem(extras.MODULES, "cuda", ("json",))
    assert extras.present("cuda")
    assert extras.versions("cuda") == "json"
