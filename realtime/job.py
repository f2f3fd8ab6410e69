"""One run from its settings: check everything, open everything, paint, tell how it went."""

import contextlib
from contextlib import ExitStack
from dataclasses import dataclass

from allaprima.realtime.backends import BACKENDS, hardware
from allaprima.realtime.config import Config
from allaprima.realtime.cues import Entry, read_cues
from allaprima.realtime.errors import AllaprimaError, ConfigError, SinkError, SourceError
from allaprima.realtime.frame import StreamInfo
from allaprima.realtime.masks import MaskTrack
from allaprima.realtime.opening import manner_of, sink_of, source_of
from allaprima.realtime.pipeline import Masks, Progress, run
from allaprima.realtime.report import OnFrame, Outcome, file_size, output_path
from allaprima.realtime.sinks import Sink
from allaprima.realtime.sinks.base import takes_device_frames
from allaprima.realtime.sources import Source
from allaprima.realtime.sources.request import label
from allaprima.realtime.steering import Steering, Stop
from allaprima.realtime.stylebank import Style
from allaprima.realtime.stylizer import Stylizer

LEAVE = "none"
"""The mask style that leaves the input as it is."""
USUAL_RATE = 30.0
"""Frames per second of a source that does not say."""


class Failed(AllaprimaError):
    """A run that ended with ``error`` after frames were painted and kept."""

    def __init__(self, error: AllaprimaError, outcome: Outcome) -> None:
        super().__init__(str(error), error.hint)
        self.exit_code = error.exit_code
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for, checked as far as the files of the input and output do not matter."""

    stylizer: Stylizer
    cues: list[Entry]
    mask_style: Style | None


def check(config: Config) -> Wishes:
    """Load the styles and read the cues.  Raises for everything that cannot be."""
    if config.backend not in BACKENDS:
        raise ConfigError(f"unknown backend {config.backend!r}", f"Choose one of {', '.join(BACKENDS)}.")
    if (config.mask is None) != (config.mask_style is None):
        raise ConfigError("--mask and --mask-style belong together", "Give both: --mask FILE --mask-style NAME.")
    cues = read_cues(config.cue)
    stylizer = Stylizer(
        config.style,
        strength=config.strength,
        steadiness=config.steadiness,
        bundle=config.bundle,
        backend=config.backend,
    )
    mask_style = None if config.mask_style in (None, LEAVE) else config.mask_style
    styles: list[Style] = [entry.style for entry in cues]
    for style in [*styles, mask_style] if mask_style else styles:
        stylizer.bank.resolve(style)
    return Wishes(stylizer, cues, mask_style)


class _Watch:
    """The run's masks, and how far it is in seconds of video."""

    def __init__(self, track: MaskTrack | None) -> None:
        self.seconds = 0.0
        self._track = track

    def __call__(self, stylizer: Stylizer, seconds: float) -> None:
        self.seconds = seconds
        if self._track is not None:
            self._track(stylizer, seconds)


class Job:
    """Everything of a run, opened; nothing is written before `paint`."""

    def __init__(self, uri: str, output: str, config: Config, stop: Stop) -> None:
        wishes = check(config)
        self._output = output
        self._stop = stop
        self._stylizer = wishes.stylizer
        self._last: Progress | None = None
        card = hardware.find(config.backend, config.hardware, self._stylizer.transfers)
        with ExitStack() as opened:
            self._source: Source = source_of(uri, output, config, card)
            opened.enter_context(self._source)
            info = self._source.info
            self._rate = float(info.rate or USUAL_RATE)
            self._steering = Steering(self._stylizer, stop.event, self._rate)
            self._cues = [entry.cue(self._rate) for entry in wishes.cues]
            track = None
            if config.mask is not None:
                track = opened.enter_context(MaskTrack(config.mask, wishes.mask_style, info.size))
            self._watch = _Watch(track)
            self._sink: Sink = sink_of(output, info, config, self._steering, card, stop.event)
            self._manner = manner_of(config, info, self._sink)
            self._stylizer.on_device = takes_device_frames(self._sink)
            self._opened = opened.pop_all()

    @property
    def info(self) -> StreamInfo:
        """Of the source."""
        return self._source.info

    @property
    def stylizer(self) -> Stylizer:
        return self._stylizer

    def close(self) -> None:
        """Give back what is open, for a job that will not be painted."""
        self._opened.close()

    def paint(self, on_frame: OnFrame) -> Outcome:
        """Raises `Failed` when the source breaks after frames were painted: they are kept."""

        def follow(progress: Progress) -> None:
            self._last = self._steering.progress = progress
            on_frame(progress)

        masks: Masks = self._watch
        with self._opened:
            try:
                progress = run(
                    self._source, self._stylizer, [self._sink],
                    cues=self._cues, masks=masks, stop=self._stop.event, on_frame=follow, manner=self._manner,
                )  # fmt: skip
            except SourceError as error:
                if self._last is None:
                    raise
                self._last.notes += [*self._source.notes, *self._sink.notes]
                raise Failed(error, self._outcome(self._last)) from error
            except SinkError:
                if self._last is None and self._stop.signalled:
                    raise KeyboardInterrupt from None  # stopped before the first frame: no error
                raise
            except KeyboardInterrupt:
                self.clear()
                raise
        self._note_late_cues(progress)
        return self._outcome(progress)

    def _outcome(self, progress: Progress) -> Outcome:
        return Outcome(
            progress,
            self._source.info.name,
            label(self._output),
            file_size(self._output),
            self._source.info.size,
            str(self._stylizer.style),
            self._stylizer.strength,
            self._stylizer.steadiness,
            self._watch.seconds + 1 / self._rate if progress.painted else 0.0,
            self._stop.signalled,
            self._stylizer.transfers if self._stylizer.device not in ("", "cpu") else None,
        )

    def _note_late_cues(self, progress: Progress) -> None:
        late = [cue for cue in self._cues if cue.at > self._watch.seconds]
        if late and not progress.stopped:
            progress.notes.append(f"{len(late)} cues were never reached, the first at {late[0].at:g} s")

    def clear(self) -> None:
        """After a hard stop: the file sink's thread may still be finishing, and will not get to the end."""
        target = output_path(self._output)
        with contextlib.suppress(OSError):
            target.with_name(f".{target.name}.part").unlink(missing_ok=True)
