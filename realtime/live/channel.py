"""The data channel ``control``: changes in, states, errors and figures out, all as JSON."""

import asyncio
import json
from typing import Any

from aiortc import RTCDataChannel
from aiortc.exceptions import InvalidStateError

from allaprima.realtime.errors import AllaprimaError
from allaprima.realtime.live.control import Change, State
from allaprima.realtime.live.stream import Stream

MOST_UNSENT = 64_000
"""Bytes that may wait for a slow peer before figures are left out."""
BURST, A_SECOND = 60.0, 60.0
"""Changes at once, and each second: a slider sends one for each frame of the screen."""


class ControlChannel:
    """Lets a peer steer its stream.  ``may_change`` is False for one that only watches."""

    def __init__(self, channel: RTCDataChannel, stream: Stream, may_change: bool) -> None:
        self._channel = channel
        self._stream = stream
        self._may_change = may_change
        self._loop = asyncio.get_running_loop()
        self._allowance, self._last = BURST, self._loop.time()
        channel.on("message", self._heard)
        self._stop = stream.watch(self._changed)
        self._tell({"state": stream.state.model_dump(mode="json")})

    def tell_stats(self) -> None:
        if self._channel.bufferedAmount < MOST_UNSENT:
            self._tell({"stats": self._stream.stats().model_dump(mode="json")})

    def close(self) -> None:
        """Hear of no more changes."""
        self._stop()

    def _heard(self, message: str | bytes) -> None:
        now = self._loop.time()
        self._allowance = min(BURST, self._allowance + (now - self._last) * A_SECOND)
        self._last = now
        if self._allowance < 1:
            self._tell({"error": "too many changes", "hint": f"Send at most {A_SECOND:g} a second."})
            return
        self._allowance -= 1
        try:
            if not self._may_change:
                raise AllaprimaError("this connection only watches", "Change the stream by its REST address.")
            self._stream.apply(Change.read(message))
        except AllaprimaError as error:
            self._tell({"error": str(error), "hint": error.hint})

    def _changed(self, state: State) -> None:
        message = {"state": state.model_dump(mode="json")}
        self._loop.call_soon_threadsafe(self._tell, message)

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            self._channel.send(json.dumps(message))
        except (InvalidStateError, ConnectionError):
            self.close()
