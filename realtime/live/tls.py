"""Encryption of pages and control: a certificate that is given, or one made here."""

import contextlib
import os
import socket
import ssl
from pathlib import Path

from platformdirs import user_data_dir

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.live import selfsigned
from allaprima.realtime.live.settings import Settings

EVERYWHERE = ("0.0.0.0", "::", "")
"""Hosts that mean every address of this machine."""


def context(settings: Settings) -> ssl.SSLContext | None:
    """What the server encrypts with, None for plain HTTP.  Raises `ConfigError` for a certificate that is none."""
    if settings.tls_self_signed:
        home = Path(os.environ.get("ALLAPRIMA_HOME") or user_data_dir("allaprima"))
        names = ["localhost", "127.0.0.1", address_of(settings.host)]
        certificate, key = selfsigned.certificate(home / "tls", names), None
    elif settings.tls_cert is not None:
        certificate, key = settings.tls_cert, settings.tls_key
    else:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        made.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
        hint = "PEM files: --tls-cert with the chain, --tls-key with the key, which has no password."
        raise ConfigError(f"the certificate cannot be used: {why}", hint) from error
    return made


def address_of(host: str) -> str:
    """The address under which other machines find this one."""
    if host not in EVERYWHERE:
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # reserved for documentation; nothing is sent
        return str(probe.getsockname()[0])
    return socket.gethostname()


def _no_password() -> str:
    raise ssl.SSLError("the key has a password")
