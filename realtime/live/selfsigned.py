"""A certificate of our own, for phones in the same network: browsers give a camera only to https pages.

Nobody vouches for it, so a browser warns once; who has a certificate gives that instead.
"""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from allaprima.realtime.errors import SinkError

DAYS = 365
"""Browsers take no certificate that is valid for much longer."""


def certificate(folder: Path, names: Sequence[str]) -> Path:
    """A PEM file with a certificate for the names and its key: the one in the folder while it fits, or a new one.

    Raises `SinkError` when the folder cannot be written.
    """
    file = folder / "selfsigned.pem"
    try:
        if not (file.is_file() and _fits(file.read_bytes(), names)):
            folder.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(f".{os.getpid()}.part")
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                out.write(_make(names))
            os.replace(part, file)
    except OSError as error:
        raise SinkError(
            f"cannot keep a certificate in {folder}: {error.strerror}", "Set ALLAPRIMA_HOME to a folder of your own."
        ) from error
    return file


def _make(names: Sequence[str]) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Alla Prima")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(pem)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _fits(pem: bytes, names: Sequence[str]) -> bool:
    """Whether it is for these names and good for another day."""
    try:
        found = x509.load_pem_x509_certificate(pem)
        known = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left > datetime.timedelta(days=1) and set(known) >= {_general(name) for name in names}
