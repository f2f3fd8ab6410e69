"""Style changes by time, as a user writes them: ``00:00:10=starry-night:2s``, or a CSV file."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from allaprima.realtime.config import parse_time
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.pipeline import Cue
from allaprima.realtime.stylebank import Mix

FADE = re.compile(r"(\d+(?:\.\d+)?)(s|ms|f)")
COLUMNS = ("time", "style", "fade")


@dataclass(frozen=True, slots=True)
class Fade:
    """How long a change takes."""

    amount: float = 0.0
    unit: str = "s"
    """``s``, ``ms`` or ``f`` (frames)."""

    @classmethod
    def parse(cls, text: str) -> "Fade":
        match = FADE.fullmatch(text.strip())
        if match is None or (match[2] == "f" and "." in match[1]):
            raise ConfigError(f"{text!r} is not a length of a fade", "Write 2s, 500ms or 48f (frames).")
        return cls(float(match[1]), match[2])

    def seconds(self, rate: float) -> float:
        return self.amount / {"s": 1.0, "ms": 1000.0, "f": rate}[self.unit]


@dataclass(frozen=True, slots=True)
class Entry:
    """A cue as written: a fade in frames becomes seconds only when the rate is known."""

    at: float
    style: Mix
    fade: Fade = Fade()

    def cue(self, rate: float) -> Cue:
        return Cue(self.at, self.style, self.fade.seconds(rate))


def read_cues(texts: Iterable[str]) -> list[Entry]:
    """Entries of ``--cue`` arguments, each a cue or the name of a CSV file, in order of time."""
    entries: list[Entry] = []
    for text in texts:
        is_file = "=" not in text or text.lower().endswith(".csv")
        entries += _read_csv(Path(text)) if is_file else [parse_cue(text)]
    return sorted(entries, key=lambda entry: entry.at)


def parse_cue(text: str) -> Entry:
    """``TIME=STYLE[:FADE]``; the style may be a mix, whose weights have no unit."""
    time, equals, rest = text.partition("=")
    style, colon, last = rest.rpartition(":")
    if not equals or not time.strip() or not rest.strip():
        raise ConfigError(f"{text!r} is not a cue", "Write TIME=STYLE[:FADE], for example 00:00:10=starry-night:2s.")
    if colon and (FADE.fullmatch(last.strip()) or not _is_number(last)):
        return Entry(parse_time(time), Mix.parse(style), Fade.parse(last))
    return Entry(parse_time(time), Mix.parse(rest))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*\d*\.?\d+\s*", text) is not None


def _read_csv(file: Path) -> list[Entry]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not a text"
        hint = f"It is taken for a CSV file with the columns {','.join(COLUMNS)}; a cue is TIME=STYLE[:FADE]."
        raise ConfigError(f"cannot read the cues {file}: {why}", hint) from error
    return [_entry(file, number, row) for number, row in _rows(file, lines)]


def _rows(file: Path, lines: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows by column, with their line numbers; empty lines and ``#`` comments are left out."""
    columns: list[str] = list(COLUMNS)
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in next(csv.reader([line]), [])]
        if not any(cells) or cells[0].startswith("#"):
            continue
        if "time" in [cell.lower() for cell in cells]:
            columns = _columns(file, [cell.lower() for cell in cells])
        elif len(cells) > len(columns):
            raise ConfigError(f"{file}:{number}: more than {len(columns)} columns", 'Quote a mix: "a:0.5,b:0.5".')
        else:
            yield number, dict(zip(columns, cells, strict=False))


def _columns(file: Path, names: list[str]) -> list[str]:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or "style" not in names:
        what = f"unknown column {unknown[0]!r}" if unknown else "no column style"
        raise ConfigError(f"{file}: {what}", f"The columns are {','.join(COLUMNS)}.")
    return names


def _entry(file: Path, number: int, row: dict[str, str]) -> Entry:
    try:
        fade = row.get("fade")
        return Entry(parse_time(row["time"]), Mix.parse(row.get("style", "")), Fade.parse(fade) if fade else Fade())
    except ConfigError as error:
        raise ConfigError(f"{file}:{number}: {error}", error.hint) from error
