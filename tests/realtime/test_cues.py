import pytest

from allaprima.realtime.cues import Entry, Fade, parse_cue, read_cues
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.stylebank import Mix

HALVES = Mix.of({"a": 1, "b": 1})


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("10=a", Entry(10, Mix.of({"a": 1}))),
        ("00:00:10=starry-night:2s", Entry(10, Mix.of({"starry-night": 1}), Fade(2, "s"))),
        ("1:05.5=a:48f", Entry(65.5, Mix.of({"a": 1}), Fade(48, "f"))),
        ("0=a:500ms", Entry(0, Mix.of({"a": 1}), Fade(500, "ms"))),
        ("3=a:0.5,b:0.5", Entry(3, HALVES)),
        ("3=a:0.5,b:0.5:1.5s", Entry(3, HALVES, Fade(1.5, "s"))),
        ("3=a,b", Entry(3, HALVES)),
        ("3=a:2", Entry(3, Mix.of({"a": 1}))),
        (" 3 = a : 2s ", Entry(3, Mix.of({"a": 1}), Fade(2, "s"))),
    ],
)
def test_a_cue(text, entry):
    assert parse_cue(text) == entry


@pytest.mark.parametrize(
    "text", ["10", "=a", "10=", "x=a", "10=a:2x", "10=a:1.5f", "10=:2s", "10=a:b", "10=a:-1", "10=a:"]
)
def test_not_a_cue(text):
    with pytest.raises(ConfigError) as caught:
        parse_cue(text)
    assert caught.value.hint


@pytest.mark.parametrize(("text", "seconds"), [("2s", 2), ("500ms", 0.5), ("48f", 2), ("0s", 0)])
def test_the_length_of_a_fade(text, seconds):
    assert Fade.parse(text).seconds(rate=24) == seconds


def test_frames_stay_whole_at_uneven_rates():
    rate = 30000 / 1001
    assert round(parse_cue("1=a:47f").cue(rate).fade * rate) == 47


def csv(folder, text, encoding="utf-8"):
    file = folder / "cues.csv"
    file.write_text(text, encoding=encoding)
    return str(file)


def test_a_csv_file_and_cues_come_in_order_of_time(tmp_path):
    file = csv(tmp_path, 'time,style,fade\n00:20,a,2s\n# a comment\n\n5,"a:0.5,b:0.5",\n30,b\n')
    assert read_cues([file, "10=c"]) == [
        Entry(5, HALVES),
        Entry(10, Mix.of({"c": 1})),
        Entry(20, Mix.of({"a": 1}), Fade(2, "s")),
        Entry(30, Mix.of({"b": 1})),
    ]


def test_columns_in_another_order_or_without_a_heading(tmp_path):
    named = read_cues([csv(tmp_path, "Style, Time\na, 5\n")])
    assert named == read_cues([csv(tmp_path, "5,a\n")]) == [Entry(5, Mix.of({"a": 1}))]


def test_a_csv_file_of_a_spreadsheet(tmp_path):
    assert read_cues([csv(tmp_path, "time,style,fade\r\n5,a,1s\r\n", "utf-8-sig")])[0].at == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,style\nsoon,a", "cues.csv:2: 'soon' is not a time"),
        ("5,a,2x", "cues.csv:1: '2x' is not a length"),
        ("time,style,fade\n\n5", "cues.csv:3: '' is not a style"),
        ("5,a:0.5,b:0.5,2s", "cues.csv:1: more than 3 columns"),
        ("time,name\n5,a", "unknown column 'name'"),
        ("time,fade\n5,2s", "no column style"),
    ],
)
def test_bad_csv_files(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_cues([csv(tmp_path, text)])
    assert caught.value.hint


def test_a_csv_file_that_is_not_there():
    with pytest.raises(ConfigError, match=r"cannot read the cues none.csv") as caught:
        read_cues(["none.csv"])
    assert "TIME=STYLE" in caught.value.hint


def test_a_csv_file_that_is_not_a_text(tmp_path):
    file = tmp_path / "x.csv"
    file.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="it is not a text"):
        read_cues([str(file)])
