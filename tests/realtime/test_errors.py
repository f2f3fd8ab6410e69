"""The error tree: every kind tells the shell its own number."""

import inspect
import pickle

import pytest

from allaprima.realtime import errors
from allaprima.realtime.errors import AllaprimaError

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


def test_every_error_has_an_exit_code_of_its_own() -> None:
    codes = [kind.exit_code for kind in KINDS]
    assert len(set(codes)) == len(codes) == 14
    assert 0 not in codes
    assert all("exit_code" in vars(kind) for kind in KINDS), "an inherited code tells the shell less"


@pytest.mark.parametrize("kind", KINDS)
def test_the_tree_in_the_docstring_is_the_tree(kind: type[AllaprimaError]) -> None:
    lines = (errors.__doc__ or "").splitlines()
    (row,) = [n for n, line in enumerate(lines) if kind.__name__ in line.split()]
    assert int(lines[row].split(kind.__name__)[1].split()[0]) == kind.exit_code
    column = lines[row].index(kind.__name__)
    above = [line for line in lines[:row] if line.strip() and len(line) - len(line.lstrip(" │├└─")) < column]
    if kind is not AllaprimaError:
        assert kind.__base__ is not None
        assert kind.__base__.__name__ in above[-1].split()


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_carries_a_message_and_a_hint(kind: type[AllaprimaError]) -> None:
    error = kind("the tape is torn", "splice it")
    assert (str(error), error.hint, kind("short").hint) == ("the tape is torn", "splice it", "")


def test_an_error_survives_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(errors.SinkError("no room", "make some")))
    assert (type(error), str(error), error.hint) == (errors.SinkError, "no room", "make some")
