"""`allaprima-train`, as a user types it."""

import json
import shutil
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
NARROW = "deep = 8\nfine = 4"


@pytest.fixture(scope="module")
def trained_once(write_config: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``tiny.toml`` and a training of two steps in ``run``; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    path = write_config(folder, stage="steps = 2\nsteady = 0", tail='[cards.ink]\ntitle = "Ink on paper"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("allaprima.exporters.training.tune_allocator", lambda: None)
        patch.setattr("sys.argv", ["allaprima-train", "train", str(path), "--out", str(folder / "run"), "--every", "1"])
        with pytest.raises(SystemExit, match=r"^0$"):
            cli.main()
    return folder


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """Its checkpoint, in the folder of the test."""
    shutil.copytree(trained_once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "run/last.pt"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Small built-in scenes, and of precisions only f32; gives what pictures were asked for."""
    from allaprima.exporters import data

    asked: list[Any] = []
    scenes = data.scene_pictures
    monkeypatch.setattr(data, "scene_pictures", lambda *how: asked.append(how) or scenes(64, 1))
    monkeypatch.setattr("allaprima.realtime.backends.cpu.best_precision", lambda: "f32")
    return asked


@pytest.fixture(scope="module")
def narrow(write_narrow_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of few channels with the styles ``ink`` and ``oil``; not to be changed."""
    path: Path = write_narrow_bundle(tmp_path_factory.mktemp("narrow") / "narrow", ["ink", "oil"], seed=5)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def logged(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


# ---- train ----


def test_train_leaves_a_checkpoint_contact_sheets_and_curves(trained: Path) -> None:
    sheets = ["sheet_000001.png", "sheet_000002.png"]
    assert names(trained.parent) == ["curves.png", "last.pt", "log.jsonl", *sheets]
    sheet = cv2.imread(str(trained.with_name("sheet_000002.png")))
    assert sheet.shape == (4 * 72, 3 * 72, 3), "the photos, the auto-encoder and two styles"
    assert cv2.imread(str(trained.with_name("curves.png"))).shape == (800, 1200, 3)


def test_every_step_is_logged_with_its_terms(trained: Path) -> None:
    entries = logged(trained.parent)
    assert [entry["step"] for entry in entries] == [0, 1]
    for entry in entries:
        assert entry.keys() == {"step", "content", "style", "variation", "range"}


def test_a_training_that_is_there_is_only_gone_on_with_when_asked(type_: Type, trained: Path, tmp_path: Path) -> None:
    before = trained.read_bytes()
    code, _, err = type_("train", tmp_path / "tiny.toml", "--out", trained.parent)
    assert code == 2
    assert "error: " in err
    assert "hint: add --resume" in err
    assert (trained.read_bytes(), len(logged(trained.parent))) == (before, 2)
    code, out, _ = type_("train", tmp_path / "tiny.toml", "--out", trained.parent, "--resume")
    assert (code, out.splitlines()[-1]) == (0, str(trained))
    assert len(logged(trained.parent)) == 2


def test_a_training_cannot_both_go_on_and_start_anew(type_: Type, trained: Path, narrow: Path, tmp_path: Path) -> None:
    code, _, err = type_("train", tmp_path / "tiny.toml", "--out", trained.parent, "--resume", "--start", narrow)
    assert code == 2
    assert "give one of them" in err


def test_a_resumed_training_goes_on_with_the_log(type_: Type, trained: Path, tmp_path: Path) -> None:
    with trained.with_name("log.jsonl").open("a") as log:
        log.write('{"step": 2, "identity": 7.0}\n{"step": 3, "con')  # of a run that was killed before it could save
    longer = tmp_path / "tiny.toml"
    longer.write_text(longer.read_text().replace("steps = 2", "steps = 4"))
    assert type_("train", longer, "--out", trained.parent, "--resume")[0] == 0
    entries = logged(trained.parent)
    assert [entry["step"] for entry in entries] == [0, 1, 2, 3]
    assert entries[2].keys() == {"step", "identity"}
    assert entries[2]["identity"] != 7
    assert entries[3].keys() == entries[0].keys(), "a step's own terms, not those that the bar shows"
    assert "sheet_000004.png" in names(trained.parent), "the end is drawn, whatever --every says"


def test_an_interrupted_training_is_saved_and_logged(
    type_: Type, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from allaprima.exporters.training import Trainer, load_checkpoint

    def step(self: Any) -> dict[str, float]:
        if self.done == 1:
            raise KeyboardInterrupt
        return plain(self)

    plain = Trainer.step
    monkeypatch.setattr(Trainer, "step", step)
    code, _, err = type_("train", config(NARROW), "--out", tmp_path / "run")
    assert (code, "Traceback" in err) == (130, False)
    assert load_checkpoint(tmp_path / "run/last.pt")["done"] == len(logged(tmp_path / "run")) == 1


def start(type_: Type, config: Any, bundle: Path, out: Path, **more: Any) -> tuple[int, str]:
    """A training of one step that changes nothing, of the styles ``ink`` and ``wax``."""
    stage = "learning_rate = 0.0\nsteps = 1\nsteady = 0"
    code, _, err = type_("train", config(more.get("head", NARROW), stage=stage), "--out", out, "--start", bundle)
    return code, err


def test_a_training_can_start_from_the_nets_and_the_styles_of_a_bundle(
    type_: Type, config: Any, narrow: Path, tmp_path: Path
) -> None:
    import torch

    from allaprima.exporters.export import load_bundle
    from allaprima.exporters.recipe import TrainConfig
    from allaprima.exporters.training import load_checkpoint, new_network

    assert start(type_, config, narrow, tmp_path / "run") == (0, "")
    found: Any = load_checkpoint(tmp_path / "run/last.pt")["generator"]
    given = load_bundle(narrow).state_dict()
    fresh = new_network(TrainConfig.read(config(NARROW))).state_dict()
    assert found.keys() == fresh.keys(), "not the styles that are only in the bundle"
    for name, value in found.items():
        wanted = (fresh if name.startswith("bank.wax") else given)[name]
        torch.testing.assert_close(value, wanted, atol=1e-6, rtol=0, msg=name)
    assert not torch.equal(given["bank.ink.deep1"], fresh["bank.ink.deep1"])


@pytest.mark.parametrize("head", ["deep = 16\nfine = 4", "deep = 8\nfine = 8"])
def test_a_bundle_of_another_width_is_no_start(
    type_: Type, config: Any, narrow: Path, tmp_path: Path, head: str
) -> None:
    code, err = start(type_, config, narrow, tmp_path / "run", head=head)
    assert code == 2
    assert "other widths than the config's" in err
    assert not list(tmp_path.rglob("last.pt"))


def test_what_is_no_bundle_is_no_start(type_: Type, config: Any, tiny_bundle: Path, tmp_path: Path) -> None:
    code, err = start(type_, config, tmp_path / "nowhere", tmp_path / "run")
    assert (code, "no bundle at" in err) == (5, True)
    code, err = start(type_, config, tiny_bundle, tmp_path / "run")
    assert (code, "not those that this program trains" in err) == (5, True)


# ---- sheet, export, verify ----


def test_sheet_paints_pictures_in_every_style(type_: Type, trained: Path, photos: Path, tmp_path: Path) -> None:
    code, out, _ = type_("sheet", trained, photos / "b_1.png", "--out", tmp_path / "sheet.png")
    assert (code, out.strip()) == (0, str(tmp_path / "sheet.png"))
    assert cv2.imread(out.strip()).shape == (4 * 384, 384, 3)


def test_export_writes_a_bundle_with_cards_and_previews_and_compares_it(
    type_: Type, trained: Path, tmp_path: Path, quick: list[Any]
) -> None:
    code, out, _ = type_("export", trained, tmp_path / "mine", "--config", tmp_path / "tiny.toml", "--version", "9")
    assert code == 0
    *rows, last = out.splitlines()
    assert last == str(tmp_path / "mine")
    assert [row.split()[0] for row in rows] == ["style", *["ink"] * 3, *["wax"] * 3]
    assert all(row.endswith("ok") for row in rows[1:])
    bundle = Bundle(tmp_path / "mine")
    assert (bundle.manifest.name, bundle.manifest.version, bundle.manifest.default_style) == ("mine", "9", "ink")
    assert bundle.manifest.training["steps"] == 2
    ink, wax = bundle.styles()
    assert (ink.card.title, wax.card.title) == ("Ink on paper", "")
    for style in (ink, wax):
        assert cv2.imread(str(style.preview)).shape == (64, 112, 3)
    assert quick == [(270, 1), (360, 1)], "a preview, and a picture to compare"


def test_previews_can_be_of_a_picture_of_the_users(
    type_: Type, trained: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_verify", lambda *_: None)
    options = ("--config", tmp_path / "tiny.toml", "--preview", photos / "b_1.png")
    assert type_("export", trained, tmp_path / "mine", *options)[0] == 0
    assert cv2.imread(str(tmp_path / "mine/styles/wax.jpg")).shape == (264, 264, 3)


def test_an_export_that_paints_otherwise_than_the_checkpoint_fails(
    type_: Type, trained: Path, tmp_path: Path, quick: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle is compared with what it was made of, not with itself."""
    from allaprima.exporters import export

    def wrong(network: Any, cards: Any, folder: Path, **more: Any) -> None:
        network.bank["wax"]["fine1_bias"].data += 0.25
        right(network, cards, folder, **more)
        network.bank["wax"]["fine1_bias"].data -= 0.25

    right = export.export_bundle
    monkeypatch.setattr(export, "export_bundle", wrong)
    code, out, err = type_("export", trained, tmp_path / "mine", "--config", tmp_path / "tiny.toml")
    assert code == 5
    assert [row.split()[-1] for row in out.splitlines() if "engine" not in row] == ["limit", "ok", "FAILED"]
    assert "does not paint what torch paints: wax" in err


def test_verify_shows_a_table_and_is_content_with_a_right_bundle(
    type_: Type, narrow: Path, photos: Path, quick: list[Any]
) -> None:
    code, out, _ = type_("verify", narrow)
    assert code == 0
    runtimes = ("openvino f32", "engine BT.601 f32", "engine BT.709 f32")
    expected = [[style, *runtime.split()] for style in ("ink", "oil") for runtime in runtimes]
    assert [row.split()[: len(words)] for row, words in zip(out.splitlines()[1:], expected, strict=True)] == expected
    assert quick == [(360, 1)]
    code, other, _ = type_("verify", narrow, photos / "b_1.png", photos / "a_1.png")
    assert (code, quick) == (0, [(360, 1)])
    assert other != out


def test_verify_fails_where_this_machine_paints_visibly_otherwise(
    type_: Type, narrow: Path, quick: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from allaprima.exporters import verify

    row = verify.Row("ink", "openvino", "bf16", 99.0, 9.0, 20.0, "PSNR >= 40 dB", False)
    monkeypatch.setattr(verify, "verify", lambda *_, **__: [row])
    code, out, err = type_("verify", narrow)
    assert code == 6
    assert "FAILED" in out
    assert "this machine paints visibly otherwise" in err


# ---- mistakes ----


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "no.toml"), "no.toml cannot be read"),
        (("sheet", "no.pt", "p.png"), "checkpoint no.pt cannot be read"),
        (("export", "no.pt", "bundle", "--config", "{config}"), "checkpoint no.pt cannot be read"),
        (("train", "{config}", "--resume", "--out", "{tmp}"), "last.pt cannot be read"),
        (("train", "{config}", "--device", "warp", "--out", "{tmp}/run"), "cannot train on warp"),
        (("verify", "{tmp}", "no.png"), "no.png is not a picture that can be read"),
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


def test_what_is_no_bundle_cannot_be_verified(type_: Type, tmp_path: Path, quick: list[Any]) -> None:
    code, _, err = type_("verify", tmp_path)
    assert (code, "no bundle at" in err) == (5, True)


@pytest.mark.parametrize("kind", ["narrow", "paper"])
def test_a_checkpoint_of_any_width_and_of_the_papers_network_can_be_looked_at(
    type_: Type, photos: Path, tmp_path: Path, kind: str
) -> None:
    import torch

    from allaprima.exporters.networks import Generator, PaperStyleBank

    network = Generator(["ink"], deep=8, fine=4) if kind == "narrow" else PaperStyleBank(["ink"], width=4)
    checkpoint = tmp_path / "other.pt"
    torch.save({"generator": network.state_dict(), "optimizer": {}, "done": 0}, checkpoint)
    code, out, _ = type_("sheet", checkpoint, photos / "b_1.png", "--out", tmp_path / "sheet.png")
    assert (code, out.strip()) == (0, str(tmp_path / "sheet.png"))


def test_a_checkpoint_of_another_network_is_refused(type_: Type, trained: Path, photos: Path) -> None:
    import torch

    state = torch.load(trained, weights_only=True)
    state["generator"].pop("encoder.head.weight")
    torch.save(state, trained)
    code, _, err = type_("sheet", trained, photos / "b_1.png")
    assert code == 2
    assert "holds another network" in err


@pytest.mark.parametrize("module", ["torch", "onnx.numpy_helper", "PIL", "matplotlib.figure"])
def test_without_a_package_the_command_says_what_to_install(
    type_: Type, monkeypatch: pytest.MonkeyPatch, config: Any, module: str
) -> None:
    def gone(*_: object) -> None:
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)

    monkeypatch.setattr(cli, "app", gone)
    code, _, err = type_("train", config())
    assert code == 1
    assert f"{module.partition('.')[0]} is not installed" in err
    assert "pip install 'allaprima[train]'" in err


def test_ctrl_c_is_no_traceback(type_: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", stop)
    assert type_("train")[0] == 130
