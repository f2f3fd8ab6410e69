"""A new style for a net that is not changed."""

from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")

from allaprima.exporters import addition  # noqa: E402
from allaprima.exporters.addition import BATCH, HELD_OUT, RATE, WARM_UP, Addition, Weights  # noqa: E402
from allaprima.exporters.networks import Generator, StyleBankNet  # noqa: E402
from allaprima.exporters.recipe import TrainConfig  # noqa: E402
from allaprima.exporters.vgg import LossNetwork  # noqa: E402
from allaprima.realtime.errors import ConfigError  # noqa: E402

Make = Callable[..., Addition]
STYLES = ("ink", "wax", "oil")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addition, "CROP", 96)
    monkeypatch.setattr(addition, "VIEW", 48)


def generator(seed: int = 0) -> Any:
    """Of its styles ``wax`` is tame and the others are wild."""
    torch.manual_seed(seed)
    net = Generator(STYLES, deep=8, fine=4)
    with torch.no_grad():
        for name, spread in zip(STYLES, (2.0, 0.02, 3.0), strict=True):
            for value in net.bank[name].values():
                value.add_(torch.randn_like(value) * spread)
    return net


@pytest.fixture(scope="module")
def pictures(tiny_texture: Any) -> Any:
    """Photos ``(3, 104, 120)``, then an artwork ``(3, 64, 80)``."""
    return [tiny_texture((120, 104), seed) for seed in (1, 2)], tiny_texture((80, 64), 3)


@pytest.fixture(scope="module")
def tiny_texture() -> Any:
    def picture(size: tuple[int, int], seed: int) -> Any:
        noise = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(seed))
        soft = torch.nn.functional.interpolate(noise, size[::-1], mode="bicubic", align_corners=True)
        return (soft[0].clamp(0, 1) * 255).to(torch.uint8)

    return picture


@pytest.fixture(scope="module")
def network(loss_file: Any) -> LossNetwork:
    return LossNetwork(loss_file("addition.safetensors"))


@pytest.fixture
def make(pictures: Any, network: LossNetwork) -> Make:
    def build(net: Any = None, **more: Any) -> Addition:
        photos, artwork = pictures
        settings: dict[str, Any] = {"steps": 20, "crops": BATCH, "start": "wax"} | more
        return Addition(net or generator(), artwork, photos, network, **settings)

    return build


def copy(filters: Any) -> dict[str, Any]:
    return {name: value.detach().clone() for name, value in filters.items()}


def equal(one: Any, other: Any) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(value, other[name]) for name, value in one.items())


def spoil(filters: Any) -> None:
    with torch.no_grad():
        for value in filters.values():
            value.add_(torch.randn_like(value) * 5)


# ---- what is trained ----


def test_nothing_of_the_generator_changes(make: Make) -> None:
    """Encoder, decoder and the banks of the other styles keep every bit."""
    net = generator()
    before = copy(net.state_dict())
    run = make(net)
    for _ in range(2):
        run.step()
        run.check()
    run.preview(torch.zeros(3, 16, 16, dtype=torch.uint8))
    assert equal(net.state_dict(), before)
    assert not any(value.requires_grad or value.grad is not None for value in net.parameters())


def test_every_filter_of_the_new_style_is_trained(make: Make) -> None:
    run = make()
    before = copy(run.filters)
    run.step()
    for name, value in run.filters.items():
        assert (value != before[name]).float().mean() > 0.9, name


def test_training_makes_the_loss_fall_on_crops_that_no_step_saw(make: Make) -> None:
    run = make()
    before = run.check()
    for _ in range(8):
        run.step()
    assert run.check() < 0.9 * before


def test_steps_draw_from_all_crops_but_those_that_check_is_judged_by(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(crops=BATCH + 1)
    terms, seen = run._terms, list[int]()
    monkeypatch.setattr(run, "_terms", lambda batch, filters: seen.extend(map(id, batch)) or terms(batch, filters))
    held, free = ([*map(id, crops)] for crops in (run._crops[:HELD_OUT], run._crops[HELD_OUT:]))
    run.check()
    assert seen == held
    seen.clear()
    for _ in range(8):
        run.step()
    assert (len(seen), set(seen)) == (8 * BATCH, set(free))


def test_a_step_does_not_run_the_encoder(make: Make) -> None:
    net = generator()
    calls: list[int] = []
    net.encoder.register_forward_hook(lambda *_: calls.append(1))
    run = make(net, crops=5)
    assert len(calls) == 2 * (5 + HELD_OUT), "each crop once, and its moved view"
    run.step()
    run.check()
    assert len(calls) == 2 * (5 + HELD_OUT)


def test_a_step_has_all_its_terms_by_their_weights(make: Make) -> None:
    plain = make(weights=Weights(content=2, style=3, variation=1, steady=0.5)).step()
    heavy = make(weights=Weights(content=4, style=9, variation=0, steady=1)).step()
    assert plain.keys() == {"content", "style", "variation", "range", "steady"}
    assert all(value > 0 for value in plain.values())
    expected = {"content": 2, "style": 3, "variation": 0, "range": 1, "steady": 2}
    assert heavy == pytest.approx({name: factor * plain[name] for name, factor in expected.items()}, rel=1e-5)


def test_the_weights_are_those_of_the_shipped_recipe() -> None:
    recipe = TrainConfig.read(Path(addition.__file__).with_name("studio.toml"))
    assert asdict(Weights()) == {field.name: getattr(recipe, field.name) for field in fields(Weights)}


class Glass(StyleBankNet):
    """Lets pictures through as they are."""

    maps = ("packed",)
    encoder = decoder = torch.nn.Identity()

    def __init__(self) -> None:
        super().__init__()
        self.add_styles(["glass"], self.new_filters())

    def new_filters(self, generator: torch.Generator | None = None) -> Any:
        return {"shift": torch.zeros(1)}

    def apply_filters(self, maps: Any, filters: Any, strength: Any) -> Any:
        return tuple(m + filters["shift"] for m in maps)


def test_photos_and_moved_views_are_compared_with_their_own_places(make: Make) -> None:
    """A net that lets pictures through keeps all content, and of unsteadiness only the noise is left."""
    terms = make(Glass(), start="glass", weights=Weights(content=1, steady=1)).step()
    assert terms["content"] < 0.01
    assert terms["steady"] < 0.02
    assert terms["style"] > 0.1


# ---- what it starts from ----


def test_it_starts_from_the_style_that_the_artworks_judge_likes_best(make: Make) -> None:
    scores = {name: make(start=name).check() for name in STYLES}
    assert min(scores, key=scores.__getitem__) == "wax", "neither the first nor the last"
    assert make(start=None).start == "wax"


@pytest.mark.parametrize("start", ["ink", "oil"])
def test_a_start_that_is_named_is_taken_although_another_is_nearer(make: Make, start: str) -> None:
    run = make(start=start)
    assert run.start == start
    assert equal(run.filters, copy(generator().bank[start]))


def test_it_can_start_from_random_filters(make: Make) -> None:
    run = make(start="none", seed=5)
    assert run.start == "none"
    assert equal(run.filters, copy(generator().new_filters(torch.Generator().manual_seed(5))))
    assert not equal(run.filters, copy(make(start="none", seed=6).filters))


def test_a_bundle_without_styles_is_started_from_random_filters(make: Make) -> None:
    assert make(Generator([], deep=8, fine=4), start=None).start == "none"


def test_a_start_that_is_not_there_is_refused_and_the_others_are_named(make: Make) -> None:
    with pytest.raises(ConfigError, match="no style 'tar'") as caught:
        make(start="tar")
    assert caught.value.hint.endswith("ink, wax, oil")


# ---- the best ----


def test_the_best_filters_are_kept_although_later_ones_are_worse(make: Make) -> None:
    run = make()
    least = run.check()
    best = copy(run.best)
    assert equal(best, copy(run.filters))
    spoil(run.filters)
    assert run.check() > least
    assert run.best_score == least
    assert equal(run.best, best)


def test_better_filters_become_the_best(make: Make) -> None:
    run = make()
    spoil(run.filters)
    worst = run.check()
    with torch.no_grad():
        for name, value in run.filters.items():
            value.copy_(generator().bank["wax"][name])
    assert run.check() == run.best_score < worst
    assert equal(run.best, copy(run.filters))
    kept = copy(run.best)
    run.step()
    assert equal(run.best, kept), "a step has to be checked first"


def test_filters_that_are_not_numbers_are_never_the_best(make: Make) -> None:
    run = make()
    with torch.no_grad():
        run.filters["deep2"].fill_(float("nan"))
    assert np.isnan(run.check())
    assert equal(run.best, copy(generator().bank["wax"]))


# ---- the learning rate, the seed ----


def moved(run: Addition, before: Any) -> float:
    return max(float((value.detach() - before[name]).abs().max()) for name, value in run.filters.items())


@pytest.mark.parametrize(("progress", "left"), [(0.0, 1.0), (0.5, 0.5), (0.9, 0.1), (0.99, 0.05), (1.0, 0.05)])
def test_the_less_time_is_left_the_smaller_the_step(make: Make, progress: float, left: float) -> None:
    """Adam's first step is as long as its rate."""
    run = make()
    before = copy(run.filters)
    run.step(progress)
    assert moved(run, before) == pytest.approx(left * RATE / WARM_UP, rel=1e-2)


def test_the_rate_warms_up_and_falls_with_steps_or_time_whichever_is_further(make: Make) -> None:
    run = make(steps=10)

    def rate(done: int, progress: float) -> float:
        run.done = done
        run.step(progress)
        return float(run._optimizer.param_groups[0]["lr"]) / RATE

    assert rate(1, 0.0) == pytest.approx(0.9 * 2 / WARM_UP)
    assert rate(6, 0.0) == rate(6, 0.3) == pytest.approx(0.4)
    assert rate(6, 0.7) == pytest.approx(0.3)
    assert rate(9, 1.5) == pytest.approx(0.05)


def test_the_same_seed_gives_the_same_filters(make: Make) -> None:
    found = []
    for torchs_own, seed in enumerate((3, 3, 4)):
        net = generator()
        torch.manual_seed(torchs_own)
        run = make(net, seed=seed)
        for _ in range(2):
            run.step()
            torch.rand(5)
        run.check()
        found.append(run.best)
    assert equal(found[0], found[1])
    assert not equal(found[0], found[2])


# ---- the preview ----


def test_a_preview_is_a_picture_of_whole_cells(make: Make) -> None:
    found = make().preview(torch.zeros(3, 53, 70, dtype=torch.uint8))
    assert (found.shape, found.dtype) == ((48, 64, 3), np.uint8)


def test_a_preview_is_what_the_best_filters_paint(make: Make, pictures: Any) -> None:
    from allaprima.exporters.export import paint_pictures

    run = make()
    run.check()
    spoil(run.filters)
    photo = pictures[0][0]
    (wanted,) = paint_pictures(generator(), [photo], "wax")
    found = run.preview(photo)
    assert found.std() > 5
    assert np.abs(found.astype(int) - wanted).max() <= 2
