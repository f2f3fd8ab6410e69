"""The only queue: order, what happens when it is full, and how either end leaves."""

import threading
import time
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest

from allaprima.realtime.mailbox import Closed, Mailbox, OnFull

SOON = 5.0
"""Seconds after which a test stops waiting for what should come at once."""


def start(work: Callable[..., Any], *args: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=args, daemon=True)
    thread.start()
    return thread


def drain(mailbox: Mailbox[Any]) -> list[Any]:
    found = []
    try:
        while True:
            found.append(mailbox.get(SOON))
    except Closed:
        return found


def test_items_come_out_in_the_order_they_went_in() -> None:
    mailbox: Mailbox[int] = Mailbox(3)
    for item in (1, 2, 3):
        mailbox.put(item)
    assert [mailbox.get(), mailbox.get(), mailbox.get()] == [1, 2, 3]


def test_a_full_mailbox_makes_the_sender_wait_until_there_is_room() -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    mailbox.put(1)
    sender = start(mailbox.put, 2)
    sender.join(0.05)
    assert sender.is_alive()
    assert len(mailbox) == 1
    assert mailbox.get() == 1
    sender.join(SOON)
    assert (mailbox.get(SOON), mailbox.dropped) == (2, 0)


def test_a_full_live_mailbox_drops_the_oldest_and_counts() -> None:
    mailbox: Mailbox[int] = Mailbox(2, OnFull.DROP_OLDEST)
    for item in range(7):
        mailbox.put(item)
    mailbox.close()
    assert (drain(mailbox), mailbox.dropped) == ([5, 6], 5)


def test_something_of_a_dropped_item_can_be_saved_into_the_next() -> None:
    mailbox: Mailbox[tuple[int, str]] = Mailbox(2, OnFull.DROP_OLDEST, lambda old, new: (new[0], old[1] + new[1]))
    for item in enumerate("abcde"):
        mailbox.put(item)
    mailbox.close()
    assert drain(mailbox) == [(3, "abcd"), (4, "e")]


def test_what_is_inside_can_be_taken_after_the_sender_is_done() -> None:
    mailbox: Mailbox[int] = Mailbox(2)
    mailbox.put(1)
    mailbox.close()
    assert mailbox.get() == 1
    for _ in range(2):
        with pytest.raises(Closed):
            mailbox.get()
    with pytest.raises(Closed):
        mailbox.put(2)


def test_the_error_of_the_sender_comes_after_what_it_sent() -> None:
    mailbox: Mailbox[int] = Mailbox(2)
    mailbox.put(1)
    mailbox.close(KeyError("first"))
    mailbox.close(KeyError("second"))
    assert mailbox.get() == 1
    with pytest.raises(KeyError, match="first"):
        mailbox.get()


@pytest.mark.parametrize("leave", ["close", "abandon"])
@pytest.mark.parametrize("inside", [0, 1], ids=["receiver", "sender"])
def test_a_waiting_thread_is_let_go(leave: str, inside: int) -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    ended = threading.Event()

    def wait() -> None:
        try:
            mailbox.put(2) if inside else mailbox.get()
        except Closed:
            ended.set()

    for item in range(inside):
        mailbox.put(item)
    waiting = start(wait)
    waiting.join(0.02)
    assert not ended.is_set()
    getattr(mailbox, leave)()
    assert ended.wait(SOON)


def test_an_abandoned_mailbox_holds_nothing() -> None:
    mailbox: Mailbox[int] = Mailbox(3)
    mailbox.put(1)
    mailbox.abandon()
    assert len(mailbox) == 0
    with pytest.raises(Closed):
        mailbox.put(2)


def test_waiting_ends_after_the_timeout() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        Mailbox[int](1).get(timeout=0.05)
    assert 0.04 < time.monotonic() - began < SOON


def test_a_timeout_does_not_hold_back_an_item_that_comes() -> None:
    mailbox: Mailbox[int] = Mailbox(1)
    start(lambda: (time.sleep(0.02), mailbox.put(7)))
    assert mailbox.get(timeout=SOON) == 7


def test_nothing_is_lost_or_doubled_between_many_threads() -> None:
    mailbox: Mailbox[tuple[int, int]] = Mailbox(3)
    taken: list[list[tuple[int, int]]] = [[], [], []]
    senders = [start(lambda n=n: [mailbox.put((n, i)) for i in range(500)]) for n in range(3)]
    receivers = [start(lambda into=into: into.extend(drain(mailbox))) for into in taken]
    for sender in senders:
        sender.join(SOON)
    mailbox.close()
    for receiver in receivers:
        receiver.join(SOON)
    assert sorted(chain(*taken)) == [(n, i) for n in range(3) for i in range(500)]
    for mine in taken:
        for n in range(3):
            assert [i for m, i in mine if m == n] == sorted(i for m, i in mine if m == n)


def test_under_load_a_live_mailbox_accounts_for_every_item() -> None:
    mailbox: Mailbox[list[int]] = Mailbox(2, OnFull.DROP_OLDEST, lambda old, new: old + new)
    taken: list[list[int]] = []
    receiver = start(lambda: taken.extend(drain(mailbox)))
    for item in range(3000):
        mailbox.put([item])
    mailbox.close()
    receiver.join(SOON)
    assert list(chain(*taken)) == list(range(3000))
    assert len(taken) + mailbox.dropped == 3000
