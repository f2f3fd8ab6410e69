"""What the computer says of itself."""

import sys
import time

import numpy as np
import pytest

from allaprima.realtime.machine import busy_seconds, resident


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory a process holds")
def test_the_memory_that_is_held_grows_with_what_is_held() -> None:
    before = resident()
    held = np.ones(64_000_000, np.uint8)
    after = resident()
    assert before is not None
    assert after is not None
    assert 1e6 < before < 1e11
    assert after - before > 0.8 * held.nbytes


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how busy the machine is")
def test_the_machine_is_at_least_as_busy_as_this_process() -> None:
    before, used = busy_seconds(), time.process_time()
    while time.process_time() - used < 0.3:
        sum(range(1000))
    after = busy_seconds()
    assert before is not None
    assert after is not None
    assert after - before > 0.2
