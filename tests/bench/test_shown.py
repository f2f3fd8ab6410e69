import pytest

from allaprima.bench import shown
from allaprima.bench.shown import counted, figure, listed, percent, reference, sizes, usual

from . import made_up


def test_the_reference_device_comes_first() -> None:
    results = [made_up.result(lambda found, name=name: found.update(name=name)) for name in ("a", shown.REFERENCE, "z")]
    assert reference(results) is results[1]
    assert reference(results[2:]) is results[2]
    assert reference([]) is None


def test_usual_cases_are_of_one_stream_painted_as_the_first() -> None:
    def more(found: made_up.Json) -> None:
        engine = made_up.case(found, "engine")
        found["cases"][1:1] = [engine | change for change in ({"streams": 4}, {"precision": "f32"}, {"style": "udnie"})]

    assert usual(made_up.result(more)) == usual(made_up.result())
    assert [(case.size[1], case.layer) for case in usual(made_up.result())[:5]] == [
        *((360, layer) for layer in ("nets", "engine", "file", "live")),
        (720, "nets"),
    ]
    assert usual(made_up.result(lambda found: found.update(cases=[]))) == []


def test_a_case_that_does_not_count_is_never_counted() -> None:
    refused = made_up.result(made_up.refuse("engine"))
    assert (1280, 720) not in counted(refused, "engine")
    assert (1280, 720) in counted(refused, "nets")


def test_one_that_counts_stands_for_one_that_does_not() -> None:
    def again(found: made_up.Json) -> None:
        case = made_up.case(found, "engine")
        found["cases"].append(case | {"invalid": []})
        case["invalid"] = ["too busy"]

    assert counted(made_up.result(again), "engine")[1280, 720].invalid == ()


def test_what_is_not_the_nets() -> None:
    engine, nets = (counted(made_up.result(), layer)[1280, 720] for layer in ("engine", "nets"))
    assert shown.besides_nets(engine) == pytest.approx(0.5, abs=0.03)
    assert shown.besides_nets(nets) is None


def test_how_figures_are_written() -> None:
    assert [figure(value) for value in (1234.4, 99.96, 12.34, 1, 0.996, 0)] == [
        "1234", "100.0", "12.3", "1.0", "1.00", "0.00"
    ]  # fmt: skip
    assert [percent(share) for share in (1.2, 0.5, 0.096, 0.0012, 0)] == ["120 %", "50 %", "10 %", "0.1 %", "0 %"]
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_a_machine_in_a_few_words() -> None:
    found = made_up.result().machine
    assert shown.machine(found) == "Made-up Processor, 2 cores, AMX-BF16, no GPU"
    card = found.model_copy(update={"cores": 1, "features": (), "gpus": ("NVIDIA H100",)})
    assert shown.machine(card) == "Made-up Processor, 1 core, NVIDIA H100"


def test_sizes_go_up() -> None:
    assert [size[1] for size in sizes(made_up.result().cases)] == [360, 720, 1080, 2160]


def test_a_finding_is_a_sentence() -> None:
    assert shown.sentence("cost grows, by 1.5 times") == "Cost grows, by 1.5 times."
    assert shown.sentence("A mix costs more.") == "A mix costs more."
