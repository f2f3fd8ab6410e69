"""What a server is started with."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.live.auth import is_loopback
from allaprima.realtime.live.ice import IceServer
from allaprima.realtime.live.limits import Limits
from allaprima.realtime.pacing import FASTEST, SLOWEST


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is started with; ``port`` 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = field(default=None, repr=False)
    guest_token: str | None = field(default=None, repr=False)
    style: str | None = None
    strength: float | None = None
    steadiness: float | None = None
    transition: float = 1.0
    bundle: Path | None = None
    max_sessions: int = 8
    fps: float | None = None
    """Most frames a second of each stream; None: as many as come."""
    max_latency: float | None = None
    """Seconds after which a frame is too old to be painted; None: never."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_self_signed: bool = False
    """Make a certificate, for this machine's names and ``host``."""
    ice_servers: tuple[IceServer, ...] = ()
    udp_port: int | None = None
    host_address: str | None = None
    osc_port: int | None = None
    osc_host: str = "127.0.0.1"
    loss_network: Path | None = None
    photos: Path | None = None
    access_log: bool = False
    limits: Limits = field(default_factory=Limits)

    def check(self) -> None:
        """Raises `ConfigError` for what cannot be, or may not be."""
        if not self.token and not is_loopback(self.host):
            raise ConfigError(
                f"without a token the server listens only on this machine, not on {self.host}",
                "Give --token (or ALLAPRIMA_TOKEN): who knows it may use the server.",
            )
        for name, value in (("--token", self.token), ("--guest-token", self.guest_token)):
            if value is not None and (not value.isascii() or not value.isprintable() or " " in value or not value):
                raise ConfigError(f"{name} must be of printable ASCII characters, without spaces")
        if self.guest_token and (not self.token or self.guest_token == self.token):
            raise ConfigError("--guest-token needs a --token beside it, and another one")
        if self.fps is not None and not SLOWEST <= self.fps <= FASTEST:
            raise ConfigError(f"--fps must be between {SLOWEST} and {FASTEST}, not {self.fps:g}")
        if self.max_latency is not None and not 0 < self.max_latency < math.inf:
            raise ConfigError(f"--max-latency must be above 0, not {self.max_latency:g}", "Seconds, for example 0.2.")
        if self.tls_self_signed and self.tls_cert:
            raise ConfigError("--tls-self-signed makes a certificate, --tls-cert names one", "Give one of them.")
        if self.tls_key and not self.tls_cert:
            raise ConfigError("--tls-key needs --tls-cert", "Give both, or a certificate with its key in one file.")
