"""Everything a training needs, generated and tiny: photos, an artwork, a loss network, a config."""

import importlib
import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from safetensors.numpy import save_file

WIDTHS = {"1": 4, "2": 6, "3": 8, "4": 8}
"""Channels of the loss network by its blocks."""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """On a busy machine threads of tiny operations wait for each other most of the time."""
    if importlib.util.find_spec("torch"):
        importlib.import_module("torch").set_num_threads(1)


@pytest.fixture(scope="session")
def loss_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a loss network with random weights, of VGG-19's layout but a few channels wide."""
    folder = tmp_path_factory.mktemp("loss")

    def write(name: str, *, pre: bool = False, last: str = "4_1", without: str = "") -> Path:
        rng = np.random.default_rng(0)
        layers = [n for n in ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "3_4", "4_1") if n <= last]
        tensors, before = {}, 3
        if pre:
            tensors = {"pre.weight": np.eye(3, dtype=np.float32)[..., None, None], "pre.bias": np.zeros(3, np.float32)}
        for layer in layers:
            width = WIDTHS[layer[0]]
            kernel = rng.normal(0, (2 / (9 * before)) ** 0.5, (width, before, 3, 3))
            tensors |= {
                f"conv{layer}.weight": kernel.astype(np.float32),
                f"conv{layer}.bias": np.zeros(width, np.float32),
            }
            before = width
        tensors.pop(without, None)
        save_file(tensors, folder / name)
        return folder / name

    return write


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four pictures and a text file; names begin with ``a_`` or ``b_``."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, size in (("a_1.png", (90, 70)), ("a_2.jpg", (70, 120)), ("b_1.png", (80, 80)), ("b_2.PNG", (64, 64))):
        noise = cv2.GaussianBlur(rng.normal(0, 1, (*size[::-1], 3)), None, 4)
        cv2.imwrite(str(folder / name), cv2.normalize(noise, None, 10, 245, cv2.NORM_MINMAX).astype(np.uint8))
    (folder / "a_note.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="session")
def write_config(photos: Path, loss_file: Any) -> Callable[..., Path]:
    """Writes a training config; ``head`` stands before the tables, ``stage`` in the first, ``tail`` at the end."""

    def write(
        folder: Path,
        head: str = "",
        *,
        stage: str = "steps = 4",
        styles: dict[str, Path] | None = None,
        tail: str = "",
        batch: str = "batch = 2",
        crop: int = 64,
    ) -> Path:
        artworks = styles or {"ink": photos / "b_1.png", "wax": photos / "a_2.jpg"}
        lines = [f'photos = "{photos}"', "photo_side = 72", "artwork_side = 64", f"crop = {crop}", batch, head]
        lines += ["[[stages]]", f'loss_network = "{loss_file("loss.safetensors")}"', stage]
        lines += ["[styles]", *(f'{name} = "{path}"' for name, path in artworks.items()), tail]
        (folder / "tiny.toml").write_text("\n".join(lines))
        return folder / "tiny.toml"

    return write


@pytest.fixture
def config(write_config: Any, tmp_path: Path) -> Callable[..., Path]:
    """The same, into the folder of the test."""
    return partial(write_config, tmp_path)


@pytest.fixture
def type_(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Types a command line of `allaprima-train`; gives exit code, output and errors."""
    from allaprima.exporters import cli

    # For the rest of the process it would keep every byte that was ever taken.
    monkeypatch.setattr("allaprima.exporters.training.tune_allocator", lambda: None)

    def run(*words: Any) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["allaprima-train", *map(str, words)])
        try:
            cli.main()
            code: Any = 0
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return int(code or 0), out, err

    return run


@pytest.fixture(scope="session")
def write_narrow_bundle() -> Callable[..., Path]:
    """Writes a bundle of few channels, as after a training: the exporter joins tensors that are equal."""

    def write(path: Path, styles: list[str], seed: int) -> Path:
        import torch

        from allaprima.exporters.export import export_bundle
        from allaprima.exporters.networks import Generator
        from allaprima.realtime.bundle import StyleCard

        torch.manual_seed(seed)
        generator = Generator(styles, deep=8, fine=4)
        with torch.no_grad():
            for value in generator.parameters():
                value.add_(torch.randn_like(value) * 0.1)
        cards = {name: StyleCard(name=name) for name in styles}
        export_bundle(generator, cards, path, name=path.name, version="1", default_style=styles[0], training={})
        return path

    return write
