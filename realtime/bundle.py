"""A model bundle on disk: three ONNX nets, a manifest, and one safetensors file for each style.

    NAME/
      manifest.json          who made it, what it was trained on, hashes of the nets
      encoder.onnx           packed picture (1, 24, h/4, w/4) -> feature maps, e.g. deep (1, 48, h/4, w/4) and fine
      bank.onnx              feature maps, the filters of one style, strength -> feature maps
      decoder.onnx           feature maps -> packed picture
      styles/STYLE.safetensors   the filters (fp16) and, as metadata, the style's card
      styles/STYLE.jpg           preview

Never a pickle: nothing in a bundle can run code.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_data_dir
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from allaprima.realtime.errors import BundleError

FORMAT = 1
"""Version of the bundle format; a bundle of another version is refused."""
NETS = ("encoder", "bank", "decoder")

Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Filters = Mapping[str, NDArray[np.float32]]


class StyleCard(BaseModel):
    """What a style file says of itself."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    title: str = ""
    artist: str = ""
    year: str = ""
    licence: str = ""
    strength: Unit = 1.0
    steadiness: Unit | None = None
    generator: str = ""
    """Hash of the encoder and decoder it was trained with; it fits no other."""
    sha256: str = ""
    """Hash of the filters themselves."""


class Manifest(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int
    name: Annotated[str, Field(pattern=r"^[^/\\\x00]{1,60}$")]
    """Part of the name of a folder: `Bundle.user_styles`."""
    version: str
    licence: str
    default_style: str
    filters: dict[str, list[int]]
    """Name and shape of every filter tensor of a style."""
    sha256: dict[str, str]
    training: dict[str, str | int | float] = {}


@dataclass(frozen=True, slots=True)
class StyleFile:
    card: StyleCard
    path: Path
    shipped: bool

    @property
    def preview(self) -> Path | None:
        picture = self.path.with_suffix(".jpg")
        return picture if picture.exists() else None


class Bundle:
    """An opened bundle.  Raises `BundleError` for what is missing, damaged or of another version."""

    def __init__(self, path: Path, verify: bool = True) -> None:
        self.path = path
        try:
            text = (path / "manifest.json").read_text(encoding="utf-8")
            version = json.loads(text).get("format")
            if version != FORMAT:
                raise BundleError(
                    f"{path} is a bundle of format {version!r}, this program reads format {FORMAT}",
                    "install the matching version of allaprima, or export the bundle again",
                )
            self.manifest = Manifest.model_validate_json(text)
        except FileNotFoundError as error:
            raise BundleError(f"no bundle at {path}: manifest.json is missing", REINSTALL) from error
        except (OSError, ValueError, AttributeError, RecursionError, ValidationError) as error:
            raise BundleError(f"the manifest of {path} cannot be read: {_one_line(error)}", REINSTALL) from error
        if verify:
            self._verify_nets()

    def _verify_nets(self) -> None:
        for net in NETS:
            file = self.path / f"{net}.onnx"
            if not file.is_file():
                raise BundleError(f"{file} is missing", REINSTALL)
            if file_hash(file) != self.manifest.sha256.get(net):
                raise BundleError(f"{file} is damaged: its hash differs from the manifest's", REINSTALL)

    @property
    def generator(self) -> str:
        """Names the encoder and decoder: a style fits only the pair it was trained with."""
        return self.manifest.sha256["encoder"][:16] + self.manifest.sha256["decoder"][:16]

    @property
    def user_styles(self) -> Path:
        """Folder for styles the user adds to this bundle."""
        home = Path(os.environ.get("ALLAPRIMA_HOME") or user_data_dir("allaprima"))
        return home / "styles" / f"{self.manifest.name}-{self.generator[:8]}"

    def style_files(self) -> dict[str, Path]:
        """Style names and files, shipped ones first; a user's file hides a shipped one of the same name."""
        found: dict[str, Path] = {}
        for folder in (self.path / "styles", self.user_styles):
            if folder.is_dir():
                found |= {file.stem: file for file in sorted(folder.glob("*.safetensors"))}
        return found

    def styles(self) -> list[StyleFile]:
        """Cards of all styles.  Raises `BundleError` at the first that cannot be read."""
        shipped = self.path / "styles"
        return [StyleFile(read_card(f), f, f.parent == shipped) for f in self.style_files().values()]

    def load_style(self, file: Path) -> tuple[StyleCard, dict[str, NDArray[np.float32]]]:
        """Card and filters (float32) of a style file, checked against its hash and this bundle."""
        card = read_card(file)
        filters = read_filters(file)
        if card.sha256 != filters_hash(filters):
            raise BundleError(
                f"{file.name} is damaged: its hash differs from the one it names", "train or copy it again"
            )
        if card.generator != self.generator:
            raise BundleError(
                f"{file.name} was trained for another generator",
                f"this bundle is {self.manifest.name} {self.manifest.version}",
            )
        shapes = {name: list(array.shape) for name, array in filters.items()}
        if shapes != self.manifest.filters:
            raise BundleError(f"{file.name} has filters of other shapes than this bundle's", "train it again")
        for name, array in filters.items():
            if not np.isfinite(array).all():
                raise BundleError(f"{file.name} is damaged: {name} holds numbers that are not finite", "train it again")
        return card, {name: np.asarray(array, np.float32) for name, array in filters.items()}


REINSTALL = "reinstall allaprima, or point --bundle at an intact bundle"


def shipped_bundle() -> Path:
    """The bundle that comes with the package."""
    return Path(__file__).parent / "models" / "studio"


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def filters_hash(filters: Mapping[str, NDArray[np.float16]]) -> str:
    """SHA-256 over names, types, shapes and values, in order of the names."""
    digest = hashlib.sha256()
    for name in sorted(filters):
        array = np.ascontiguousarray(filters[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def read_card(file: Path) -> StyleCard:
    """The card in a style file's metadata; cheap, the filters are not read."""
    try:
        with safe_open(file, "numpy") as style:
            card = (style.metadata() or {}).get("card", "")
        return StyleCard.model_validate_json(card).model_copy(update={"name": file.stem})
    except (OSError, SafetensorError, ValidationError) as error:
        raise BundleError(
            f"{file.name} is not a readable style: {_one_line(error)}", "train or copy it again"
        ) from error


def read_filters(file: Path) -> dict[str, NDArray[np.float16]]:
    try:
        with safe_open(file, "numpy") as style:
            return {name: style.get_tensor(name) for name in style.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError, TypeError, AttributeError) as error:  # the last two: a type NumPy lacks
        raise BundleError(
            f"{file.name} is not a readable style: {_one_line(error)}", "train or copy it again"
        ) from error


def write_style(file: Path, card: StyleCard, filters: Mapping[str, NDArray[np.float16]]) -> None:
    """Write a style file in one step: a reader sees the old file or the whole new one."""
    full = card.model_copy(update={"sha256": filters_hash(filters)})
    part = file.with_suffix(".part")
    whole = {name: np.ascontiguousarray(array) for name, array in filters.items()}  # a view's gaps would go along
    try:
        save_file(whole, part, metadata={"card": full.model_dump_json()})
        part.chmod(0o644)  # safetensors makes it private
        os.replace(part, file)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
