"""Figures of runs that were never made, for the tests of `explain` and `verdict`."""

from allaprima.realtime.explain import Measured, Stage, Thread, Trial, Verdict, bound_of

WAY = {"decode": "source", "motion": "source", "net": "engine", "blend": "finisher", "encode": "sink"}


def measured(
    frame: float = 20.0, cores_busy: float = 1.5, live: bool = False, rate: float = 25, **ms: float
) -> Measured:
    """Figures of a run whose frames take ``frame`` ms; ``ms`` are its stages."""
    stages = tuple(Stage(name, WAY[name], spent) for name, spent in ms.items())
    threads: dict[str, float] = {}
    for stage in stages:
        waits = live and stage.name == "decode"
        threads[stage.thread] = threads.get(stage.thread, 0) + (0 if waits else stage.ms)
    rows = tuple(Thread(name, spent, spent / frame) for name, spent in threads.items())
    return Measured("in.mp4", (640, 360), live, rate, 100, 0.1 * frame, 0, cores_busy, 0.0, stages, rows)


def verdict(found: Measured, *trials: Trial) -> Verdict:
    return Verdict(found, bound_of(found), None, trials)


ENCODE = measured(frame=14.5, decode=2, motion=6, net=9, blend=5, encode=14.2)
"""The sink's thread is the one that is always busy."""
