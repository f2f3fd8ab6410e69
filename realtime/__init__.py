"""The online engine: sources, the stylizer, sinks, and the pipeline that joins them.

from allaprima.realtime import Stylizer, open_sink, open_source, run
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allaprima.realtime.errors import AllaprimaError
    from allaprima.realtime.frame import Color, Frame, StreamInfo
    from allaprima.realtime.pipeline import Cue, Manner, Progress, run
    from allaprima.realtime.sinks import EncoderOptions, open_sink
    from allaprima.realtime.sources import open_source
    from allaprima.realtime.stylebank import Mix
    from allaprima.realtime.stylizer import Region, Stylizer

_HOME = {
    "AllaprimaError": "errors",
    "Color": "frame",
    "Cue": "pipeline",
    "EncoderOptions": "sinks",
    "Frame": "frame",
    "Manner": "pipeline",
    "Mix": "stylebank",
    "Progress": "pipeline",
    "Region": "stylizer",
    "StreamInfo": "frame",
    "Stylizer": "stylizer",
    "open_sink": "sinks",
    "open_source": "sources",
    "run": "pipeline",
}

__all__ = [
    "AllaprimaError",
    "Color",
    "Cue",
    "EncoderOptions",
    "Frame",
    "Manner",
    "Mix",
    "Progress",
    "Region",
    "StreamInfo",
    "Stylizer",
    "open_sink",
    "open_source",
    "run",
]


def __getattr__(name: str) -> Any:
    """Load a name's module when it is first asked for: `import allaprima.realtime` alone stays light."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
