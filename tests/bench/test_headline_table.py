"""What a person reads fits 110 columns and leaves nothing out that speaks against a figure."""

import pytest

from allaprima.bench import headline_table, table
from allaprima.bench.catalogue import Bound, Case, Conditions, Latency, Trials

from .test_compare import case, result

BOUND = Bound(
    stage="net", ms=30, gflop=9, megabytes=50, of_matrix_rate=0.62, of_copy_bandwidth=0.3, bound_by="matrix rate"
)
STAGES = {"upload": Trials.of([1]), "motion": Trials.of([9]), "net": Trials.of([30]), "blend": Trials.of([12])}
ENGINE = {
    "ms": Trials.of([50, 52, 54]),
    "stages_ms": STAGES,
    "bounds": (BOUND,),
    "rss_mb": 400.4,
    "flicker": 0.46,
    "sharpness": 0.98,
    "core_ms": Trials.of([88.0]),
    "conditions": Conditions(watts=41.0, watts_of="package"),
}
LIVE = {
    "latency_ms": Latency(p50=31.4, p95=60.2, p99=90),
    "drops": 7,
    "effort": "net at 1/2",
    "painted_share": 0.5,
    "source_fps": 30.0,
}


def every_layer() -> tuple[Case, ...]:
    file = {"first_frame_s": Trials.of([1.2]), "first_start_s": Trials.of([1.9])}
    ends = {"decode": Trials.of([0.7]), "encode": Trials.of([14.0])}
    return (
        case([19.9, 19.0, 20.1], size=(3840, 2160), **ENGINE),
        case([12.0, 12.5, 13.0], "file", size=(3840, 2160), stages_ms=ends, **file),
        case([30, 29, 30], "live", size=(3840, 2160), **LIVE),
        case([0], "nets", mpx_s=0, invalid=("it crashed", "and burned")),
        case([0], "file", size=(96, 64), mpx_s=0, invalid=("and burned",)),
    )


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    headline_table.show(result(*every_layer(), other_load=0.42))
    return capsys.readouterr().out


def test_every_figure_has_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys)
    rows = [line.split() for line in text.splitlines()]
    engine = next(row for row in rows if row[:2] == ["3840x2160", "engine"])
    assert engine == [
        "3840x2160",
        "engine",
        "19.9",
        "±0.550",
        "52.0",
        "±2.00",
        "1.00",
        "-",
        "-",
        "-",
        "-",
        "400",
        "41",
        "net",
        "62%",
        "matrix",
    ]
    live = next(row for row in rows if row[:1] == ["live"])
    assert live == ["live", "30.0", "±0.500", "-", "1.00", "31", "60", "90", "7", "-", "-", "-"]
    crashed = next(row for row in rows if row[:2] == ["64x48", "nets"])
    assert set(crashed[2:]) == {"-"}
    assert "net 30.0 ms, blend 12.0 ms, motion 9.00 ms" in text
    assert "flicker 0.46 and sharpness 0.98" in " ".join(text.split())
    assert "decode 0.700 ms, encode 14.0 ms, first frame after 1.2 s, 1.9 s at the first start ever" in text
    assert "50% painted by the net, most at 'net at 1/2'" in text
    assert "* INVALID: 64x48 nets: it crashed\n* INVALID: 64x48 nets, 96x64 file: and burned" in text
    assert "took 0.4 of 2 cores meanwhile" in text


def test_it_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert max(map(len, shown(capsys).splitlines())) <= table.LEAST_COLUMNS


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        (Conditions(), "cannot be told here"),
        (Conditions(other_load_cores=0.02), "was quiet"),
        (Conditions(other_load_cores=0.0, stolen_cores=0.3), "gave 0.3 cores to others"),
        (Conditions(other_load_cores=0.0, throttled=True), "slowed itself down"),
    ],
)
def test_how_busy_the_machine_was(conditions: Conditions, told: str) -> None:
    assert told in " ".join(headline_table.busy(conditions, 2))


def test_a_comparison_ends_with_what_speaks_against_it(capsys: pytest.CaptureFixture[str]) -> None:
    now = result(case([20, 20, 20]), case([20], "nets"))
    headline_table.compared(now, result(case([10, 10, 10]), cpu="B"), "old.json")
    text = capsys.readouterr().out
    assert "now beside old.json" in text
    assert "faster" in text
    assert "1 of 2 cases are not in old.json" in text
    assert "Beware: the machine's cpu differs: A now, B before" in text
