import re

import pytest

from allaprima.bench import measured
from allaprima.bench.shown import REFERENCE, TIMES, by

from . import made_up

HD, SMALL = by((1280, 720)), by((640, 360))
STABILITY = {
    "settings": {"size": "640x360", "style": "udnie"},
    "means": {
        "default": {"flicker": 0.5, "sharpness": 0.96, "recovery": 2.0},
        "warping": {"flicker": 0.25, "lag": 0.5},
    },
    "footage": [
        {"name": "test:cut", "frames": 9, "in_means": True, "style_loss": {"default": 1.2, "per frame": 1.0}},
        {"name": "walk", "frames": 60, "in_means": True, "style_loss": {"default": 2.0, "per frame": 1.0}},
        {"name": "test:pan", "frames": 60, "in_means": False, "style_loss": {"default": 9.0, "per frame": 1.0}},
    ],
    "bars": [
        {"what": "flicker", "measured": 0.5, "bar": "<= 0.5", "met": True},
        {"what": "sharpness", "measured": 0.91, "bar": ">= 0.95", "met": False},
    ],
    "drift": {"moments": [{"second": 1}, {"second": 30}], "change": {"sharpness": -0.012, "brightness": 0.001}},
}
QUALITY = {
    "settings": {"photos": 7},
    "photos": {"a": {"style": {"median": 0.21}}, "b": {"style": {"median": 0.13}}},
    "rivals": {"a": {"rival": "X", "ours_over_rival": {"style": {"median": 1.5}, "content": {"median": 0.7}}}},
    "mixing": [{"always_nearer": True}, {"always_nearer": False}],
    "separation": {"share": 0.971},
    "identity_psnr_db": {"median": 27.04},
    "bars": [{"what": "dB", "measured": 27.04, "bar": ">= 28", "met": False}],
}


def cells(markdown: str, first: str) -> list[str]:
    """Of the one row that begins so."""
    (row,) = [line for line in markdown.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in row.strip("|").split("|")][1:]


# ---- our own speed ----


def test_the_headline_is_of_medians() -> None:
    told = measured.headline([made_up.result()])
    found = made_up.raw()
    expected = [f"{made_up.case(found, layer)['fps']['median']:.1f}" for layer in ("nets", "engine", "file")]
    assert cells(told, HD)[:3] == expected
    assert cells(told, HD)[3:] == ["9.6", "240 / 336 / 408", "405", "-", "-"]
    assert cells(told, SMALL)[-2:] == ["0.48", "0.99"]
    assert (
        "Made-up Processor, 2 cores, AMX-BF16, no GPU, 2026-01-02; medians of 3 trials, starry-night, steadiness 0.85,"
        in told
    )


def test_a_figure_that_does_not_count_is_left_out_and_said() -> None:
    told = measured.headline([made_up.result(made_up.refuse("file", why="too busy"))])
    fps, mpx = (made_up.case(made_up.raw(), "file")[name] for name in ("fps", "mpx_s"))
    assert cells(told, HD)[2:4] == ["-", "-"]
    assert f"{fps['median']:.1f}" not in told.split("The aims")[0]
    assert f"{mpx:.1f}" not in told
    assert f"file → file at 1280{TIMES}720 (too busy)" in told
    assert f"Without a figure that counts: 20 frames a second from file to file at 1280{TIMES}720;" in told


def test_many_that_do_not_count_are_counted() -> None:
    refuse = [made_up.refuse(layer) for layer in ("nets", "engine", "file", "live")]
    told = measured.headline([made_up.result(*refuse)])
    assert "5 of 16 cases do not count" in told
    assert cells(told, HD)[:5] == ["-"] * 5


@pytest.mark.parametrize(("fps", "verdict"), [(19.9, "Missed"), (20.0, "Met")])
def test_an_aim_is_met_or_missed(fps: float, verdict: str) -> None:
    def change(found: made_up.Json) -> None:
        made_up.case(found, "file")["fps"] = {"median": fps, "min": fps, "max": fps, "trials": [fps] * 3}

    aims = measured.headline([made_up.result(change)]).split("The aims for 2 cores")[1]
    assert re.search(rf"{verdict}: [^.]*20 frames a second from file to file at 1280{TIMES}720 \({fps:.1f}\)", aims)


def test_what_is_besides_the_nets_is_held_against_its_aim() -> None:
    def quick(found: made_up.Json) -> None:
        for size in ((640, 360), (1280, 720)):
            for stage, trials in made_up.case(found, "engine", size)["stages_ms"].items():
                value = 7.0 if stage == "net" else 0.5
                trials.update(median=value, min=value, max=value, trials=[value] * 3)

    found = [re.search(r"(\w+): [^:]*besides the nets \((.*?)\)", measured.headline([each])) for each in
             (made_up.result(), made_up.result(quick))]  # fmt: skip
    assert [match and match.groups() for match in found] == [("Missed", "50 % and 54 %"), ("Met", "22 % and 22 %")]


def test_the_aims_are_not_those_of_another_machine() -> None:
    for change in ({"cores": 8}, {"gpus": ["a card"]}):
        told = measured.headline([made_up.result(lambda found, change=change: found["machine"].update(change))])
        assert "aims" not in told


def test_what_went_on_meanwhile_is_said() -> None:
    def busy(found: made_up.Json) -> None:
        found["conditions"] = {"other_load_cores": 0.31, "stolen_cores": 0.02, "throttled": True}

    assert "Meanwhile other programs took 0.3 cores and the machine throttled." in measured.headline(
        [made_up.result(busy)]
    )
    assert "Meanwhile" not in measured.headline([made_up.result()])


def test_frames_that_the_net_did_not_paint_are_said() -> None:
    told = measured.headline([made_up.result()])
    assert f"50 % at 1280{TIMES}720 (flow at half size)" in told
    assert "100 %" not in told


def test_other_machines_have_a_row_each() -> None:
    def other(found: made_up.Json) -> None:
        found.update(name="card")
        found["machine"].update(cpu="B | C", gpus=["a card"])

    def known(found: made_up.Json) -> None:
        found.update(name=REFERENCE)

    told = measured.headline([made_up.result(other), made_up.result(known)])
    assert told.startswith("Printed by `allaprima bench` on Made-up")
    assert "| B \\| C, 2 cores, AMX-BF16, a card | 10.8 | 240 / 336 / 408 |" in told
    assert "other machines" not in measured.headline([made_up.result(known)])


def test_without_a_result_nothing_is_claimed() -> None:
    assert measured.headline([]) == measured.NOTHING
    assert measured.headline([made_up.result(lambda found: found.update(cases=[]))]) == measured.NOTHING
    assert measured.rivals([]) == ""
    assert measured.rivals([made_up.result(lambda found: found.update(rivals=[]))]) == ""


def test_nothing_in_a_result_becomes_markup() -> None:
    hostile = "x\n<!-- end --><img src=y>![z](w)`|"

    def change(found: made_up.Json) -> None:
        found["machine"].update(cpu=hostile, gpus=[hostile])
        found["cases"][-1]["invalid"] = [hostile]
        for case in found["cases"]:
            case.update(style=hostile, effort=hostile)
        for rival in found["rivals"]:
            rival.update(name=hostile, note=hostile)
        found["rivals"][-1]["absent"] = hostile

    def other(found: made_up.Json) -> None:
        change(found)
        found.update(name="other")

    results = [made_up.result(change), made_up.result(other)]
    for told in (measured.headline(results), measured.rivals(results)):
        assert "x \\<!-- end --\\>\\<img src=y\\>!\\[z\\](w)\\`\\|" in told
        assert not re.search(r"(?<!\\)<(?!/?sup>)|(?<!\\)\[|x\n", told)


# ---- beside others ----


def test_rivals_are_ratios_with_their_spread() -> None:
    told = measured.rivals([made_up.result()])
    times = made_up.raw()["rivals"][3]["times"]
    assert times["median"] < 1, "one that is faster than ours is shown like the others"
    shown = f"{times['median']:.2f} {TIMES} ({times['min']:.2f} to {times['max']:.1f})"
    assert cells(told, "the same net in OpenVINO, one picture at a time") == [shown, "-", "-"]
    assert "pytorch/examples in PyTorch, eager<sup>1</sup><sup>4</sup> |" in told
    assert "<sup>1</sup> 35 GMAC against 6." in told
    gflop = next(bound.gflop for bound in made_up.result().cases[1].bounds if bound.stage == "net")
    assert f"Our nets take {gflop:.1f} GFLOP a frame at 640{TIMES}360" in told
    assert "Not measured: the same net in TensorRT (there is no NVIDIA card)." in told


# ---- steadiness and paint ----


def test_steadiness_says_what_it_missed() -> None:
    told = measured.steadiness(STABILITY)
    assert f"at 640{TIMES}360 on 1 built-in scenes and 1 clips of 60 frames, udnie" in told
    assert cells(told, "**default**") == ["0.50", "0.96", "-", "-", "2", "-"]
    assert cells(told, "warping by full-size flow and mixing, 0.8") == ["0.25", "-", "-", "-", "-", "0.50"]
    assert "After 30 seconds of swinging motion every figure is within 1.2 %" in told
    assert "Missed, of 2 aims: sharpness, 0.91 (≥ 0.95)." in told
    assert "2.0 times that of frames painted one by one on `walk`" in told
    assert "1.2 times on `test:cut`, the best" in told
    assert "averaging" not in told


def test_paint_says_what_it_missed() -> None:
    told = measured.paint(QUALITY)
    assert "on 7 photographs" in told
    assert "in 2 styles: style loss 0.13 to 0.21" in told
    assert "1.50 times the style loss in a (X), with 0.70 times the loss of content" in told
    assert "in 97 %" in told
    assert "27.0 dB" in told
    assert "1 of 2 mixes of two styles" in told
    assert "Missed, of 1 aims: dB, 27.04 (≥ 28)." in told
    better = QUALITY | {"mixing": [{"always_nearer": True}], "bars": [{"met": True}] * 3, "rivals": {}}
    assert "every mix" in measured.paint(better)
    assert measured.paint(better).endswith("All 3 aims are met.")
