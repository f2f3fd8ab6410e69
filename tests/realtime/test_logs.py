"""Logs: their two forms, their levels, and what never gets into them."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from allaprima.realtime import logs
from allaprima.realtime.cli import main
from allaprima.realtime.errors import ConfigError

log = logging.getLogger("allaprima.test")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    logs.close()
    logs._secrets.clear()


def objects(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    out, err = capsys.readouterr()
    assert out == ""
    return [json.loads(line) for line in err.splitlines()]


def test_text_is_the_message_and_a_word_before_what_is_bad(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("text", "info")
    log.info("it goes")
    log.warning("it limps")
    log.debug("nobody reads this")
    assert capsys.readouterr().err == "it goes\nwarning: it limps\n"
    assert not logs.as_objects()


def test_json_is_an_object_a_line_with_the_fields_given(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("json")
    log.info("painting %s", "a\nb", extra={"stream": "live", "style": "udnie", "figures": {"fps": 29.5}})
    (told,) = objects(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(told.pop("time")))
    assert told == {
        "level": "info", "logger": "allaprima.test", "message": "painting a\nb", "stream": "live", "style": "udnie",
        "fps": 29.5,
    }  # fmt: skip
    assert logs.as_objects()


def test_the_time_is_utc(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("json")
    record = logging.LogRecord("allaprima", logging.INFO, "", 0, "x", None, None)
    record.created = 86400 + 3661.25
    logging.getLogger("allaprima").handle(record)
    assert objects(capsys)[0]["time"] == "1970-01-02T01:01:01.250Z"


def test_an_exception_is_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("json")
    try:
        raise ValueError("token=abcdef")
    except ValueError:
        log.exception("it broke")
    (told,) = objects(capsys)
    assert "ValueError: token=***" in str(told["error"])


@pytest.mark.parametrize(
    ("form", "level", "heard"),
    [
        ("text", None, ["warning", "error"]),
        ("json", None, ["info", "warning", "error"]),
        ("json", "debug", ["debug", "info", "warning", "error"]),
        ("text", "ERROR", ["error"]),
    ],
)
def test_levels(capsys: pytest.CaptureFixture[str], form: str, level: str | None, heard: list[str]) -> None:
    logs.setup(form, level)
    for name in logs.LEVELS:
        log.log(getattr(logging, name.upper()), "said as %s", name)
    err = capsys.readouterr().err
    assert [name for name in logs.LEVELS if f"said as {name}" in err] == heard


@pytest.mark.parametrize(("form", "level"), [("xml", None), ("text", "loud")])
def test_what_cannot_be_names_what_can(form: str, level: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        logs.setup(form, level)
    assert "text or json" in caught.value.hint or "debug, info, warning, error" in caught.value.hint


@pytest.mark.parametrize(
    "said",
    [
        "rtsp://me:{}@host/x", "srt://host:1?passphrase={}&mode=caller",
        "GET /?token={} 200", "Authorization: Bearer {}",
        '{{"credential": "{}"}}', "key={}", "stream_key: {}", "the word {} alone",
    ],
)  # fmt: skip
def test_secrets_stay_secret(capsys: pytest.CaptureFixture[str], said: str) -> None:
    secret = "hunter2hunter2"
    if said.endswith("alone"):
        logs.hide(secret, None, "", "abc")
    for form in ("text", "json"):
        logs.setup(form, "info")
        log.info(said.format(secret), extra={"error": said.format(secret), "figures": {"hint": [said.format(secret)]}})
    assert secret not in capsys.readouterr().err


def test_what_is_no_secret_stays_as_it_is() -> None:
    said = "frame 12 of /clips/a.mp4, http://host:8080/live, keyframes 3, monkey 4"
    assert logs.clean(said) == said


def test_setting_up_again_replaces_and_closing_ends(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("json")
    logs.setup("text", "info")
    log.info("once")
    assert capsys.readouterr().err == "once\n"
    logs.close()
    log.info("never")
    assert capsys.readouterr().err == ""


def test_a_signals_notice_has_the_form_of_the_others() -> None:
    assert logs.notice("stopping") == b"\nstopping\n"
    logs.setup("json")
    assert json.loads(logs.notice("stopping"))["message"] == "stopping"


# ---- of a command ----


def test_a_run_logs_its_beginning_and_end(capsys: pytest.CaptureFixture[str], tiny_bundle: Path) -> None:
    words = ["run", "test:landscape?size=64x48&frames=9", "null:", "--bundle", str(tiny_bundle), "-q"]
    assert main([*words, "--log", "json", "--style", "bright"]) == 0
    began, ended = (told for told in objects(capsys) if told["logger"] == "allaprima.run")
    assert (began["message"], began["style"]) == ("painting test:landscape?size=64x48&frames=9", "bright")
    assert (ended["message"], ended["frames"], ended["level"]) == ("done", 9, "info")
    assert main(words) == 0
    assert capsys.readouterr().err == "", "a run in text says nothing unless something is wrong"


def test_an_error_is_an_object_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "rtsp://me:hunter2@127.0.0.1:1/x", "null:", "--log", "json"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    told = json.loads(err)
    assert (told["level"], told["exit_code"]) == ("error", 3)
    assert told["error"] == told["message"]
    assert "hunter2" not in err
    assert main(["run", "nowhere.mp4", "null:"]) == 3
    assert capsys.readouterr().err.startswith("error: "), "the next command starts anew"


@pytest.mark.parametrize("words", [["--log", "xml"], ["--log-level", "loud"]])
def test_a_wrong_form_or_level_is_a_users_mistake(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["run", "test:landscape?frames=1", "null:", *words]) == 2
    assert words[1] in capsys.readouterr().err
