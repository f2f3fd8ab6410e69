"""Training of a style from a picture, in a process of its own: one at a time, ended with the server."""

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from allaprima.realtime import extras, shelf
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.errors import ConfigError, OutputExists
from allaprima.realtime.live import pictures
from allaprima.realtime.live.hub import Taken

STEPS = 400
MINUTES = 5.0
"""The end of a training, whichever comes first; measured: no better after 350 steps."""
FIRST, EVERY = 12, 50
"""Steps at which the trainer tells: its first preview, and then all others."""
TOLD = re.compile(r"^\s*(\d+) s\s+loss ([0-9.]+)")
LONGEST_NAME = 60
KEPT = 16
"""Jobs whose end can still be asked for."""
PATIENCE = 10.0
"""Seconds a training has to keep what it has when it is stopped."""
SECRETS = ("ALLAPRIMA_TOKEN", "ALLAPRIMA_GUEST_TOKEN")
"""Not for the trainer's environment."""
NICE = 10
"""The picture goes before the training."""


class Job(BaseModel):
    """A training, as it stands."""

    model_config = ConfigDict(frozen=True)

    id: str
    style: str
    state: Literal["running", "done", "failed"] = "running"
    progress: float = Field(default=0.0, description="0 to 1.")
    message: str = ""
    error: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Trainer:
    """How to train: the command and what it judges by."""

    bundle: Bundle
    loss_network: Path | None = None
    photos: Path | None = None
    command: tuple[str, ...] = ()
    """The trainer and its first words; empty: ``allaprima-train`` beside this interpreter or on the path."""

    def problem(self) -> ConfigError | None:
        """Why this machine cannot train, or None."""
        if self.command:
            return None
        if not extras.present("train") or _program() is None:
            return ConfigError("training needs the extra train", extras.command("train"))
        if self.loss_network is None and not os.environ.get("ALLAPRIMA_LOSS_NETWORK") and not self._has_loss_network():
            hint = f"Put a VGG-19 (torchvision's vgg19.pth) into {self._folder()}, or name it with --loss-network."
            return ConfigError("there is no loss network to judge a style by", hint)
        return None

    def _folder(self) -> Path:
        return self.bundle.user_styles.parent.parent / "loss"

    def _has_loss_network(self) -> bool:
        return any(file.suffix in (".safetensors", ".pth", ".pt") for file in self._folder().glob("*"))

    def words(self, picture: Path, style: str) -> list[str]:
        command = self.command or (_program() or "allaprima-train", "add-style")
        words = [*command, str(picture), f"--name={style}", f"--title={style}", f"--bundle={self.bundle.path}"]
        words += [f"--steps={STEPS}", f"--minutes={MINUTES:g}"]
        if self.loss_network is not None:
            words.append(f"--loss-network={self.loss_network}")
        if self.photos is not None:
            words.append(f"--photos={self.photos}")
        return words


def _program() -> str | None:
    beside = Path(sys.executable).parent / "allaprima-train"
    return str(beside) if beside.is_file() else shutil.which("allaprima-train")


def progress_of(told: Sequence[float], now: float) -> float:
    """How far a training is: by the seconds at which it told of itself, at its pace since, and by the clock."""
    steps = 0.0 if not told else float(FIRST if len(told) == 1 else EVERY * (len(told) - 1))
    if told:
        pace = (steps - FIRST) / max(told[-1] - told[0], 1e-3) if len(told) > 1 else FIRST / max(told[0], 1e-3)
        steps += min(pace * (now - told[-1]), 0.95 * (EVERY * len(told) - steps))
    return min(max(steps / STEPS, now / (60 * MINUTES)), 0.99)


class Jobs:
    """The trainings of one server.  Used from its event loop."""

    def __init__(self, trainer: Trainer, most_pixels: int) -> None:
        self.trainer = trainer
        self._most_pixels = most_pixels
        self._jobs: dict[str, Job] = {}
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()
        self._began = 0.0
        self._told: list[float] = []
        """Seconds after which the training told of itself."""

    def get(self, job: str) -> Job | None:
        found = self._jobs.get(job)
        if found is None or found.state != "running":
            return found
        return found.model_copy(update={"progress": progress_of(self._told, time.monotonic() - self._began)})

    def running(self) -> Job | None:
        return next((job for job in self._jobs.values() if job.state == "running"), None)

    def check(self, style: str) -> None:
        """Raises `ConfigError`, `OutputExists` or `Taken` where ``style`` cannot be trained now."""
        if (problem := self.trainer.problem()) is not None:
            raise problem
        if len(style) > LONGEST_NAME:
            raise ConfigError("the name of the style is too long", f"At most {LONGEST_NAME} characters.")
        shelf.check_name(style)
        if style in self.trainer.bundle.style_files():
            raise OutputExists(f"there is already a style called {style!r}", "Take another name.")
        if self.running() is not None:
            raise Taken("a style is being trained already", "One at a time: wait for it, or stop it.")

    async def start(self, picture: bytes, style: str) -> Job:
        """Begin to train.  Raises as `check` does, and `ConfigError` for a picture that is none."""
        async with self._lock:
            self.check(style)
            folder = Path(tempfile.mkdtemp(prefix="allaprima-"))
            with contextlib.ExitStack() as undo:
                undo.callback(shutil.rmtree, folder, ignore_errors=True)
                await asyncio.to_thread(pictures.keep, picture, folder / "picture.png", self._most_pixels)
                process = await self._spawn(folder / "picture.png", style)
                undo.pop_all()
            job = Job(id=secrets.token_hex(8), style=style, message="preparing")
            self._jobs[job.id] = job
            for old in list(self._jobs)[:-KEPT]:
                del self._jobs[old]
            self._process, self._began, self._told = process, time.monotonic(), []
            self._task = asyncio.create_task(self._follow(job.id, process, folder), name="training")
            return job

    async def _spawn(self, picture: Path, style: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        known = {key: value for key, value in os.environ.items() if key not in SECRETS}
        environment = known | {"COLUMNS": "200", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
        process = await asyncio.create_subprocess_exec(
            *self.trainer.words(picture, style),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal is ours, not its
        )
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        return process

    async def _follow(self, job: str, process: asyncio.subprocess.Process, folder: Path) -> None:
        try:
            complaint = asyncio.create_task(self._last_words(process))
            assert process.stdout is not None
            async for line in _lines(process.stdout):
                if match := TOLD.match(line):
                    self._told.append(time.monotonic() - self._began)
                    self._update(job, message=f"loss {match[2]}")
            code = await process.wait()
            error, hint = _complaint(await complaint)
            if code == 0 or (self._told and code == -signal.SIGTERM):
                self._update(job, state="done", progress=1.0, message="stopped early" if code else "done")
            else:
                self._update(job, state="failed", error=error or "the training ended early", hint=hint)
        finally:
            _kill(process, signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    async def _last_words(process: asyncio.subprocess.Process) -> list[str]:
        assert process.stderr is not None
        last: deque[str] = deque(maxlen=20)
        async for line in _lines(process.stderr):
            last.append(line)
        return list(last)

    def _update(self, job: str, **fields: object) -> None:
        if job in self._jobs:
            self._jobs[job] = self._jobs[job].model_copy(update=fields)

    async def stop(self, patience: float = PATIENCE) -> None:
        """End the training that runs; what it has learned is kept where it has the time for that."""
        process, task = self._process, self._task
        if process is None or task is None or task.done():
            return
        _kill(process, signal.SIGTERM)  # a server in the background may ignore SIGINT, and its children with it
        await asyncio.wait([task], timeout=patience)
        if not task.done():
            _kill(process, signal.SIGKILL)
            await asyncio.wait([task], timeout=patience)

    async def close(self) -> None:
        await self.stop(2.0)


def _kill(process: asyncio.subprocess.Process, number: int) -> None:
    """Signal the process and its children, if it is still there."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Lines as they come, long ones cut: no output of a child may fill our memory."""
    rest = b""
    while part := await stream.read(4096):
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
        rest = rest[-4096:]
    if rest:
        yield rest.decode("utf-8", "replace")


def _complaint(lines: Sequence[str]) -> tuple[str, str]:
    """Error and hint of our command line's two lines; of anything else the last line."""
    error = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), "")
    hint = next((line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")), "")
    return error or (lines[-1].strip() if lines else ""), hint
