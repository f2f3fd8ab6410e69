from typing import Any

import pytest

from allaprima.realtime.live.limits import REMEMBERED, Rate, client_of
from allaprima.realtime.live.replies import Refused


def test_a_client_may_burst_and_then_at_a_rate() -> None:
    rate = Rate(2.0, 3)
    for _ in range(3):
        rate.check("a", 10.0)
    with pytest.raises(Refused) as caught:
        rate.check("a", 10.0)
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "1"})
    rate.check("b", 10.0)
    rate.check("a", 10.5)
    with pytest.raises(Refused):
        rate.check("a", 10.5)
    for _ in range(3):
        rate.check("a", 1000.0)
    with pytest.raises(Refused):
        rate.check("a", 1000.0)


def test_clients_are_forgotten_in_order() -> None:
    rate = Rate(1.0, 1)
    for number in range(REMEMBERED + 10):
        rate.check(str(number), 0.0)
    assert len(rate._left) == REMEMBERED
    rate.check("0", 0.0)


@pytest.mark.parametrize(
    ("remote", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
        (None, ""),
    ],
)
def test_an_ipv6_network_is_one_client(remote: str | None, client: str) -> None:
    class Request:
        pass

    request: Any = Request()
    request.remote = remote
    assert client_of(request) in (client, "::ffff:c000:207")
