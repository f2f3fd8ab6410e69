"""Training from a picture, with a small script in the place of the trainer."""

import asyncio
import struct
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.realtime.bundle import Bundle
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.live import pictures
from allaprima.realtime.live.jobs import STEPS, Trainer, progress_of

TRAINER = """
import os, pathlib, signal, sys, time
picture, options = sys.argv[1], dict(word.split("=", 1) for word in sys.argv[2:])
assert "ALLAPRIMA_TOKEN" not in os.environ
assert open(picture, "rb").read(4) == b"\\x89PNG", picture
name = options["--name"]
seen = pathlib.Path(__file__).with_name("seen")
seen.write_text("\\n".join([picture, *sys.argv[2:]]))
if name.startswith("bad"):
    print("error: it cannot be\\nhint: do otherwise", file=sys.stderr)
    sys.exit(2)
print("starting from plain; the style: x", flush=True)
print("  13 s  loss 2.800  preview x.jpg", flush=True)
if name.startswith("deaf"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if name.startswith(("long", "deaf")):
    time.sleep(60)
print("  20 s  loss 2.500  preview x.jpg", flush=True)
"""
HEAD = {"Content-Type": "image/png"}


def png(width: int = 96, height: int = 80) -> bytes:
    picture = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(".png", picture)[1].tobytes()


def jpeg(width: int = 96, height: int = 80) -> bytes:
    return cv2.imencode(".jpg", np.full((height, width, 3), 90, np.uint8))[1].tobytes()


@pytest.fixture
def trainer(tmp_path: Path, tiny_bundle: Path) -> Trainer:
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER)
    return Trainer(Bundle(tiny_bundle), photos=tmp_path, command=(sys.executable, str(script)))


async def finished(client: Any, job: str) -> Any:
    async with asyncio.timeout(20):
        while True:
            answer = (await client.ask("GET", f"/v1/jobs/{job}")).json
            if answer["state"] != "running":
                return answer
            await asyncio.sleep(0.05)


def test_a_picture_becomes_a_style(
    live: Any, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLAPRIMA_TOKEN", "hush")

    async def main() -> None:
        async with live(trainer=trainer) as client:
            started = await client.ask(
                "POST", "/v1/styles?name=mine", data=jpeg(), headers={"Content-Type": "image/jpeg"}
            )
            assert started.status == 202
            assert started.headers["Location"] == f"/v1/jobs/{started.json['id']}"
            assert (started.json["style"], started.json["state"]) == ("mine", "running")
            done = await finished(client, started.json["id"])
            assert (done["state"], done["progress"], done["error"]) == ("done", 1.0, "")
            picture, *words = (tmp_path / "seen").read_text().splitlines()
            assert {"--name=mine", f"--photos={tmp_path}", f"--bundle={trainer.bundle.path}"} <= set(words)
            await client.until(lambda: not Path(picture).parent.exists())

    asyncio.run(main())


def test_a_training_that_fails_says_why(live: Any, trainer: Trainer) -> None:
    async def main() -> None:
        async with live(trainer=trainer) as client:
            started = await client.ask("POST", "/v1/styles?name=bad", data=png(), headers=HEAD)
            failed = await finished(client, started.json["id"])
            assert (failed["state"], failed["error"], failed["hint"]) == ("failed", "it cannot be", "do otherwise")

    asyncio.run(main())


def test_one_at_a_time_and_stopped_when_asked(live: Any, trainer: Trainer) -> None:
    async def main() -> None:
        async with live(trainer=trainer) as client:
            first = (await client.ask("POST", "/v1/styles?name=long", data=png(), headers=HEAD)).json["id"]
            assert (await client.ask("POST", "/v1/styles?name=second", data=png(), headers=HEAD)).status == 409
            async with asyncio.timeout(10):
                while (await client.ask("GET", f"/v1/jobs/{first}")).json["message"] != "loss 2.800":
                    await asyncio.sleep(0.05)
            assert (await client.ask("DELETE", f"/v1/jobs/{first}")).status == 204
            assert (await finished(client, first))["state"] == "done"
            assert (await client.ask("DELETE", f"/v1/jobs/{first}")).status == 204
            second = await client.ask("POST", "/v1/styles?name=second", data=png(), headers=HEAD)
            assert second.status == 202
            assert (await client.ask("GET", "/v1/jobs/other")).status == 404

    asyncio.run(main())


def test_a_training_ends_with_the_server_even_if_it_does_not_want_to(live: Any, trainer: Trainer) -> None:
    async def main() -> Any:
        async with live(trainer=trainer) as client:
            job = (await client.ask("POST", "/v1/styles?name=deaf", data=png(), headers=HEAD)).json["id"]
            async with asyncio.timeout(10):
                while (await client.ask("GET", f"/v1/jobs/{job}")).json["message"] != "loss 2.800":
                    await asyncio.sleep(0.05)
            process = client.site.jobs._process
            began = time.monotonic()
        assert time.monotonic() - began < 6
        assert process.returncode == -9

    asyncio.run(main())


@pytest.mark.parametrize(
    ("query", "data", "kind", "status"),
    [
        ("name=mine", b"hello", "image/png", 400),
        ("name=mine", png()[:30], "image/png", 400),
        ("name=mine", jpeg()[:200], "image/jpeg", 400),
        ("name=mine", png(32, 32), "image/png", 400),
        ("name=mine", png(), "text/html", 415),
        ("name=mine", b"\x89PNG" + bytes(600_000), "image/png", 413),
        ("name=none", png(), "image/png", 400),
        ("name=../up", png(), "image/png", 400),
        ("name=--overwrite", png(), "image/png", 400),
        ("", png(), "image/png", 400),
        ("name=" + "a" * 61, png(), "image/png", 400),
        ("name=plain", png(), "image/png", 409),
    ],
)
def test_what_cannot_be_trained_starts_nothing(
    live: Any, trainer: Trainer, query: str, data: bytes, kind: str, status: int
) -> None:
    from allaprima.realtime.live.limits import Limits

    async def main() -> None:
        async with live(trainer=trainer, limits=Limits(picture_bytes=500_000)) as client:
            refused = await client.ask("POST", f"/v1/styles?{query}", data=data, headers={"Content-Type": kind})
            assert (refused.status, set(refused.json)) == (status, {"error", "hint"})
            assert client.site.jobs.running() is None

    asyncio.run(main())


def test_a_machine_that_cannot_train_says_what_is_missing(
    live: Any, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allaprima.realtime.live.jobs._program", lambda: None)

    async def main() -> None:
        async with live() as client:
            told = (await client.ask("GET", "/v1/styles")).json
            assert told["training"] is False
            assert "allaprima[train]" in told["training_hint"]
            assert (await client.ask("POST", "/v1/styles?name=mine", data=png(), headers=HEAD)).status == 400

    asyncio.run(main())


# ---- pictures ----


@pytest.mark.parametrize("kind", [".png", ".jpg", ".webp"])
def test_sizes_are_read_from_the_header(kind: str) -> None:
    data = cv2.imencode(kind, np.zeros((70, 130, 3), np.uint8))[1].tobytes()
    assert pictures.size_of(data) == (130, 70)


def test_the_sizes_of_other_webps() -> None:
    lossless = cv2.imencode(".webp", np.zeros((70, 130, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    assert pictures.size_of(lossless) == (130, 70)
    extended = b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + (129).to_bytes(3, "little") + (69).to_bytes(3, "little")
    assert pictures.size_of(extended) == (130, 70)


def test_a_picture_that_claims_to_be_huge_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = bytearray(png())
    bomb[16:24] = struct.pack(">II", 60_000, 60_000)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ConfigError, match="60000x60000"):
        pictures.keep(bytes(bomb), tmp_path / "x.png", 1_000_000)


def test_no_prefix_of_a_picture_hangs_or_escapes(tmp_path: Path) -> None:
    for whole in (png(), jpeg()):
        for end in [*range(40), 100, 150, 300]:
            try:
                pictures.keep(whole[:end], tmp_path / "x.png", 1_000_000)
            except ConfigError:
                continue
            assert cv2.imread(str(tmp_path / "x.png")).shape == (80, 96, 3)  # the decoder fills up what is cut off


def test_large_pictures_are_made_smaller(tmp_path: Path) -> None:
    pictures.keep(png(3000, 300), tmp_path / "x.png", 1_000_000)
    assert cv2.imread(str(tmp_path / "x.png")).shape == (205, 2048, 3)


def test_progress_follows_the_steps_at_their_pace_and_the_clock() -> None:
    assert progress_of([], 0) == 0
    assert progress_of([], 150) == 0.5
    assert progress_of([10], 10) == 300 / 9000
    told = [10.0, 48.0]
    assert progress_of(told, 48) == max(50 / STEPS, 48 / 300)
    seen = [progress_of([1.0, 4.8], 4.8 + second / 10) for second in range(100)]
    assert seen == sorted(seen)
    assert 50 / STEPS == seen[0] < seen[-1] < 100 / STEPS
    assert progress_of([1.0] * 50, 9999) == 0.99
