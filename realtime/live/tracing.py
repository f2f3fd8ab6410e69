"""A trace of one live stream on demand."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from allaprima.realtime.live.replies import Refused
from allaprima.realtime.trace import Trace, text

if TYPE_CHECKING:
    from allaprima.realtime.live.stream import Stream

LONGEST = 30.0
"""Seconds."""
LOOK = 0.1
"""Seconds between two looks at the counters."""


def seconds_of(given: str) -> float:
    """The length of a trace in a query.  Raises `Refused` with 400."""
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST:
        raise Refused(400, f"seconds must be above 0 and at most {LONGEST:g}", "For example: ?seconds=5")
    return seconds


async def record(stream: "Stream", seconds: float, ended: Callable[[], bool]) -> Callable[[], str]:
    """Watch for ``seconds``, or until ``ended``; gives what makes the JSON, which takes a while.

    Raises `Refused` with 409 while somebody else watches.
    """
    if stream.stages.watch is not None:
        raise Refused(409, "a trace of this stream is being taken", "Try again in a moment.")
    trace = Trace(seconds)
    process = trace.process("stream")
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    trace.follow(process, stream.stages)
    try:
        while (left := until - loop.time()) > 0 and not ended():
            await asyncio.sleep(min(LOOK, left))
            stats = stream.stats()
            trace.count(process, "dropped", {"before": stats.dropped})
            trace.count(process, "effort", {"step": stats.effort})
            trace.count(process, "viewers", {"now": stats.viewers})
    finally:
        stream.stages.watch = None
    return lambda: text(trace.document())
