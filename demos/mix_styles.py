"""Three styles that flow into each other: python -m allaprima.demos.mix_styles IN OUT [A B C]

First half: cross-fades at set times.  Second half: a mix whose weights are a function of time, frame by frame.
"""

import math
import sys

from allaprima.realtime import Cue, Mix, Stylizer, open_sink, open_source, run

TURN_SECONDS = 6.0
"""One round of the second half through all three styles."""


def around(names: list[str], seconds: float) -> Mix:
    """Weights that go round: each style is strongest once a turn, and none is ever quite alone."""
    phases = [math.tau * (seconds / TURN_SECONDS - place / len(names)) for place in range(len(names))]
    return Mix.of({name: 1 + math.cos(phase) for name, phase in zip(names, phases, strict=True)})


def main(source_uri: str, sink_uri: str, *wanted: str) -> None:
    source = open_source(source_uri)
    stylizer = Stylizer()
    names = list(wanted or stylizer.bank.names()[:3])
    rate = float(source.info.rate or 30)
    half = (source.info.frames or 300) / rate / 2

    # A cue changes the style at a time and fades over some seconds; filters are mixed, not pictures.
    stylizer.set_style(names[0])
    third = half / len(names)
    cues = [Cue(third * place, name, fade=third / 2) for place, name in enumerate(names) if place]
    cues += [Cue(half + k / rate, around(names, k / rate)) for k in range(round(half * rate))]

    sink = open_sink(sink_uri, source.info)
    progress = run(source, stylizer, [sink], cues=cues)
    print(f"{progress.painted} frames through {', '.join(names)}: {sink_uri}")


if __name__ == "__main__":
    main(*sys.argv[1:])
