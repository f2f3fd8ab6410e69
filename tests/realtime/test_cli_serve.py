"""``allaprima serve`` as a user starts and stops it."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("aiortc")

from allaprima.realtime import extras
from allaprima.realtime.cli import main

PROGRAM = "import sys; from allaprima.realtime.cli import main; sys.exit(main())"
PATIENCE = 60


@pytest.fixture
def start(tiny_bundle):
    """Starts the command; whatever runs at the end of the test is killed."""
    running = []

    def run(*words):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "serve", "--bundle", str(tiny_bundle), *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def get(url, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return answer.read()


def page_of(process):
    line = process.stdout.readline()
    assert line.startswith("paint here: "), process.stderr.read()
    return line.removeprefix("paint here: ").strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(start, number):
    process = start("--port", 0, "--style", "blue", "--fps", 25, "--max-latency", 0.3)
    page = page_of(process)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", page)
    assert b"<html" in get(page).lower()
    assert json.loads(get(f"{page}v1/styles"))["default"] == "blue"
    began = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - began < 5
    assert process.returncode == 0
    assert err.splitlines() == ["stopping"]


def test_the_token_is_in_the_address_and_needed(start, monkeypatch):
    monkeypatch.setenv("ALLAPRIMA_TOKEN", "from/the environment?".replace(" ", "-"))
    process = start("--port", 0)
    page = page_of(process)
    assert page.endswith("?token=from%2Fthe-environment%3F")
    assert b"<html" in get(page).lower()
    with pytest.raises(urllib.error.HTTPError, match="401") as caught:
        get(page.partition("?")[0])
    caught.value.close()
    assert json.loads(get(page.partition("?")[0] + "v1/streams", "from/the-environment?"))["streams"] == []


def test_the_network_gets_a_token_and_a_code(start):
    process = start("--host", "0.0.0.0", "--port", 0, "--token", "0123456789abcdef")
    assert page_of(process).startswith("http://localhost:")
    lines = [process.stdout.readline() for _ in range(4)]
    process.send_signal(signal.SIGTERM)
    out, err = "".join(lines) + process.stdout.read(), process.stderr.read()
    assert "elsewhere:  http://" in out
    assert "token=0123456789abcdef" in out
    assert "--tls-self-signed" in err


def test_logs_are_objects_where_that_is_wanted(start):
    process = start("--port", 0, "--token", "0123456789abcdef", "--log", "json", "--access-log", "--stats")
    page = page_of(process)
    assert get(page)
    process.send_signal(signal.SIGTERM)
    told = [json.loads(line) for line in process.stderr.read().splitlines()]
    assert told[-1]["message"] == "stopping"
    assert any("GET" in record["message"] for record in told)
    assert all(record["logger"].startswith("allaprima") and record["time"].endswith("Z") for record in told)
    assert "0123456789abcdef" not in json.dumps(told)


@pytest.mark.parametrize("words", [("--log", "xml"), ("--log-level", "loud")])
def test_a_wrong_form_of_logs_is_refused(capsys, words):
    assert words[1] in refused(capsys, *words, code=2)[0]


def refused(capsys, *words, code):
    assert main(["serve", *map(str, words)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    error, *hint = err.splitlines()
    assert error.startswith("error: ")
    return error.removeprefix("error: "), "".join(hint).removeprefix("hint: ")


def test_no_open_network_without_a_token(capsys):
    error, hint = refused(capsys, "--host", "0.0.0.0", code=2)
    assert "without a token" in error
    assert re.search(r"--token \S{12,}", hint)


def test_without_the_extra_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr(extras, "present", lambda extra: extra != "webrtc")
    assert refused(capsys, code=2)[1] == "pip install 'allaprima[webrtc]'"


def test_a_port_in_use(capsys, tiny_bundle):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error, hint = refused(capsys, "--bundle", tiny_bundle, "--port", port, code=2)
    assert error == f"port {port} is in use by another program"
    assert "--port" in hint


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--style", "nothing"], 8, "no style called 'nothing'"),
        (["--bundle", "nowhere"], 5, "no bundle at nowhere"),
        (["--ice-server", "http://x"], 2, "ICE server"),
        (["--tls-cert", "nowhere.pem"], 2, "the certificate cannot be used: No such file"),
        (["--tls-key", "nowhere.pem"], 2, "--tls-cert"),
        (["--host", "256.0.0.1", "--token", "x"], 2, "cannot listen on 256.0.0.1"),
        (["--strength", "2"], 2, "strength"),
        (["--max-sessions", "0"], 2, "max-sessions"),
        (["--fps", "0"], 2, "--fps must be between 1 and 240, not 0"),
        (["--max-latency", "0"], 2, "--max-latency must be above 0, not 0"),
        (["--port", "70000"], 2, "port"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(capsys, tiny_bundle, words, code, said):
    bundle = [] if "--bundle" in words else ["--bundle", tiny_bundle]
    assert said in refused(capsys, *bundle, *words, code=code)[0]


def test_a_secret_in_a_wrong_ice_server_is_not_repeated(capsys):
    error, hint = refused(capsys, "--ice-server", "turn:me:hunter2@bad host", code=2)
    assert "hunter2" not in error + hint
