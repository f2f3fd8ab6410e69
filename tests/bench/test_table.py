import pytest

from allaprima.bench import table


def test_numbers_show_three_figures() -> None:
    assert [table.number(value) for value in (1234.5, 12.34, 1.234, 0.1234)] == ["1234", "12.3", "1.23", "0.123"]


def test_what_a_person_reads_steps_aside(capsys: pytest.CaptureFixture[str]) -> None:
    with table.aside():
        table.plain("figures", ("", "fps"), [("ours", "30")])
    with pytest.raises(ValueError, match="broken"), table.aside():
        raise ValueError("broken")
    with table.aside(False):
        table.plain("others", ("", "fps"), [("theirs", "1")])
    captured = capsys.readouterr()
    assert "ours" in captured.err
    assert "ours" not in captured.out
    assert "theirs" in captured.out


def test_others_load_is_told_where_there_is_any(capsys: pytest.CaptureFixture[str]) -> None:
    table.warn_of_load(None)
    table.warn_of_load(0.01)
    assert capsys.readouterr().out == ""
    table.warn_of_load(1.3)
    assert "took 1.3 cores" in capsys.readouterr().out
