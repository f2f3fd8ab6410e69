"""The styles of a bundle as files: list, add, remove, verify.  A damaged file is reported, never fatal."""

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allaprima.realtime.bundle import NETS, Bundle, StyleCard, file_hash, read_card
from allaprima.realtime.errors import (
    BackendError,
    BundleError,
    ConfigError,
    OutputExists,
    SinkError,
    UnknownStyle,
)
from allaprima.realtime.stylebank import closest

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""What can be written in a mix and in a cue."""
RESERVED = ("none",)


@dataclass(frozen=True, slots=True)
class Shelved:
    """A style file, readable or not."""

    name: str
    path: Path
    shipped: bool
    card: StyleCard | None
    problem: str = ""

    @property
    def preview(self) -> Path | None:
        picture = self.path.with_suffix(".jpg")
        return picture if picture.exists() else None

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def as_json(self) -> dict[str, Any]:
        card = self.card.model_dump() if self.card else {"name": self.name}
        return card | {
            "path": str(self.path),
            "bytes": self.bytes,
            "preview": str(self.preview) if self.preview else None,
            "shipped": self.shipped,
            "problem": self.problem or None,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one file of a bundle fared."""

    what: str
    path: Path
    problem: str = ""


def open_bundle(path: Path | None) -> Bundle:
    """The bundle, without looking at its nets."""
    from allaprima.realtime.bundle import shipped_bundle

    return Bundle(path or shipped_bundle(), verify=False)


def shelved(bundle: Bundle) -> list[Shelved]:
    """All styles; of one that cannot be read, the reason."""
    return [_shelve(bundle, name, path) for name, path in bundle.style_files().items()]


def _shelve(bundle: Bundle, name: str, path: Path) -> Shelved:
    shipped = path.parent == bundle.path / "styles"
    try:
        return Shelved(name, path, shipped, read_card(path))
    except BundleError as error:
        return Shelved(name, path, shipped, None, str(error))


def find(bundle: Bundle, name: str) -> Shelved:
    files = bundle.style_files()
    if name not in files:
        raise UnknownStyle(f"no style called {name!r}", closest(name, list(files)))
    return _shelve(bundle, name, files[name])


def check_name(name: str) -> None:
    """Raises `ConfigError` for what cannot be the name of a style."""
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ConfigError(f"{name!r} cannot be the name of a style", "Give another with --name: letters, digits, . _ -")


def add(bundle: Bundle, file: Path, name: str | None = None, overwrite: bool = False) -> Shelved:
    """Copy a style and its preview to the user's styles, in one step."""
    if not file.is_file():
        raise BundleError(f"there is no file {file}", "Give a .safetensors file that allaprima-train made.")
    name = file.stem if name is None else name
    check_name(name)
    bundle.load_style(file)
    if name in bundle.style_files() and not overwrite:
        raise OutputExists(f"there is already a style called {name!r}", "Give --overwrite, or another --name.")
    target = bundle.user_styles / f"{name}.safetensors"
    if target.exists() and target.samefile(file):
        raise ConfigError(f"{file} is that style already", "There is nothing to add.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.with_suffix(".jpg").is_file():
            _copy(file.with_suffix(".jpg"), target.with_suffix(".jpg"))
        _copy(file, target)
    except OSError as error:
        raise SinkError(
            f"cannot write {target}: {error.strerror}", "Set ALLAPRIMA_HOME to a folder of your own."
        ) from error
    return find(bundle, name)


def _copy(file: Path, target: Path) -> None:
    """A reader sees the old file or the whole new one."""
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(file, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def remove(bundle: Bundle, name: str) -> Shelved:
    """Delete a style that was added; a shipped one of the same name shows again."""
    style = find(bundle, name)
    if style.shipped:
        raise ConfigError(f"{name!r} comes with the bundle and cannot be removed", "Only styles that were added can.")
    try:
        style.path.unlink()
        with contextlib.suppress(FileNotFoundError):
            style.path.with_suffix(".jpg").unlink()
    except OSError as error:
        raise SinkError(f"cannot remove {style.path}: {error.strerror}") from error
    return style


def verify(bundle: Bundle) -> list[Verdict]:
    """Look at every net and style: hashes, shapes, finite numbers."""
    return [
        *(_verify_net(bundle, net) for net in NETS),
        *(_verify_style(bundle, name, path) for name, path in bundle.style_files().items()),
    ]


def _verify_style(bundle: Bundle, name: str, path: Path) -> Verdict:
    try:
        bundle.load_style(path)
    except BundleError as error:
        return Verdict(name, path, str(error))
    return Verdict(name, path)


def _verify_net(bundle: Bundle, net: str) -> Verdict:
    path = bundle.path / f"{net}.onnx"
    if not path.is_file():
        return Verdict(net, path, "it is missing")
    if file_hash(path) != bundle.manifest.sha256.get(net):
        return Verdict(net, path, "it is damaged: its hash differs from the manifest's")
    try:
        return Verdict(net, path, _net_problem(bundle, net, path))
    except BackendError as error:
        return Verdict(net, path, str(error))


def _net_problem(bundle: Bundle, net: str, path: Path) -> str:
    """What is wrong inside a net that is the one the manifest names."""
    import openvino

    try:
        model = openvino.Core().read_model(path)
    except (RuntimeError, UnicodeDecodeError) as error:  # the latter: OpenVINO quotes what it read
        return f"it cannot be read: {str(error).splitlines()[0]}"
    for op in model.get_ops():
        if op.get_type_name() == "Constant" and not np.isfinite(np.asarray(op.get_data(), np.float64)).all():
            return f"it holds numbers that are not finite ({op.get_friendly_name()})"
    return _filter_problem(bundle, model) if net == "bank" else ""


def _filter_problem(bundle: Bundle, model: Any) -> str:
    """The filters that the bank takes must be those that the manifest promises."""
    inputs = {port.get_any_name(): port.get_partial_shape() for port in model.inputs}
    for name, shape in bundle.manifest.filters.items():
        if name not in inputs:
            return f"it takes no filter {name}"
        if not inputs[name].compatible(type(inputs[name])(shape)):
            return f"its filter {name} is {inputs[name]}, the manifest says {shape}"
    return ""
