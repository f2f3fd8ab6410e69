"""A page to look at: side-by-side videos, difference strips, and the figures of `bench/stability.py`.

One folder with one ``index.html`` and no framework; nothing on it asks for anything outside the folder.
"""

import contextlib
import html
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.realtime.errors import ConfigError, SinkError
from allaprima.realtime.rgb import Rgb
from allaprima.realtime.sinks.picture import to_av

Picture = NDArray[np.uint8]
Size = tuple[int, int]
Entry = Mapping[str, Any]
Column = tuple[str, str]
"""Of a table: what was measured, and on what; ``("frames", "")`` stands alone."""

# ---- the video ----

MOST_WIDTH = 1920
"""Of a video, in pixels."""
MUXER, OPTIONS = {"movflags": "+faststart"}, {"crf": "20", "preset": "medium", "g": "10"}
"""Of MP4 and of libx264; with a key frame so often a browser steps backward without a wait."""
FONT, FONT_SCALE, LABEL_PX, LABEL_GAP_PX = cv2.FONT_HERSHEY_DUPLEX, 0.5, 24, 8
LABEL_PAPER, LABEL_INK, EMPTY = (32, 30, 28), (245, 243, 238), (60, 58, 55)


def side_by_side(path: Path, columns: Mapping[str, Sequence[Picture]], rate: Fraction) -> None:
    """Write an MP4 (H.264, yuv420p) of the columns' pictures ``(H, W, 3)`` uint8 RGB, each with its name.

    All columns must be equally long and of one size, else `ConfigError`.  The file is there in one step.
    """
    per_row, size = _layout(len(columns), _common_size(columns))
    with _in_one_step(path) as part, av.open(str(part), "w", format="mp4", options=MUXER) as container:
        stream: Any = container.add_stream("libx264", rate=rate, options=OPTIONS)
        stream.width, stream.height = size[0] * per_row, size[1] * -(-len(columns) // per_row)
        stream.pix_fmt, stream.time_base = "yuv420p", 1 / rate
        context, rgb = stream.codec_context, Rgb()
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1  # as `Rgb` has it
        for index, pictures in enumerate(zip(*columns.values(), strict=True)):
            cells = [_cell(*each, size) for each in zip(columns, pictures, strict=True)]
            frame = rgb.frame(_board(cells, per_row))
            picture = to_av(frame, frame.size)
            picture.pts, picture.time_base = index, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


@contextlib.contextmanager
def _in_one_step(path: Path) -> Iterator[Path]:
    """What is written to the place it gives becomes ``path`` at the end; `SinkError` where that cannot be."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except (av.FFmpegError, OSError) as error:
        raise SinkError(f"cannot write {path}: {error.strerror or error}", "Choose another place.") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _common_size(columns: Mapping[str, Sequence[Picture]]) -> Size:
    lengths = {len(pictures) for pictures in columns.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ConfigError(f"columns must be equally long, not {sorted(lengths)} frames", "Paint the same frames.")
    sizes = {picture.shape[1::-1] for pictures in columns.values() for picture in pictures}
    if len(sizes) != 1:
        raise ConfigError(f"pictures must be of one size, not {sorted(sizes)}", "Scale them first.")
    return sizes.pop()


def _layout(count: int, size: Size) -> tuple[int, Size]:
    """Columns in a row, three where so many fit unscaled and leave no lonely one; and the even size of each."""
    per_row = 3 if count not in (1, 2, 4) and 3 * size[0] <= MOST_WIDTH else min(count, 2)
    scale = min(1.0, MOST_WIDTH / (per_row * size[0]))
    width, height = (max(2, int(side * scale) // 2 * 2) for side in size)
    return per_row, (width, height)


def _board(cells: Sequence[Picture], per_row: int) -> Picture:
    cells = [*cells, *[np.full_like(cells[0], EMPTY)] * (-len(cells) % per_row)]
    return np.vstack([np.hstack(cells[k : k + per_row]) for k in range(0, len(cells), per_row)])


def _cell(name: str, picture: Picture, size: Size) -> Picture:
    cell = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    text = name.encode("ascii", "replace").decode()  # all that these letters can draw
    width = cv2.getTextSize(text, FONT, FONT_SCALE, 1)[0][0] + 2 * LABEL_GAP_PX
    cv2.rectangle(cell, (0, 0), (width - 1, LABEL_PX - 1), LABEL_PAPER, cv2.FILLED)
    cv2.putText(cell, text, (LABEL_GAP_PX, LABEL_PX - 7), FONT, FONT_SCALE, LABEL_INK, 1, cv2.LINE_AA)
    return cell


# ---- the page ----

RELATIVE, RATIO = ("root_e_warp", "shimmer", "style_loss"), ("default", "per frame")
"""Figures of which a ratio says most, and of which two columns."""
RECOVERY, NEVER = "frames_until_recovered_from_cut", -1
AT_FIRST = ("root_e_warp", "sharpness_ratio", "sharpness_ratio, half", "style_loss")
"""What a table shows until more is asked for."""
MEANING = {
    "root_e_warp": "root mean square change along the motion, of 0..1 (Lai et al., ECCV 2018); less is steadier",
    "sharpness_ratio": "variance of the Laplacian over per-frame painting's, at full and half size; less is blurred",
    "style_loss": "distance from the texture of the artwork; 0 is the artwork's own",
    "stale": "root mean square difference from per-frame painting, but for fine detail: history out of date",
    "ghosting": "the same where something comes out from behind something else",
    "shimmer": "standard deviation over time of what should stand still",
    "lag": "frames by which an even motion is late",
    RECOVERY: "frames after a cut until no trace of the shot before is left",
}
FALLBACK_FPS = 30.0


def write(folder: Path, report: Mapping[str, Any], videos: Mapping[str, str], strips: Mapping[str, str]) -> Path:
    """Write ``index.html`` in one step and return its path.

    ``report`` is the JSON of `bench/stability.py`: ``footage`` is a list of mappings with a ``name``, numbers,
    and mappings of numbers by column; ``machine``, ``versions``, ``settings``, ``bars`` and ``means`` (by column)
    are shown where they are there.  ``videos`` and ``strips`` are files by the footage's name, relative to
    ``folder``.
    """
    footage = report["footage"]
    means = [{"name": column, **each} for column, each in report.get("means", {}).items()]
    path, title = folder / "index.html", f"Steadiness: {report.get('settings', {}).get('style', 'all styles')}"
    text = PAGE.format(
        title=_safe(title),
        style=STYLE,
        script=SCRIPT,
        told="\n".join(f"<p>{_safe(line)}</p>" for line in _told(report) if line),
        bars=_bars(report.get("bars", ())),
        means=_table("means", means) if means else "",
        table=_table("figures of all footage", footage, linked=True),
        figures="".join(_figure(k, each, folder, videos, strips) for k, each in enumerate(footage)),
    )
    with _in_one_step(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def _safe(value: Any) -> str:
    return html.escape(str(value))


def _told(report: Mapping[str, Any]) -> Iterable[str]:
    """What it was measured on and with."""
    machine = report.get("machine", {})
    parts = [machine.get("cpu"), machine.get("cores") and f"{machine['cores']} cores", *machine.get("features", ())]
    yield ", ".join(map(str, filter(None, [*parts, *machine.get("gpus", ()), *map(machine.get, ("system", "time"))])))
    for key in ("settings", "versions"):
        yield ", ".join(f"{_words(name)} {value}" for name, value in report.get(key, {}).items())


def _bars(bars: Sequence[Mapping[str, Any]]) -> str:
    items = []
    for bar in bars:
        kind, word = ("met", "met") if bar["met"] else ("missed", "MISSED")
        figure = f"{_shown(bar['measured'])} {bar.get('unit', '')}"
        limit = str(bar["bar"]).replace("<=", "≤").replace(">=", "≥")
        told = f"<span>{_safe(bar['what'])}</span><strong>{_safe(figure)}</strong><em>{_safe(limit)}: {word}</em>"
        items.append(f'<li class="{kind}">{told}</li>')
    met = sum(bool(bar["met"]) for bar in bars)
    return f'<h2>{met} of {len(items)} bars met</h2><ul class="bars">{"".join(items)}</ul>' if items else ""


# ---- tables ----


def flatten(entry: Entry) -> dict[Column, Any]:
    """The figures by column of the table.

    A mapping in a mapping is a group of its own; lists are left out, and a square beside its root.
    """
    found: dict[Column, Any] = {}
    for key, value in entry.items():
        if key != "name" and f"root_{key}" not in entry:
            found |= _flat(key, value)
    return found


def _flat(key: str, value: Any) -> dict[Column, Any]:
    if not isinstance(value, Mapping):
        return {} if isinstance(value, list | tuple) else {(key, ""): value}
    found: dict[Column, Any] = {}
    for name, inner in value.items():
        found |= _flat(f"{key}, {name}", inner) if isinstance(inner, Mapping) else {(key, str(name)): inner}
    if key in RELATIVE and RATIO[0] in value and value.get(RATIO[1]):
        found[key, " / ".join(RATIO)] = value[RATIO[0]] / value[RATIO[1]]
    return found


def _table(label: str, entries: Sequence[Entry], linked: bool = False) -> str:
    """One row for each entry, sortable; ``linked`` to what there is to see of it."""
    rows = [flatten(entry) for entry in entries]
    found = dict.fromkeys(column for row in rows for column in row)
    groups = dict.fromkeys(group for group, _ in found)
    columns = [column for group in groups for column in found if column[0] == group]
    body = []
    for index, (entry, row) in enumerate(zip(entries, rows, strict=True)):
        name = _safe(entry["name"])
        shown = f'<a href="#footage-{index}">{name}</a>' if linked else name
        cells = "".join(_data(column, row.get(column)) for column in columns)
        body.append(f'<tr><th scope="row" data-value="{name}">{shown}</th>{cells}</tr>\n')
    wide = list(dict.fromkeys(group for group, name in columns if name))
    table = f"<table><thead>{_head(columns)}</thead><tbody>{''.join(body)}</tbody></table>"
    scrolling = f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">{table}</div>'
    return f"<div>{_choices(wide)}{scrolling}{_glossary(wide)}</div>"


def _head(columns: Sequence[Column]) -> str:
    """What was measured, over what it was measured on."""
    above, below = ['<th rowspan="2"><button data-column="0">name</button></th>'], []
    for index, (group, name) in enumerate(columns, 1):
        button = f'<button data-column="{index}">{_safe(_words(name or group))}</button>'
        if not name:
            above.append(f'<th rowspan="2">{button}</th>')
            continue
        below.append(f'<th data-group="{_safe(group)}">{button}</th>')
        if index == 1 or columns[index - 2][0] != group:
            wide = sum(other == group for other, _ in columns)
            above.append(f'<th colspan="{wide}" data-group="{_safe(group)}">{_safe(_words(group))}</th>')
    return f"<tr>{''.join(above)}</tr><tr>{''.join(below)}</tr>"


def _data(column: Column, value: Any) -> str:
    never = column[0] == RECOVERY and value == NEVER  # and sorted as the worst
    sorted_by, text = ("Infinity", "never") if never else ("" if value is None else value, _shown(value))
    group = f' data-group="{_safe(column[0])}"' if column[1] else ""
    return f'<td{group} data-value="{_safe(sorted_by)}">{_safe(text)}</td>'


def _choices(groups: Sequence[str]) -> str:
    """Which groups of columns to show: all of them at once are wider than any screen."""
    first = [group for group in groups if group in AT_FIRST] or groups
    buttons = ""
    for group in groups:
        pressed = "true" if group in first else "false"
        buttons += f'<button data-shows="{_safe(group)}" aria-pressed="{pressed}">{_safe(_words(group))}</button>'
    return f'<div class="choices" role="group" aria-label="figures to show">{buttons}</div>' if groups else ""


def _glossary(groups: Iterable[str]) -> str:
    keys = [key for key in dict.fromkeys(group.partition(",")[0] for group in groups) if key in MEANING]
    return f"<dl>{''.join(f'<dt>{_safe(_words(key))}</dt><dd>{_safe(MEANING[key])}</dd>' for key in keys)}</dl>"


def _words(key: str) -> str:
    return str(key).replace("_", " ").replace("e warp", "E_warp")


def _shown(value: Any) -> str:
    """Four figures that count; a dash where there is nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# ---- what there is to see ----


def _figure(index: int, entry: Entry, folder: Path, videos: Mapping[str, str], strips: Mapping[str, str]) -> str:
    name, video, strip = entry["name"], videos.get(entry["name"]), strips.get(entry["name"])
    facts = " · ".join(f"{column} {_shown(value)}" for column, value in entry.get("root_e_warp", {}).items())
    parts = [f"<figcaption><h3>{_safe(name)}</h3><p>{_safe(facts and f'root E_warp: {facts}')}</p></figcaption>"]
    if video is not None:
        shape, label = _shape(folder / video), f"{_safe(name)}, columns side by side"
        parts.append(f'<video src="{quote(video)}" {shape} aria-label="{label}" {VIDEO}></video>{BUTTONS}')
    if strip is not None:
        image = f'<img src="{quote(strip)}" loading="lazy" alt="difference strip of {_safe(name)}">'
        parts.append(f'<a class="strip" href="{quote(strip)}">{image}</a>')
    return f'<figure id="footage-{index}">{"".join(parts)}</figure>\n'


def _shape(video: Path) -> str:
    """Attributes: frames per second, which no browser tells, and the room that a video takes before it is loaded."""
    with contextlib.suppress(av.FFmpegError, OSError, IndexError), av.open(str(video)) as container:
        stream = container.streams.video[0]
        ratio = stream.width / stream.height
        room = f"aspect-ratio: {ratio:.4f}; width: min(100%, {84 * ratio:.1f}vh)"
        return f'data-rate="{float(stream.average_rate or FALLBACK_FPS):.6g}" style="{room}"'
    return f'data-rate="{FALLBACK_FPS:g}"'


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="icon" href="data:,"><style>{style}</style></head><body>
<header><h1>{title}</h1>
{told}</header>
<main><section>{bars}
{means}</section>
<section><h2>Figures</h2>
{table}</section>
<section><h2>Videos</h2>
<p><kbd>←</kbd> <kbd>→</kbd> step the video in view by one frame, all its columns at once; with <kbd>Shift</kbd> every
video of the page. A difference strip grows to full size and shrinks again.</p>
<div class="shown">
{figures}</div></section></main>
<script>{script}</script></body></html>
"""
VIDEO = 'controls loop muted playsinline preload="metadata"'
BUTTONS = (
    '<div class="steps"><button data-step="-1" aria-label="one frame back">◀</button><output>-</output>'
    '<button data-step="1" aria-label="one frame on">▶</button>'
    '<button data-slow aria-pressed="false">¼ speed</button></div>'
)
STYLE = """
:root { color-scheme: light dark; --paper: #faf9f6; --ink: #343230; --faint: #6b665f; --line: #ddd8ce;
  --raised: #fff; --accent: #2b5f93; --met: #256b3c; --missed: #a8321a;
  font: clamp(15px, 12px + 0.28vw, 24px)/1.5 system-ui, sans-serif }
@media (prefers-color-scheme: dark) { :root { --paper: #181716; --ink: #e9e6e0; --faint: #a19b92; --line: #3a3733;
  --raised: #23211f; --accent: #8fbcea; --met: #83cb9b; --missed: #f3937a } }
* { box-sizing: border-box } h1, h2, h3, figure, ul, dl, dd, p { margin: 0; padding: 0 }
body { margin: 0; padding: 1.2rem clamp(0.8rem, 2vw, 3rem); background: var(--paper); color: var(--ink) }
h2 { margin: 2rem 0 0.6rem; font-size: 1.25rem } h3 { font-size: 1.05rem; overflow-wrap: anywhere }
header p, figcaption p, dd, section > p { color: var(--faint); font-size: 0.85rem; max-width: 75rem }
a { color: var(--accent) } :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
button { font: inherit; color: inherit; background: var(--raised); border: 1px solid var(--line);
  border-radius: 0.3rem; padding: 0.2rem 0.7rem; cursor: pointer }
button[aria-pressed=true] { border-color: var(--accent); color: var(--accent) }
.bars { list-style: none; display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 0.6rem }
.bars li { display: grid; padding: 0.5rem 0.8rem; background: var(--raised); border-left: 0.3rem solid var(--met) }
.bars .missed { border-color: var(--missed) } .bars span { font-size: 0.85rem } .bars strong { font-size: 1.4rem }
.bars em { font-style: normal; color: var(--met) } .bars .missed em { color: var(--missed); font-weight: 600 }
table, .choices, .steps, dl { font-size: 0.85rem } .scroll { overflow-x: auto; margin: 0.6rem 0 }
.choices, .steps { display: flex; flex-wrap: wrap; gap: 0.4rem; margin: 0.6rem 0; align-items: center }
table { border-collapse: collapse } td { font-variant-numeric: tabular-nums; white-space: nowrap }
th, td { padding: 0.25rem 0.6rem; text-align: right; border-bottom: 1px solid var(--line); font-weight: 400 }
thead th { vertical-align: bottom; color: var(--faint) } thead th[colspan] { text-align: center }
thead tr:first-child th:first-child, th[scope] { position: sticky; left: 0; background: var(--paper); text-align: left }
thead button { border: 0; background: none; padding: 0; text-align: inherit } th[aria-sort] { color: var(--accent) }
[aria-sort=ascending] button::after { content: " ▲" } [aria-sort=descending] button::after { content: " ▼" }
dl { display: grid; grid-template-columns: fit-content(35%) 1fr; gap: 0.2rem 1rem }
.shown { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 62rem), 1fr)); gap: 2.5rem 2rem }
figure { min-width: 0; margin-top: 1rem } figcaption { margin-bottom: 0.4rem }
video { display: block; max-width: 100% } .strip { display: block; overflow: auto }
.strip img { display: block; width: min(100%, 44rem); cursor: zoom-in }
.strip.large img { width: auto; cursor: zoom-out }
"""
SCRIPT = """
const all = (query, inside = document) => [...inside.querySelectorAll(query)]
for (const table of all("table")) table.tHead.onclick = ({target}) => {
  const button = target.closest("button"), head = target.closest("th"), body = table.tBodies[0]
  if (!button) return
  const sign = head.ariaSort === "ascending" ? -1 : 1, value = row => row.cells[button.dataset.column].dataset.value
  for (const other of all("th", table.tHead)) other.ariaSort = null
  head.ariaSort = sign > 0 ? "ascending" : "descending"
  const order = (a, b) => (a === "") - (b === "") || sign * (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b)
  body.append(...[...body.rows].sort((a, b) => order(value(a), value(b))))
}
for (const button of all("[data-shows]")) {
  const cells = all("[data-group]", button.parentNode.parentNode).filter(c => c.dataset.group === button.dataset.shows)
  const show = on => { button.ariaPressed = on; for (const cell of cells) cell.hidden = !on }
  button.onclick = () => show(button.ariaPressed !== "true")
  show(button.ariaPressed === "true")
}
const videos = all("video"), count = video => Math.max(1, Math.round(video.duration * video.dataset.rate))
const index = video => Math.min(count(video) - 1, Math.floor(video.currentTime * video.dataset.rate + 0.01))
const step = (video, by) => { // to the middle of a frame: its edges belong to either neighbor
  video.pause()
  const next = (index(video) + by + count(video)) % count(video)
  if (video.duration) video.currentTime = (next + 0.5) / video.dataset.rate
}
for (const video of videos) {
  const figure = video.closest("figure"), told = all("output", figure)[0], slow = all("[data-slow]", figure)[0]
  const tell = () => { if (video.duration) told.value = `frame ${index(video) + 1} of ${count(video)}` }
  for (const event of ["loadedmetadata", "timeupdate", "seeking"]) video.addEventListener(event, tell)
  for (const button of all("[data-step]", figure)) button.onclick = () => step(video, +button.dataset.step)
  slow.onclick = () => video.playbackRate = (slow.ariaPressed = slow.ariaPressed !== "true") ? 0.25 : 1
  tell()
}
const offset = (video, box = video.getBoundingClientRect()) => Math.abs(box.top + box.bottom - innerHeight)
const inView = () => videos.reduce((a, b) => offset(b) < offset(a) ? b : a)
addEventListener("keydown", event => {
  const by = {ArrowLeft: -1, ArrowRight: 1}[event.key], other = event.ctrlKey || event.altKey || event.metaKey
  if (!by || other || !videos.length || event.target.closest(".scroll, .large")) return
  event.preventDefault() // the video's own keys skip seconds
  const focused = document.activeElement.closest("figure")?.querySelector("video")
  for (const video of event.shiftKey ? videos : [focused ?? inView()]) step(video, by)
}, true)
for (const link of all(".strip")) link.onclick = event => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return
  event.preventDefault()
  link.ariaExpanded = link.classList.toggle("large")
}
"""
