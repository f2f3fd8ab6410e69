import pytest

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.live.ice import IceServer


def test_stun_and_turn() -> None:
    stun = IceServer.parse("stun:stun.example.net:3478")
    assert stun.as_json() == {"urls": ["stun:stun.example.net:3478"]}
    assert stun.link() == '<stun:stun.example.net:3478>; rel="ice-server"'
    turn = IceServer.parse('turn:me:a"b\\c@[2001:db8::1]:443?transport=tcp')
    assert turn == IceServer("turn:[2001:db8::1]:443?transport=tcp", "me", 'a"b\\c')
    assert turn.link() == (
        '<turn:[2001:db8::1]:443?transport=tcp>; rel="ice-server"; username="me"; credential="a\\"b\\\\c"; '
        'credential-type="password"'
    )
    assert "a" + '"b' not in repr(turn)


@pytest.mark.parametrize(
    "text",
    ["", "http://x", "stun:", "stun:a b", "turn:host", "stun:u:p@host", "stun:host\r\nX: 1", "turn:u:p@h?transport=x"],
)
def test_what_is_no_ice_server(text: str) -> None:
    with pytest.raises(ConfigError):
        IceServer.parse(text)
