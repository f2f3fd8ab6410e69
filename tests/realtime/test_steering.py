import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from allaprima.realtime.errors import BundleError
from allaprima.realtime.steering import Steering


class Painter:
    """Stands in for the stylizer."""

    def __init__(self):
        self.bank = SimpleNamespace(names=lambda: ["a", "b", "bad"])
        self.style, self.strength, self.bypass = "a", 1.0, False
        self.fade = None

    def set_style(self, name, fade):
        if name == "bad":
            raise BundleError("bad is damaged")
        self.style, self.fade = name, fade


@pytest.fixture
def painter():
    return Painter()


@pytest.fixture
def steering(painter):
    return Steering(painter, threading.Event(), rate=30)


def test_a_number_fades_to_the_style_of_that_place(painter, steering):
    steering.select(2)
    assert (painter.style, painter.fade) == ("b", 12)


def test_a_style_ends_the_bypass(painter, steering):
    steering.toggle_bypass()
    assert painter.bypass
    assert steering.status().startswith("bypass")
    steering.select(1)
    assert not painter.bypass


@pytest.mark.parametrize(("number", "trouble"), [(3, "bad is damaged"), (9, "there are 3 styles")])
def test_a_style_that_cannot_be_changes_nothing_and_is_said(painter, steering, number, trouble):
    steering.select(number)
    assert painter.style == "a"
    assert trouble in steering.status()
    steering.select(2)
    assert "(" not in steering.status()


def test_strength_stays_between_0_and_1(painter, steering):
    steering.change_strength(0.1)
    assert painter.strength == 1
    for _ in range(12):
        steering.change_strength(-0.1)
    assert painter.strength == 0
    steering.change_strength(0.1)
    assert "10%" in steering.status()


def test_quit_and_speed(painter):
    stop = threading.Event()
    steering = Steering(painter, stop, 30)
    steering.progress = SimpleNamespace(fps=24.4)
    assert steering.status() == "a  100%  24 fps"
    steering.quit()
    assert stop.is_set()


SIGNALLED = """
import os, signal, sys
from allaprima.realtime.steering import Stop

number = int(sys.argv[1])
before = signal.getsignal(number)
with Stop().on_signals() as stop:
    assert not stop.event.is_set()
    os.kill(os.getpid(), number)
    assert stop.event.is_set() and stop.signalled
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        print("insisted")
assert signal.getsignal(number) is before
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_the_second_insists(number):
    """In a process of its own: libraries that other tests load may leave too small a stack for signals."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, str(int(number))], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "insisted\n"), done.stderr
    assert "stopping" in done.stderr
