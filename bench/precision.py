"""The precision of the nets, chosen from outside: the CPU paints in the best it has, and has no setting for it.

    python -m allaprima.bench.precision f32 run IN OUT

is the real command with its nets in f32.
"""

import sys

from allaprima.realtime.errors import ConfigError

CARD = "fp16"
"""The only one on a card."""


def offered(backend: str) -> tuple[str, ...]:
    """What ``backend`` ("cpu", "cuda") can paint in, the one it takes by itself first."""
    if backend != "cpu":
        return (CARD,)
    from allaprima.realtime.backends import cpu  # OpenVINO need not be there where a card paints

    best = cpu.best_precision()
    return (best,) if best == "f32" else (best, "f32")


def chosen(backend: str, wanted: str | None) -> str:
    """``wanted``, or what the backend takes by itself.  Raises `ConfigError` for what it does not offer."""
    choices = offered(backend)
    if wanted is not None and wanted not in choices:
        raise ConfigError(f"the {backend} backend cannot paint in {wanted!r} here", f"It offers {', '.join(choices)}.")
    return wanted or choices[0]


def use(precision: str) -> None:
    """From now on this process paints on the CPU in ``precision``."""
    if precision != CARD:
        from allaprima.realtime.backends import cpu

        cpu.best_precision = lambda: precision


def main() -> int:
    from allaprima.realtime import cli

    use(sys.argv[1])
    return cli.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
