"""What a controller may say to a live stream and what it hears back: one schema for REST, data channel and OSC."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from allaprima.realtime.errors import ConfigError

if TYPE_CHECKING:
    from allaprima.realtime.cues import Entry

LONGEST_TRANSITION = 60.0
"""Seconds."""
MOST_STYLES = 8
"""Styles in one mix."""
LONGEST_MESSAGE = 4096
"""Bytes of one change as JSON; the longest that makes sense has a few hundred."""

Unit = Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=LONGEST_TRANSITION, strict=True, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, le=1e6, strict=True, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=100, strict=True)]


class Change(BaseModel):
    """What to set on a stream, all on its next frame; what is left out or null stays as it is.

    The body of ``PATCH /v1/streams/{id}`` and a message on the data channel ``control``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    style: Name | None = Field(default=None, description='A style, or a mix: "a:0.7,b:0.3".', examples=["starry-night"])
    mix: dict[Name, Weight] | None = Field(
        default=None,
        description="Styles and their weights, scaled to sum to 1; instead of `style`.",
        examples=[{"starry-night": 0.7, "great-wave": 0.3}],
        min_length=1,
        max_length=MOST_STYLES,
    )
    strength: Unit | None = Field(default=None, description="0 is the input, 1 the painting.")
    steadiness: Unit | None = Field(
        default=None, description="0 paints every frame on its own, 1 holds the paint hardest."
    )
    transition: Seconds | None = Field(
        default=None, description="Length of cross-fades from now on, seconds, this change's included; 0 swaps at once."
    )
    cue: str | None = Field(
        default=None,
        description="A style change with a fade of its own: `[TIME=]STYLE[:FADE]`, TIME counted from now, FADE like "
        "2s, 500ms or 48f. An empty text drops the cues that wait.",
        examples=["starry-night:2s", "00:00:10=great-wave:2s"],
        max_length=1000,
        strict=True,
    )
    bypass: bool | None = Field(default=None, description="True lets the input through unpainted.", strict=True)

    @model_validator(mode="after")
    def _one_style(self) -> Self:
        if self.style is not None and self.mix is not None:
            raise ValueError("give style or mix, not both")
        if self.mix is not None and not sum(self.mix.values()) > 0:
            raise ValueError("a weight of the mix must be above 0")
        return self

    @classmethod
    def read(cls, message: str | bytes) -> Self:
        """The change in a JSON text.  Raises `ConfigError` with a line for the user."""
        if len(message) > LONGEST_MESSAGE:
            raise ConfigError(f"a change has at most {LONGEST_MESSAGE} bytes")
        try:
            value = json.loads(message)
        except (ValueError, RecursionError) as error:
            raise ConfigError("that is not JSON", 'Write for example {"style": "starry-night"}.') from error
        return cls.of(value)

    @classmethod
    def of(cls, value: Any) -> Self:
        """The change in a JSON value.  Raises `ConfigError` with a line for the user."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])[:100]
            what = first["msg"].removeprefix("Value error, ")
            hint = f"Known are {', '.join(cls.model_fields)}."
            raise ConfigError(f"{where}: {what}" if where else what, hint) from error


def read_cue(text: str) -> "Entry":
    """A live cue, its time counted from now.  Raises `ConfigError`."""
    from allaprima.realtime.cues import parse_cue

    return parse_cue(text if "=" in text else f"0={text}")


class State(BaseModel):
    """What a stream is set to."""

    model_config = ConfigDict(frozen=True)

    style: str = Field(description='A style, or a mix as text: "a:0.7,b:0.3". The goal while a cross-fade runs.')
    mix: dict[str, float] = Field(description="The same as styles and weights, which sum to 1.")
    strength: float
    steadiness: float
    transition: float = Field(description="Seconds of a cross-fade.")
    cue: str | None = Field(default=None, description="The next cue that waits, as it was given.")
    bypass: bool = False
    revision: int = Field(default=0, description="Goes up by one with every change.")


class Latency(BaseModel):
    """Milliseconds from capture until sent, over the last seconds."""

    model_config = ConfigDict(frozen=True)

    p50: float
    p95: float


class Stats(BaseModel):
    """How a stream fares.  Rates are of the last seconds, counts of all its life."""

    model_config = ConfigDict(frozen=True)

    fps_in: float = 0.0
    fps_painted: float = 0.0
    fps_sent: float = 0.0
    frames_in: int = 0
    frames_painted: int = 0
    frames_sent: int = 0
    dropped: int = Field(default=0, description="Frames that a newer one replaced before they were painted.")
    latency_ms: Latency | None = Field(default=None, description="None until a frame was sent.")
    flicker: float | None = Field(
        default=None, description="Change along the motion, 0..1; None until it can be measured."
    )
    bitrate_kbps: float = 0.0
    stages_ms: dict[str, float] = Field(default={}, description="Mean milliseconds a frame, by stage.")
    viewers: int = 0
    size: tuple[int, int] | None = Field(
        default=None, description="Width and height painted; None before the first frame."
    )
    seconds: float = Field(default=0.0, description="Age of the stream.")
    problem: str = Field(default="", description="Why nothing is painted, where that is so.")
    effort: int = Field(default=0, description="Step of the governor: 0 is full effort, each further one costs less.")
    effort_name: str = Field(default="", description="The step in words.")
    effort_reason: str = Field(default="", description="Why the step is not 0.")
    steps: int = Field(default=0, description="Times the step has changed.")
    held: int = Field(default=0, description="Frames shown again because no newer one had come.")
