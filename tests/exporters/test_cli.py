"""`allaprima-train`, as a user types it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")
pytest.importorskip("onnx", reason="export needs onnx: pip install 'allaprima[train]'")

from allaprima.exporters import cli
from allaprima.realtime.bundle import Bundle

Type = Callable[..., tuple[int, str, str]]


@pytest.fixture
def type_(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Types a command line; gives exit code, output and errors."""

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


@pytest.fixture
def trained(type_: Type, config: Any, tmp_path: Path) -> Path:
    path = config(stage="steps = 2\nsteady = 0", tail='[cards.ink]\ntitle = "Ink on paper"\nartist = "Nobody"')
    assert type_("train", path, "--out", tmp_path / "run", "--every", 1)[0] == 0
    return tmp_path / "run" / "last.pt"


def test_train_leaves_a_checkpoint_and_contact_sheets(trained: Path) -> None:
    assert sorted(p.name for p in trained.parent.iterdir()) == ["last.pt", "sheet_000001.png", "sheet_000002.png"]
    sheet = cv2.imread(str(trained.with_name("sheet_000002.png")))
    assert sheet.shape == (4 * 72, 3 * 72, 3), "the photos, the auto-encoder and two styles"


def test_a_training_that_is_there_is_only_gone_on_with_when_asked(type_: Type, trained: Path, tmp_path: Path) -> None:
    before = trained.read_bytes()
    code, _, err = type_("train", tmp_path / "tiny.toml", "--out", trained.parent)
    assert code == 2
    assert "error: " in err
    assert "hint: add --resume" in err
    assert trained.read_bytes() == before
    code, out, _ = type_("train", tmp_path / "tiny.toml", "--out", trained.parent, "--resume")
    assert (code, out.splitlines()[-1]) == (0, str(trained))


def test_sheet_paints_pictures_in_every_style(type_: Type, trained: Path, photos: Path, tmp_path: Path) -> None:
    code, out, _ = type_("sheet", trained, photos / "b_1.png", "--out", tmp_path / "sheet.png")
    assert (code, out.strip()) == (0, str(tmp_path / "sheet.png"))
    assert cv2.imread(out.strip()).shape == (4 * 384, 384, 3)


def test_export_writes_a_bundle_with_cards_and_previews(
    type_: Type, trained: Path, photos: Path, tmp_path: Path
) -> None:
    options = ("--config", tmp_path / "tiny.toml", "--version", "9", "--preview", photos / "b_1.png")
    code, out, _ = type_("export", trained, tmp_path / "mine", *options)
    assert (code, out.strip()) == (0, str(tmp_path / "mine"))
    bundle = Bundle(tmp_path / "mine")
    assert (bundle.manifest.name, bundle.manifest.version, bundle.manifest.default_style) == ("mine", "9", "ink")
    assert bundle.manifest.training["steps"] == 2
    ink, wax = bundle.styles()
    assert (ink.card.title, ink.card.artist, wax.card.title) == ("Ink on paper", "Nobody", "")
    assert ink.preview is not None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "no.toml"), "no.toml cannot be read"),
        (("sheet", "no.pt", "p.png"), "checkpoint no.pt cannot be read"),
        (("export", "no.pt", "bundle", "--config", "{config}"), "checkpoint no.pt cannot be read"),
        (("train", "{config}", "--resume", "--out", "{tmp}"), "last.pt cannot be read"),
    ],
)
def test_a_mistake_is_two_lines_and_an_exit_code(
    type_: Type, config: Any, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    path = config()
    code, _, err = type_(*(word.format(config=path, tmp=tmp_path) for word in words))
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) <= 2
    assert "Traceback" not in err


def test_a_checkpoint_of_another_network_is_refused(type_: Type, trained: Path, photos: Path) -> None:
    import torch

    state = torch.load(trained, weights_only=True)
    state["generator"].pop("encoder.head.weight")
    torch.save(state, trained)
    code, _, err = type_("sheet", trained, photos / "b_1.png")
    assert code == 2
    assert "holds another network" in err


def test_without_torch_the_command_says_what_to_install(
    type_: Type, monkeypatch: pytest.MonkeyPatch, config: Any
) -> None:
    def gone(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(cli, "app", gone)
    code, _, err = type_("train", config())
    assert code == 1
    assert "pip install 'allaprima[train]'" in err


def test_ctrl_c_is_no_traceback(type_: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", stop)
    assert type_("train")[0] == 130
