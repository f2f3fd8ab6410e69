import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from allaprima.realtime import shelf
from allaprima.realtime.bundle import Bundle, read_card, read_filters, shipped_bundle, write_style
from allaprima.realtime.cli import main
from allaprima.realtime.errors import BundleError, ConfigError, OutputExists, UnknownStyle


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ALLAPRIMA_HOME", str(tmp_path / "home"))


@pytest.fixture
def bundle(tmp_path):
    """A copy that may be damaged."""
    shutil.copytree(shipped_bundle(), tmp_path / "bundle")
    return Bundle(tmp_path / "bundle", verify=False)


def names(bundle):
    return [style.name for style in shelf.shelved(bundle)]


def first_file(bundle) -> Path:
    return next(iter(bundle.style_files().values()))


def own_file(bundle, folder, change=lambda filters: filters, **card):
    """A style file made from a shipped one."""
    source = first_file(bundle)
    filters = change({name: array.copy() for name, array in read_filters(source).items()})
    write_style(folder / "mine.safetensors", read_card(source).model_copy(update=card), filters)
    return folder / "mine.safetensors"


def spoil(file, at=-100):
    data = bytearray(file.read_bytes())
    data[at] ^= 0xFF
    file.write_bytes(data)


def test_an_added_style_is_listed_shown_and_removed(bundle, tmp_path):
    file = own_file(bundle, tmp_path, title="My Own")
    file.with_suffix(".jpg").write_bytes(b"picture")
    shipped = names(bundle)
    added = shelf.add(bundle, file)
    assert added.path.parent == bundle.user_styles
    assert (added.card.title, added.shipped, added.preview.read_bytes()) == ("My Own", False, b"picture")
    assert names(bundle) == [*shipped, "mine"]
    assert shelf.remove(bundle, "mine").name == "mine"
    assert names(bundle) == shipped
    assert not list(bundle.user_styles.iterdir())


def test_a_name_that_is_taken_needs_overwrite(bundle, tmp_path):
    file = own_file(bundle, tmp_path)
    shelf.add(bundle, file)
    with pytest.raises(OutputExists, match="already a style called 'mine'"):
        shelf.add(bundle, file)
    shelf.add(bundle, file, overwrite=True)
    with pytest.raises(OutputExists):
        shelf.add(bundle, file, name=shelf.shelved(bundle)[0].name)


def test_a_shipped_style_that_was_hidden_shows_again(bundle, tmp_path):
    taken = names(bundle)[0]
    shelf.add(bundle, own_file(bundle, tmp_path), name=taken, overwrite=True)
    assert not shelf.find(bundle, taken).shipped
    shelf.remove(bundle, taken)
    assert shelf.find(bundle, taken).shipped


@pytest.mark.parametrize("name", ["a b", "a,b", "a:1", "", "../x", "none", "-x", "a=b"])
def test_names_that_no_mix_could_hold(bundle, tmp_path, name):
    file = own_file(bundle, tmp_path).rename(tmp_path / "#.safetensors")
    with pytest.raises(ConfigError, match="cannot be the name of a style"):
        shelf.add(bundle, file, name=name)


def nan(filters):
    next(iter(filters.values()))[..., 0] = np.nan
    return filters


def other_shapes(filters):
    return {name: array[..., :1] for name, array in filters.items()}


@pytest.mark.parametrize(
    ("change", "card", "message"),
    [
        (nan, {}, "not finite"),
        (other_shapes, {}, "other shapes"),
        (dict, {"generator": "another"}, "another generator"),
    ],
)
def test_styles_that_do_not_fit_are_refused(bundle, tmp_path, change, card, message):
    with pytest.raises(BundleError, match=message):
        shelf.add(bundle, own_file(bundle, tmp_path, change, **card))
    assert not bundle.user_styles.exists()


def test_a_damaged_file_is_refused(bundle, tmp_path):
    file = own_file(bundle, tmp_path)
    spoil(file)
    with pytest.raises(BundleError, match="its hash differs"):
        shelf.add(bundle, file)


def test_a_file_that_is_not_there(bundle, tmp_path):
    with pytest.raises(BundleError, match="there is no file"):
        shelf.add(bundle, tmp_path / "none.safetensors")


def test_shipped_styles_stay(bundle):
    with pytest.raises(ConfigError, match="comes with the bundle"):
        shelf.remove(bundle, names(bundle)[0])
    with pytest.raises(UnknownStyle):
        shelf.remove(bundle, "nobody")


def test_all_is_well_with_what_is_shipped():
    verdicts = shelf.verify(Bundle(shipped_bundle(), verify=False))
    assert {verdict.what for verdict in verdicts} >= {"encoder", "bank", "decoder"}
    assert [verdict for verdict in verdicts if verdict.problem] == []


def test_verify_finds_every_damage(bundle, tmp_path):
    (bundle.path / "decoder.onnx").unlink()
    spoil(bundle.path / "encoder.onnx")
    broken = first_file(bundle)
    broken.write_bytes(broken.read_bytes()[:500])
    shelf.add(bundle, own_file(bundle_at(shipped_bundle()), tmp_path))
    shutil.copy(own_file(bundle_at(shipped_bundle()), tmp_path, nan), bundle.user_styles / "sick.safetensors")
    problems = {verdict.what: verdict.problem for verdict in shelf.verify(bundle) if verdict.problem}
    assert set(problems) == {"encoder", "decoder", broken.stem, "sick"}
    assert "missing" in problems["decoder"]
    assert "hash" in problems["encoder"]
    assert "not a readable style" in problems[broken.stem]
    assert "not finite" in problems["sick"]


def bundle_at(path):
    return Bundle(path, verify=False)


def test_a_manifest_that_promises_other_filters(bundle):
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    manifest["filters"] |= {"extra": [4]}
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))
    problems = {verdict.what: verdict.problem for verdict in shelf.verify(bundle_at(bundle.path))}
    assert problems["bank"] == "it takes no filter extra"


# The commands


def test_list_outlives_a_damaged_file_and_verify_counts_it(bundle, capsys):
    broken = first_file(bundle)
    broken.write_bytes(b"not a style")
    assert main(["styles", "--bundle", str(bundle.path)]) == 0
    told = capsys.readouterr().out
    assert "damaged: " in told
    assert all(name in told for name in names(bundle))
    assert main(["styles", "verify", "--bundle", str(bundle.path)]) == 5
    assert "not a readable style" in capsys.readouterr().out
    assert main(["styles", "verify", "--bundle", str(bundle.path), "--json"]) == 5
    verdict = json.loads(capsys.readouterr().out)
    assert [row["what"] for row in verdict["files"] if row["problem"]] == [broken.stem]


@pytest.mark.parametrize("words", [["styles"], ["styles", "list"]])
def test_list_as_json(words, capsys):
    assert main([*words, "--json"]) == 0
    styles = json.loads(capsys.readouterr().out)
    assert len(styles) >= 4
    assert all(style["shipped"] and Path(style["path"]).exists() for style in styles)


def test_add_show_remove(bundle, tmp_path, capsys):
    where = ["--bundle", str(bundle.path)]
    assert main(["styles", "add", str(own_file(bundle, tmp_path, artist="Me")), "--name", "new", *where]) == 0
    assert main(["styles", "show", "new", *where]) == 0
    told = capsys.readouterr().out
    assert "added new" in told
    assert "artist       Me" in told
    assert main(["styles", "show", "new", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)["artist"] == "Me"
    assert main(["styles", "remove", "new", *where]) == 0
    assert main(["styles", "show", "new", *where]) == 8
    assert "error: no style called 'new'\nhint: " in capsys.readouterr().err


def test_flags_before_the_command_are_not_lost_in_silence(bundle, capsys):
    assert main(["styles", "--bundle", str(bundle.path), "verify"]) == 2
    assert "allaprima styles verify" in capsys.readouterr().err
