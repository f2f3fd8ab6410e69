import ssl
import stat
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from allaprima.realtime.errors import SinkError
from allaprima.realtime.live import selfsigned


def test_it_is_kept_while_it_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = selfsigned.certificate(tmp_path / "tls", ["localhost", "192.0.2.7"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)
    first = file.read_bytes()
    assert selfsigned.certificate(tmp_path / "tls", ["192.0.2.7"]).read_bytes() == first
    second = selfsigned.certificate(tmp_path / "tls", ["192.0.2.8"]).read_bytes()
    assert second != first
    file.write_bytes(b"damaged")
    assert selfsigned.certificate(tmp_path / "tls", ["localhost"]).read_bytes() != b"damaged"
    monkeypatch.setattr(selfsigned, "DAYS", 0)
    file.unlink()
    old = selfsigned.certificate(tmp_path / "tls", ["localhost"]).read_bytes()
    assert selfsigned.certificate(tmp_path / "tls", ["localhost"]).read_bytes() != old
    assert list((tmp_path / "tls").iterdir()) == [file]


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError):
        selfsigned.certificate(tmp_path / "file", ["localhost"])


def test_a_client_that_trusts_it_gets_through(tmp_path: Path, live: Any) -> None:
    import asyncio

    file = selfsigned.certificate(tmp_path, ["127.0.0.1"])

    async def main() -> None:
        async with live(tls_cert=file) as client:
            trusting = ssl.create_default_context(cafile=str(file))
            client.base = client.base.replace("http:", "https:")
            assert (await client.ask("GET", "/healthz", ssl=trusting)).status == 200
            assert client.server.scheme == "https"

    asyncio.run(main())
