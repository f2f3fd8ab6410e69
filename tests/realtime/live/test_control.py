import json
import math
from typing import Any

import pytest

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.live.control import LONGEST_MESSAGE, Change, State, Stats, read_cue


def test_a_change_says_only_what_it_sets() -> None:
    change = Change.read('{"style": "a:0.5,b:0.5", "strength": 1, "bypass": false, "transition": null}')
    assert change.model_dump(exclude_none=True) == {"style": "a:0.5,b:0.5", "strength": 1.0, "bypass": False}
    assert Change.read("{}") == Change()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"strenght": 1}, "strenght"),
        ({"strength": 1.01}, "strength"),
        ({"strength": "1"}, "strength"),
        ({"strength": True}, "strength"),
        ({"steadiness": math.nan}, "steadiness"),
        ({"transition": -1}, "transition"),
        ({"transition": 61}, "transition"),
        ({"bypass": 1}, "bypass"),
        ({"style": ""}, "style"),
        ({"style": 3}, "style"),
        ({"mix": {}}, "mix"),
        ({"mix": {"a": 0.0}}, "weight"),
        ({"mix": {"a": -1}}, "mix"),
        ({"mix": {str(n): 1 for n in range(9)}}, "mix"),
        ({"style": "a", "mix": {"b": 1}}, "not both"),
        ({"cue": 3}, "cue"),
        ([], "dictionary"),
        (None, "dictionary"),
    ],
)
def test_what_cannot_be_set_is_refused_by_name(wrong: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        Change.read(json.dumps(wrong))
    assert "\n" not in str(caught.value)
    assert "style" in caught.value.hint


@pytest.mark.parametrize("garbage", ["", "{", b"\xff\xfe\x00", "[" * 4000, " " * (LONGEST_MESSAGE + 1)])
def test_garbage_is_refused(garbage: str | bytes) -> None:
    with pytest.raises(ConfigError):
        Change.read(garbage)


def test_a_secret_in_a_wrong_message_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        Change.of({"strength": "hunter2"})
    assert "hunter2" not in str(caught.value) + caught.value.hint


def test_live_cues_count_from_now() -> None:
    cue = read_cue("starry-night:2s")
    assert (cue.at, str(cue.style), cue.fade.seconds(25)) == (0, "starry-night", 2)
    assert read_cue("1:10=udnie").at == 70
    with pytest.raises(ConfigError):
        read_cue("=x=")


def test_state_and_stats_are_json() -> None:
    state = State(style="a", mix={"a": 1.0}, strength=1, steadiness=0.5, transition=1)
    assert State.model_validate_json(state.model_dump_json()) == state
    assert json.loads(Stats().model_dump_json())["latency_ms"] is None
