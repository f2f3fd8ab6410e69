import re
import tomllib
from pathlib import Path

import pytest

from allaprima.realtime.config import KEYS, Config, load, parse_size, parse_time, sample
from allaprima.realtime.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("12", 12), ("12.5", 12.5), (7, 7), (1.25, 1.25), ("1:02", 62), ("01:02.250", 62.25),
        ("00:00:10", 10), ("1:00:00", 3600), ("90:00", 5400), (" 5 ", 5), ("00:00:00.040", 0.04),
    ],
)  # fmt: skip
def test_a_time(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "-1", "1:60", "0:60:00", "1:2:3:4", "5s", "1e3", "nan", ":5", "1:-2"])
def test_not_a_time(text):
    with pytest.raises(ConfigError, match="is not a time"):
        parse_time(text)


def test_a_size():
    assert parse_size("1280x720") == parse_size("1280X720") == (1280, 720)


@pytest.mark.parametrize("text", ["", "1280", "x720", "1280x", "-1x5", "12.5x3", "1280x720x3", "big"])
def test_not_a_size(text):
    with pytest.raises(ConfigError, match="is not a size"):
        parse_size(text)


def test_the_sample_says_the_defaults():
    assert Config.model_validate(tomllib.loads(sample())) == Config()


def test_the_sample_has_every_key_and_a_comment_for_each():
    text = sample()
    for name, key in KEYS.items():
        assert re.search(rf"^# {re.escape(Config.model_fields[name].description)}\n#?{key} = ", text, re.MULTILINE)


def test_the_examples_in_the_sample_can_be_used():
    text = re.sub(r"^#(?=[a-z-]+ = )", "", sample(), flags=re.MULTILINE)
    settings = tomllib.loads(text)
    assert set(settings) == set(KEYS.values())
    assert Config.model_validate(settings).size == (1280, 720)


def write(folder: Path, text: str) -> Path:
    file = folder / "paint.toml"
    file.write_text(text)
    return file


def test_flags_win_over_the_file_and_the_file_over_the_defaults(tmp_path):
    file = write(tmp_path, 'style = "udnie"\nstrength = 0.5\nfrom = 3\nquiet = true\nmask-style = "none"')
    config = load(file, {"strength": 0.25, "start": None, "quiet": False, "cue": []})
    assert (config.style, config.strength, config.start, config.quiet) == ("udnie", 0.25, 3, False)
    assert config.mask_style == "none"
    assert config.steadiness is None


def test_cues_of_the_command_line_replace_those_of_the_file(tmp_path):
    file = write(tmp_path, 'cue = ["1=a", "2=b"]')
    assert load(file, {}).cue == ("1=a", "2=b")
    assert load(file, {"cue": ["3=c"]}).cue == ("3=c",)


def test_an_unknown_key_names_the_closest(tmp_path):
    with pytest.raises(ConfigError, match="unknown key 'styel'") as caught:
        load(write(tmp_path, 'styel = "udnie"'), {})
    assert caught.value.hint == "Did you mean style?"


def test_fields_that_are_no_keys_are_unknown(tmp_path):
    with pytest.raises(ConfigError, match="unknown key 'as_json'"):
        load(write(tmp_path, "as_json = true"), {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("style = ", "is not TOML"),
        ('strength = "much"', "strength: Input should be a valid number"),
        ("strength = 1.5", "strength must be between 0 and 1, not 1.5"),
        ("steadiness = -1", "steadiness must be between 0 and 1, not -1"),
        ('size = "large"', "'large' is not a size"),
        ('to = "soon"', "'soon' is not a time"),
        ("cue = 5", "cue: "),
        ("[style]\nname = 5", "style: "),
        ("frames = 1.5", "frames: "),
    ],
)
def test_bad_values(tmp_path, text, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(write(tmp_path, text), {})


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the config .*: No such file") as caught:
        load(tmp_path / "none.toml", {})
    assert "allaprima config" in caught.value.hint


def test_not_a_text(tmp_path):
    file = tmp_path / "bytes.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not TOML"):
        load(file, {})
