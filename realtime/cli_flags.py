"""Flags that are settings: `Config` says what they mean."""

from typing import Any

import typer

from allaprima.realtime.config import KEYS, Config


def flag(field: str, metavar: str | None = None, short: str | None = None) -> Any:
    """The flag of a setting; its help is the setting's description."""
    setting, key = Config.model_fields[field], KEYS[field]
    long = f"--{key}/--no-{key}" if setting.annotation is bool else f"--{key}"
    names = [name for name in (short, long) if name]
    return typer.Option(*names, metavar=metavar, help=setting.description, show_default=False)
