"""`allaprima-train add-style`, as a user types it."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")
pytest.importorskip("onnx", reason="export needs onnx: pip install 'allaprima[train]'")

from safetensors import SafetensorError  # noqa: E402

from allaprima.exporters import addition, cli_add  # noqa: E402
from allaprima.exporters.addition import Addition  # noqa: E402
from allaprima.exporters.cli_add import find_loss_network  # noqa: E402
from allaprima.realtime.bundle import Bundle  # noqa: E402
from allaprima.realtime.errors import ConfigError  # noqa: E402
from allaprima.realtime.stylizer import Stylizer  # noqa: E402

AddStyle = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(write_narrow_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with the styles ``ink`` and ``wax``; not to be changed."""
    path: Path = write_narrow_bundle(tmp_path_factory.mktemp("add") / "toy", ["ink", "wax"], seed=0)
    return path


@pytest.fixture
def bundle(folder: Path, home: Path) -> Bundle:
    return Bundle(folder)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's own folder, in which no half-written file may be left."""
    monkeypatch.setenv("ALLAPRIMA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ALLAPRIMA_LOSS_NETWORK", raising=False)
    yield tmp_path / "home"
    assert [path.name for path in tmp_path.rglob("*.part*")] == []


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little to prepare and little to paint; the style is kept at steps 2, 3, 6 and so on."""
    monkeypatch.setattr(addition, "CROP", 96)
    monkeypatch.setattr(addition, "VIEW", 48)
    monkeypatch.setitem(Addition.__init__.__kwdefaults__, "crops", 4)
    monkeypatch.setattr(cli_add, "PREVIEW_SIDE", 64)
    monkeypatch.setattr(cli_add, "FIRST", 2)
    monkeypatch.setattr(cli_add, "EVERY", 3)


@pytest.fixture
def picture(photos: Path) -> Path:
    return photos / "a_2.jpg"


@pytest.fixture
def add_style(type_: Any, folder: Path, picture: Path, photos: Path, loss_file: Any) -> AddStyle:
    """Types ``add-style`` of a picture with 2 steps; options that are given stand in for these."""

    def run(*words: Any, **options: Any) -> tuple[int, str, str]:
        given = {"name": "mine", "bundle": folder, "photos": photos, "steps": 2, "stroke": 64, "start": "ink"}
        given |= {"loss_network": loss_file("add.safetensors"), "preview": photos / "b_1.png"} | options
        pairs = [(f"--{key.replace('_', '-')}", value) for key, value in given.items() if value is not None]
        first = () if words and not str(words[0]).startswith("-") else (picture,)
        found: tuple[int, str, str] = type_("add-style", *first, *words, *(word for pair in pairs for word in pair))
        return found

    return run


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets something happen after each step; gives the progress that the steps were told."""
    seen: list[float] = []

    def after(act: Callable[[int], Any]) -> list[float]:
        def step(self: Addition, progress: float = 0.0) -> dict[str, float]:
            seen.append(progress)
            terms = plain(self, progress)
            act(self.done)
            return terms

        monkeypatch.setattr(Addition, "step", step)
        return seen

    plain = Addition.step
    return after


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# ---- what it writes ----


def test_a_style_and_its_preview_are_where_running_programs_find_them(add_style: AddStyle, bundle: Bundle) -> None:
    code, out, _ = add_style(preview=None, start=None)
    assert code == 0
    assert files(bundle.user_styles) == ["mine.jpg", "mine.safetensors"]
    assert re.search("starting from (ink|wax)", out), "the nearest"
    assert "after 2 steps" in out
    assert "allaprima run IN OUT --style mine" in out
    preview = cv2.imread(str(bundle.user_styles / "mine.jpg"))
    assert preview.shape == (64, 112, 3), "a built-in scene, 16:9"
    assert preview.std() > 2


def test_the_style_is_one_of_the_bundle_and_the_engine_paints_with_it(
    add_style: AddStyle, bundle: Bundle, tiny: ModuleType
) -> None:
    assert add_style()[0] == 0
    _, filters = bundle.load_style(bundle.style_files()["mine"])
    assert all(np.isfinite(value).all() for value in filters.values())
    _, ink = bundle.load_style(bundle.style_files()["ink"])
    frame = tiny.frame((96, 64))
    painted = [Stylizer(style, bundle=bundle, steadiness=0.0)(frame) for style in ("mine", "ink")]
    assert painted[0].size == frame.size
    assert tiny.difference(*painted) > 0
    furthest = max(float(np.abs(value - ink[name]).max()) for name, value in filters.items())
    assert 0 < furthest < 0.01, "two small steps from where it started"


def test_the_card_says_what_was_told_and_else_the_name_of_the_picture(add_style: AddStyle, bundle: Bundle) -> None:
    told = {"title": "Rocks", "artist": "N. N.", "year": "1900", "licence": "for my eyes only"}
    assert add_style(name="told", **told)[0] == add_style(name="untold")[0] == 0
    card, other = (bundle.load_style(bundle.style_files()[name])[0] for name in ("told", "untold"))
    assert {key: getattr(card, key) for key in told} == told
    assert (other.title, other.artist, other.year, other.licence) == ("a_2", "", "", "")
    assert card.generator == other.generator == bundle.generator


def test_the_folder_can_be_named(add_style: AddStyle, home: Path, tmp_path: Path, bundle: Bundle) -> None:
    code, out, _ = add_style(out=tmp_path / "new" / "styles")
    assert (code, files(tmp_path / "new"), home.exists()) == (0, ["mine.jpg", "mine.safetensors"], False)
    assert str(tmp_path / "new/styles/mine.safetensors") in out.replace("\n", "")
    bundle.load_style(tmp_path / "new/styles/mine.safetensors")


def test_the_preview_can_be_of_a_picture_of_the_users(add_style: AddStyle, photos: Path, bundle: Bundle) -> None:
    assert add_style(preview=photos / "b_1.png")[0] == 0
    assert cv2.imread(str(bundle.user_styles / "mine.jpg")).shape == (64, 64, 3)


def test_without_photos_it_learns_on_built_in_scenes(
    add_style: AddStyle, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from allaprima.exporters import data

    asked: list[Any] = []
    scenes = data.scene_pictures
    monkeypatch.setattr(data, "scene_pictures", lambda *how: asked.append(how) or scenes(how[0], 1))
    assert add_style(photos=None, preview=None)[0] == 0
    assert sorted(asked) == [(64, 1), (96 + 64,)], "for the preview, and to learn on"


def test_the_same_seed_gives_the_same_style_in_the_same_time(
    add_style: AddStyle, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The learning rate falls with the time that has gone, too: here none goes."""
    monkeypatch.setattr(cli_add, "time", SimpleNamespace(monotonic=lambda: 100.0))
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        assert add_style(name=name, seed=seed)[0] == 0
    hashes = [bundle.load_style(bundle.style_files()[name])[0].sha256 for name in ("one", "two", "three")]
    assert hashes[0] == hashes[1] != hashes[2]


def test_options_reach_the_training(add_style: AddStyle, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def spy(self: Addition, net: Any, artwork: Any, photos: Any, network: Any, **more: Any) -> None:
        seen.update(more, artwork=tuple(artwork.shape), photos=len(photos))
        raise ConfigError("seen enough")

    monkeypatch.setattr(Addition, "__init__", spy)
    options = {"steps": 7, "stroke": 128, "content": 0.5, "seed": 9, "start": "wax", "device": "cpu"}
    assert add_style(**options)[0] == 2
    weights = seen.pop("weights")
    assert (weights.content, weights.style) == (0.5, addition.Weights().style)
    assert seen == {"steps": 7, "start": "wax", "seed": 9, "artwork": (3, 219, 128), "photos": 4}


# ---- a style that is there ----


def test_a_style_that_is_there_is_replaced_only_when_asked(add_style: AddStyle, bundle: Bundle) -> None:
    assert add_style()[0] == 0
    target = bundle.user_styles / "mine.safetensors"
    before = target.read_bytes()
    code, _, err = add_style(seed=2)
    assert code == 10
    assert "already a style called 'mine'" in err
    assert "--overwrite" in err
    assert target.read_bytes() == before
    assert add_style("--overwrite", seed=2)[0] == 0
    assert target.read_bytes() != before


def test_a_shipped_style_is_hidden_only_when_asked(add_style: AddStyle, folder: Path, bundle: Bundle) -> None:
    shipped = (folder / "styles/ink.safetensors").read_bytes()
    code, _, err = add_style(name="ink")
    assert code == 10
    assert "the bundle has a style called 'ink'" in err
    assert add_style("--overwrite", name="ink")[0] == 0
    assert bundle.style_files()["ink"] == bundle.user_styles / "ink.safetensors"
    assert (folder / "styles/ink.safetensors").read_bytes() == shipped


def test_in_a_folder_elsewhere_names_of_the_bundle_are_free(add_style: AddStyle, tmp_path: Path) -> None:
    assert add_style(name="ink", out=tmp_path / "out")[0] == 0
    assert add_style(name="ink", out=tmp_path / "out")[0] == 10


# ---- the loss network ----


def test_without_a_loss_network_it_says_where_to_put_one(add_style: AddStyle, home: Path) -> None:
    code, _, err = add_style(loss_network=None)
    assert code == 2
    assert "no loss network" in err
    assert str(home / "loss") in err
    assert "--loss-network" in err
    assert not home.exists()


def test_the_loss_network_is_the_one_named_then_the_environments_then_that_of_the_folder(
    add_style: AddStyle, home: Path, loss_file: Any, monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    """What is not taken is broken, and would be an error."""
    good, bad = loss_file("chosen.safetensors").read_bytes(), b"broken"
    (home / "loss").mkdir(parents=True)
    inside, outside, named = home / "loss/vgg.safetensors", home / "env.safetensors", home / "named.safetensors"
    inside.write_bytes(good)
    assert add_style(name="folder", loss_network=None)[0] == 0
    inside.write_bytes(bad)
    outside.write_bytes(good)
    monkeypatch.setenv("ALLAPRIMA_LOSS_NETWORK", str(outside))
    assert add_style(name="environment", loss_network=None)[0] == 0
    outside.write_bytes(bad)
    named.write_bytes(good)
    assert add_style(name="named", loss_network=named)[0] == 0
    code, _, err = add_style(name="broken", loss_network=None)
    assert (code, "loss network" in err) == (2, True)
    assert {"folder", "environment", "named"} == bundle.style_files().keys() - {"ink", "wax"}


def test_of_several_loss_networks_the_first_by_name_is_taken_and_other_files_are_not(home: Path) -> None:
    (home / "loss").mkdir(parents=True)
    for name in ("b.safetensors", "c.pth", "a.txt"):
        (home / "loss" / name).touch()
    assert find_loss_network(None) == home / "loss/b.safetensors"
    (home / "loss/a.pt").touch()
    assert find_loss_network(None) == home / "loss/a.pt"
    assert find_loss_network(Path("mine.pth")) == Path("mine.pth")


# ---- mistakes ----


@pytest.mark.parametrize("name", ["none", "", "-x", "a b", "a:b", "a,b", "../up", "über"])
def test_a_name_that_no_mix_could_hold_is_refused(add_style: AddStyle, home: Path, name: str) -> None:
    code, _, err = add_style(f"--name={name}", name=None)
    assert code == 2
    assert "cannot be the name of a style" in err
    assert not home.exists()


def test_a_picture_that_cannot_be_learned_from_leaves_nothing_behind(
    add_style: AddStyle, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((63, 200, 3), np.uint8))
    for file, why in (("none.jpg", "no such file"), ("text.jpg", "in no format"), ("small.png", "too small")):
        code, _, err = add_style(tmp_path / file)
        assert code == 2
        assert why in err
        assert len(err.strip().splitlines()) == 2, "an error and a hint"
    assert not home.exists()


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        ({"start": "tar"}, 2, "no style 'tar' to start from"),
        ({"photos": "nowhere"}, 2, "no folder of photos"),
        ({"preview": "nowhere.png"}, 2, "nowhere.png"),
        ({"device": "warp"}, 2, "cannot train on warp"),
        ({"loss_network": "nowhere.pth"}, 2, "loss network nowhere.pth cannot be read"),
        ({"bundle": "nowhere"}, 5, "no bundle at nowhere"),
        ({"steps": 0}, 2, "--steps"),
        ({"stroke": 63}, 2, "--stroke"),
        ({"minutes": 0}, 2, "--minutes"),
    ],
)
def test_what_cannot_be_used_is_named_and_leaves_nothing_behind(
    add_style: AddStyle, home: Path, options: dict[str, Any], code: int, why: str
) -> None:
    found, _, err = add_style(**options)
    assert found == code
    assert why in err
    assert "Traceback" not in err
    assert not home.exists()


def test_nets_of_another_design_cannot_be_trained_on(add_style: AddStyle, tiny_bundle: Path) -> None:
    code, _, err = add_style(bundle=tiny_bundle)
    assert (code, "not those that this program trains" in err) == (5, True)


def test_a_style_written_elsewhere_says_how_to_add_it(add_style: AddStyle, tmp_path: Path) -> None:
    assert "styles add" not in add_style()[1]
    code, out, _ = add_style(out=tmp_path / "elsewhere")
    assert (code, f"styles add {tmp_path / 'elsewhere' / 'mine.safetensors'}" in out) == (0, True)


def test_a_folder_that_cannot_be_written_is_said_so(add_style: AddStyle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, _, err = add_style(out=tmp_path / "file")
    assert code == 4
    assert "cannot write" in err
    assert "--out" in err


def test_a_full_disk_is_said_so_and_what_was_there_stays(
    add_style: AddStyle, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    assert add_style()[0] == 0
    monkeypatch.setattr("allaprima.realtime.bundle.save_file", full)
    code, _, err = add_style("--overwrite")
    assert code == 4
    assert "No space left" in err
    assert len(err.strip().splitlines()) == 2, "an error and a hint"
    bundle.load_style(bundle.user_styles / "mine.safetensors")


def test_what_is_in_the_way_of_the_preview_is_said_so_and_nothing_half_written_stays(
    add_style: AddStyle, bundle: Bundle
) -> None:
    (bundle.user_styles / "mine.jpg").mkdir(parents=True)
    assert add_style()[0] == 4
    assert files(bundle.user_styles) == []


# ---- how it ends ----


def test_the_best_is_on_disk_all_along(add_style: AddStyle, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever a running program looks, there is a whole style; it does not get worse."""
    target = bundle.user_styles / "mine.safetensors"
    kept: list[tuple[int, float]] = []
    save = cli_add.save

    def spy(run: Addition, *more: Any) -> None:
        save(run, *more)
        kept.append((run.done, run.best_score))
        _, filters = bundle.load_style(target)
        assert all(np.array_equal(filters[name], value.half().float()) for name, value in run.best.items())
        shown, painted = cv2.imread(str(target.with_suffix(".jpg"))).astype(int), run.preview(more[0])
        assert np.abs(shown[..., ::-1] - painted).mean() < 0.5 * np.abs(shown - painted).mean(), "BGR for RGB"

    monkeypatch.setattr(cli_add, "save", spy)
    code, out, _ = add_style(steps=7)
    assert (code, [done for done, _ in kept]) == (0, [2, 3, 6, 7])
    scores = [score for _, score in kept]
    assert scores == sorted(scores, reverse=True)
    assert f"loss {scores[-1]:.3f} after 7 steps" in out
    assert out.count("preview ") == 3


def test_a_signal_ends_it_and_the_best_so_far_is_kept(add_style: AddStyle, bundle: Bundle, steps: Any) -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = steps(lambda done: done == 4 and os.kill(os.getpid(), signal.SIGINT))
    code, out, _ = add_style(steps=50)
    assert (code, len(seen)) == (0, 4)
    assert "after 4 steps" in out
    bundle.load_style(bundle.user_styles / "mine.safetensors")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_signal_ends_it_at_once(add_style: AddStyle, bundle: Bundle, steps: Any) -> None:
    def twice(done: int) -> None:
        for _ in range(2 * (done == 4)):
            os.kill(os.getpid(), signal.SIGINT)

    steps(twice)
    assert add_style(steps=50)[0] == 130
    bundle.load_style(bundle.user_styles / "mine.safetensors")


def test_time_ends_it_and_the_steps_know_how_much_has_gone(
    add_style: AddStyle, bundle: Bundle, steps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(cli_add, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def ten_seconds(_: int) -> None:
        clock[0] += 10

    seen = steps(ten_seconds)
    code, out, _ = add_style(steps=50, minutes=0.6)
    assert (code, seen) == (0, pytest.approx([0, 10 / 36, 20 / 36, 30 / 36]))
    assert "after 4 steps, 40 s" in out
    bundle.load_style(bundle.user_styles / "mine.safetensors")
