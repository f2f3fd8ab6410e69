"""Logs on standard error: a line of text each, or a JSON object each for machines.

What may be secret never gets out: passwords and tokens in addresses, bearer tokens, and every word that was
handed to `hide`.
"""

import json
import logging
import re
import sys
import time
from typing import Any, Literal, get_args

from allaprima.realtime.errors import ConfigError

Form = Literal["text", "json"]
LEVELS = ("debug", "info", "warning", "error")
FIELDS = ("stream", "stage", "style", "error")
"""Fields of a record that are told where ``extra`` has them; ``figures``, a dict, is told as it is."""
ROOT = "allaprima"
HIDDEN = "***"
ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@", re.IGNORECASE)
SETTING = re.compile(
    r"""\b(pass(?:phrase|word|wd)?|\w*token|\w*key|secret|streamid|credential)(["']?\s*[=:]\s*["']?)[^&\s"',;}]+""",
    re.IGNORECASE,
)
BEARER = re.compile(r"\b(bearer\s+)[\w.~+/-]+=*", re.IGNORECASE)
SHORTEST_SECRET = 4
"""Characters; hiding a shorter one would hide half of all words."""

_secrets: set[str] = set()


def hide(*secrets: str | None) -> None:
    """Never let these words into a log."""
    _secrets.update(word for word in secrets if word and len(word) >= SHORTEST_SECRET)


def clean(text: str) -> str:
    """``text`` without what looks like a secret or was handed to `hide`."""
    for word in sorted(_secrets, key=len, reverse=True):
        text = text.replace(word, HIDDEN)
    text = ADDRESS.sub(rf"\1:{HIDDEN}@", text)
    text = SETTING.sub(rf"\1\2{HIDDEN}", text)
    return BEARER.sub(rf"\1{HIDDEN}", text)


def setup(form: str = "text", level: str | None = None) -> None:
    """Log to standard error from now on, replacing what an earlier call set up.

    ``level`` None is ``warning`` for text and ``info`` for JSON.  Raises `ConfigError` for an unknown form or level.
    """
    if form not in get_args(Form):
        raise ConfigError(f"there is no log format {form!r}", f"Choose {' or '.join(get_args(Form))}.")
    chosen = (level or ("info" if form == "json" else "warning")).lower()
    if chosen not in LEVELS:
        raise ConfigError(f"there is no log level {level!r}", f"Choose one of {', '.join(LEVELS)}.")
    close()
    handler = _Handler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.getLogger().addHandler(handler)
    logging.getLogger(ROOT).setLevel(chosen.upper())


def close() -> None:
    """Undo `setup`."""
    root = logging.getLogger()
    for ours in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(ours)
    logging.getLogger(ROOT).setLevel(logging.NOTSET)


def as_objects() -> bool:
    """Whether standard error carries JSON objects, and nothing else may be written there."""
    return any(isinstance(handler.formatter, _Json) for handler in logging.getLogger().handlers)


def failed(message: str, hint: str, exit_code: int) -> None:
    """Log the error that ends a command."""
    figures = {"hint": hint, "exit_code": exit_code}
    logging.getLogger(ROOT).error("%s", message, extra={"error": message, "figures": figures})


def notice(text: str) -> bytes:
    """``text`` as it is written where no log can be: from the handler of a signal."""
    if not as_objects():
        return f"\n{text}\n".encode()
    return (json.dumps({"time": _clock(time.time()), "level": "info", "logger": ROOT, "message": text}) + "\n").encode()


class _Handler(logging.StreamHandler[Any]):
    """Writes to what `sys.stderr` is at that moment."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Text(logging.Formatter):
    """The message alone, and a word before it from warnings on."""

    def format(self, record: logging.LogRecord) -> str:
        message = clean(super().format(record))
        return f"{record.levelname.lower()}: {message}" if record.levelno >= logging.WARNING else message


class _Json(logging.Formatter):
    """One object: time (ISO 8601, UTC), level, logger, message, and the fields the record has."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": _clock(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": clean(record.getMessage()),
        }
        for name in FIELDS:
            if (value := getattr(record, name, None)) is not None:
                told[name] = clean(str(value))
        if record.exc_info:
            told.setdefault("error", clean(self.formatException(record.exc_info)))
        return json.dumps(told | _cleaned(getattr(record, "figures", {})), ensure_ascii=False)


def _clock(seconds: float) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {name: _cleaned(inner) for name, inner in value.items()}
    return [_cleaned(inner) for inner in value] if isinstance(value, list | tuple) else value
