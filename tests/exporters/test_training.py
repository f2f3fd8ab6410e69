"""Whole trainings of a few steps on a few pixels."""

import random
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")

from allaprima.exporters import training  # noqa: E402
from allaprima.exporters.recipe import TrainConfig  # noqa: E402
from allaprima.exporters.training import Trainer  # noqa: E402
from allaprima.realtime.errors import ConfigError  # noqa: E402


@pytest.fixture
def trainer(config: Any) -> Any:
    return lambda *args, **more: Trainer(TrainConfig.read(config(*args, **more)))


def weights(trainer: Trainer) -> dict[str, Any]:
    return {name: value.clone() for name, value in trainer.generator.state_dict().items()}


@pytest.mark.parametrize("crop", [60, 56, 80])
def test_a_crop_must_fit_the_strides_and_the_photos(config: Any, crop: int) -> None:
    with pytest.raises(ConfigError, match="multiple of 8"):
        Trainer(TrainConfig.read(config(crop=crop)))


# ---- the schedule ----


def test_the_seed_decides_what_a_training_starts_from(trainer: Any) -> None:
    one, same, other = (trainer(f"seed = {seed}").generator for seed in (7, 7, 8))
    for name, value in one.state_dict().items():
        assert torch.equal(value, same.state_dict()[name])
    assert not torch.equal(one.encoder.head.weight, other.encoder.head.weight)


def test_every_third_step_trains_the_auto_encoder_and_leaves_the_bank_alone(trainer: Any) -> None:
    run = trainer()
    kinds, banks, nets = [], [], []
    for _ in range(4):
        before = weights(run)
        kinds.append("identity" in run.step())
        after = weights(run)
        moved = {name for name in after if not torch.equal(before[name], after[name])}
        banks.append(any(name.startswith("bank.") for name in moved))
        nets.append(any(name.startswith("encoder.") for name in moved))
    assert kinds == [False, False, True, False]
    assert banks == [True, True, False, True]
    assert all(nets)


def test_a_style_that_is_not_drawn_is_not_changed(trainer: Any, photos: Path) -> None:
    run = trainer()
    run.config = run.config.model_copy(update={"styles": {"ink": photos / "b_1.png"}})
    before = weights(run)
    run.step()
    assert all(torch.equal(v, before[k]) for k, v in weights(run).items() if k.startswith("bank.wax"))


def test_a_style_step_has_all_its_terms_and_they_are_finite(trainer: Any) -> None:
    terms = trainer().step()
    assert terms.keys() == {"content", "style", "variation", "range", "steady"}
    assert all(0 <= value < 1e4 for value in terms.values())


def test_weights_of_a_stage_stand_in_for_the_configs_own(trainer: Any) -> None:
    plain = trainer("style = 2.0").step()
    other = trainer("style = 2.0", stage="steps = 4\nstyle = 6.0\nsteady = 0").step()
    assert other["style"] == pytest.approx(3 * plain["style"], rel=1e-3)
    assert other["content"] == pytest.approx(plain["content"], rel=1e-3)
    assert "steady" not in other


def test_stages_follow_each_other(trainer: Any, loss_file: Any) -> None:
    second = f'steps = 2\n[[stages]]\nloss_network = "{loss_file("pre.safetensors", pre=True)}"\nsteps = 3'
    run = trainer(stage=second)
    assert run.total == 5
    found = []
    for run.done in range(6):
        stage, done = run.stage()
        found.append((run.config.stages.index(stage), done))
    assert found == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (1, 3)]


def test_the_rate_warms_up_and_falls_to_a_fiftieth_over_the_whole_training(trainer: Any) -> None:
    run = trainer("learning_rate = 1.0", stage="steps = 1000")

    def rate(done: int) -> float:
        run.done = done
        run._set_rate(run.config.stages[0])
        return float(run.optimizer.param_groups[0]["lr"])

    assert rate(0) == pytest.approx(1 / 50)
    assert rate(24) == pytest.approx(0.976 * 0.5)
    assert rate(500) == pytest.approx(0.5)
    assert rate(999) == pytest.approx(0.02)
    rates = {len(group["params"]): group["lr"] for group in run.optimizer.param_groups}
    assert rates[2 * len(run.generator.bank["ink"])] == pytest.approx(0.02 * training.BANK_FACTOR)
    assert rates[2] == pytest.approx(0.02 * training.LAST_FACTOR), "weight and bias of the last convolution"


def test_style_is_judged_at_both_scales_and_content_at_one(trainer: Any) -> None:
    run = trainer()
    run.step()
    _, judge = run._judge
    four = ["1_2", "2_2", "3_2", "3_4"]
    assert list(judge.artworks["ink"]) == [f"1/{n}" for n in four] + [f"2/{n}" for n in four[1:]]


def test_the_artwork_itself_has_no_style_loss_and_the_photo_no_content_loss(trainer: Any, photos: Path) -> None:
    run = trainer()
    judge = run._judge_of(run.config.stages[0])
    artwork = training.read_artwork(run.config.styles["ink"], run.config.artwork_side)[None].float() / 255
    height, width = (side // 16 * 16 for side in artwork.shape[2:])
    same = artwork[..., :height, :width]
    content, style = judge(same, same, ["ink"])
    assert (content.item(), style.item()) == (0, pytest.approx(0, abs=1e-6))
    content, style = judge(1 - same, same, ["ink"])
    assert content.item() > 0.01
    assert style.item() > 0.01


def test_emphasis_is_a_factor_of_its_own_styles_loss(trainer: Any) -> None:
    plain, heavy = (run._judge_of(run.config.stages[0]) for run in (trainer(), trainer(tail="[emphasis]\nink = 3.0")))
    rgb, photos = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    content, _ = plain(rgb, photos, ["ink", "wax"])
    ink, wax = (plain(rgb[n : n + 1], photos[n : n + 1], [name])[1] for n, name in enumerate(("ink", "wax")))
    found = heavy(rgb, photos, ["ink", "wax"])
    torch.testing.assert_close(found, (content, (3 * ink + wax) / 2), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(heavy(rgb[1:], photos[1:], ["wax"])[1], wax)


def test_dimmed_crops_are_what_is_painted_and_what_content_is_compared_with(
    trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer("dimmed = 1.0", stage="steps = 4\nsteady = 0")
    gray = torch.full((3, 64, 64), 0.25)
    monkeypatch.setattr("allaprima.exporters.data.dimmed", lambda crop, chance: gray)
    paint, judge = training.paint, training.Judge.__call__
    painted, compared = list[Any](), list[Any]()
    monkeypatch.setattr(training, "paint", lambda net, packed, how: painted.append(packed) or paint(net, packed, how))
    monkeypatch.setattr(training.Judge, "__call__", lambda *given: compared.append(given[2]) or judge(*given))
    kinds = ["identity" in run.step() for _ in range(3)]
    assert kinds == [False, False, True]
    assert (len(painted), len(compared)) == (3, 2)
    packed = training.losses.pack_rgb(gray.expand(2, 3, 64, 64))
    assert all(torch.equal(picture, packed) for picture in painted)
    assert all(photos.unique().item() == 0.25 for photos in compared)


# ---- painting as the engine does ----


def test_painting_leaves_no_trace_of_the_margin(trainer: Any) -> None:
    run = trainer()
    packed = torch.randn(1, 24, 16, 24)
    assert training.paint(run.generator, packed, ["ink"]).shape == packed.shape
    assert training.paint(run.generator, packed, ["ink"]).dtype == torch.float32


# ---- where it runs ----


def test_a_device_that_is_not_there_is_said_so() -> None:
    with pytest.raises(ConfigError, match="cannot train on warp"):
        training.pick_device("warp")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="cannot train on cuda"):
            training.pick_device("cuda")


def test_a_config_can_ask_for_the_papers_network(trainer: Any) -> None:
    run = trainer('network = "paper"\ndeep = 16')
    assert type(run.generator).__name__ == "PaperStyleBank"
    assert run.step().keys() >= {"content", "style"}


def test_training_makes_the_loss_fall(trainer: Any) -> None:
    run = trainer("every_third_identity = false\nlearning_rate = 0.02\nsteady = 0", stage="steps = 40")

    def judge() -> float:
        torch.manual_seed(0)
        with torch.no_grad():
            photos = training.random_crops(run.photos, 2, 64, random.Random(0))
            terms = run._style_terms(photos, run.config.stages[0], random.Random(0))
            return float(sum(terms.values()))

    before = judge()
    for _ in range(8):
        run.step()
    assert judge() < 0.8 * before


# ---- keeping ----


def test_a_resumed_training_is_the_uninterrupted_one(trainer: Any, tmp_path: Path) -> None:
    whole = trainer(half := "dimmed = 0.5")
    training.train(whole, lambda step, terms: None, tmp_path / "whole.pt", 100)
    first = trainer(half)
    for _ in range(2):
        first.step()
    torch.rand(3)
    first.save(tmp_path / "part.pt")
    second = trainer(half)
    second.load(tmp_path / "part.pt")
    training.train(second, lambda step, terms: None, tmp_path / "rest.pt", 100)
    assert second.done == whole.done == 4
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(second)[name], value, atol=1e-6, rtol=1e-5)


def test_every_so_many_steps_and_at_the_end_it_is_saved(trainer: Any, tmp_path: Path) -> None:
    run, keep = trainer(), tmp_path / "last.pt"
    seen: list[tuple[int, bool]] = []
    training.train(run, lambda step, terms: seen.append((step, keep.exists())), keep, 3)
    assert seen == [(0, False), (1, False), (2, False), (3, True)]
    assert training.load_checkpoint(keep)["done"] == 4
    assert [path.name for path in tmp_path.glob("last*")] == ["last.pt"]


def test_an_interrupted_training_is_saved(trainer: Any, tmp_path: Path) -> None:
    def interrupt(step: int, terms: dict[str, float]) -> None:
        if step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(trainer(), interrupt, tmp_path / "last.pt", 100)
    assert training.load_checkpoint(tmp_path / "last.pt")["done"] == 2


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint", b"PK\x03\x04torn"])
def test_a_checkpoint_that_cannot_be_read_is_said_so(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(ConfigError, match=r"checkpoint .* cannot be read"):
        training.load_checkpoint(tmp_path / "last.pt")


def test_a_checkpoint_of_other_styles_is_refused(trainer: Any, photos: Path, tmp_path: Path) -> None:
    trainer().save(tmp_path / "last.pt")
    other = trainer(styles={"oil": photos / "b_1.png"})
    with pytest.raises(ConfigError, match="other styles"):
        other.load(tmp_path / "last.pt")


def test_a_checkpoint_of_something_else_is_refused(trainer: Any, tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(1)}, tmp_path / "last.pt")
    with pytest.raises(ConfigError, match=r"last\.pt"):
        trainer().load(tmp_path / "last.pt")
