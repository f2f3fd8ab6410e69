"""What names an engine."""

from pathlib import Path

import pytest

from allaprima.realtime import engine_key
from allaprima.realtime.backends.cpu import Canvas
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.engine_key import Key, Machine, Record, key_of, packed_size, picture_size

HERE = Machine(gpu="A fake", capability="9.0", tensorrt="10.16.1.11", driver="580.65")


@pytest.fixture
def key(tiny_bundle: Path) -> Key:
    return key_of(HERE, Bundle(tiny_bundle), (12, 16))


@pytest.mark.parametrize("size", [(1280, 720), (641, 359), (64, 64), (1920, 1080)])
def test_the_packed_size_is_the_cpu_backends(size: tuple[int, int]) -> None:
    height, width = Canvas(size).shapes[0]
    assert packed_size(size) == (height // 4, width // 4)
    across, down = picture_size(packed_size(size))
    assert packed_size((across, down)) == packed_size(size)
    assert (across >= size[0], down >= size[1]) == (True, True)


def test_usual_sizes_come_back_as_they_were() -> None:
    for size in ((640, 360), (1280, 720), (1920, 1080), (3840, 2160)):
        assert picture_size(packed_size(size)) == size


@pytest.mark.parametrize(
    "change",
    [
        {"gpu": "Another"}, {"capability": "8.9"}, {"tensorrt": "11.4.0.106"}, {"driver": "590.1"},
        {"model": "0"}, {"graph": "0"}, {"cells": (16, 12)}, {"cells": None}, {"regions": 2}, {"precision": "full"},
    ],
)  # fmt: skip
def test_every_part_of_the_key_is_in_the_name(key: Key, change: dict[str, object]) -> None:
    assert key.model_copy(update=change).name != key.name


def test_a_part_that_differs_is_named(key: Key) -> None:
    there = HERE.model_copy(update={"driver": "590.1", "gpu": "Another"})
    assert key.differences(there) == ["gpu A fake (here Another)", "driver 580.65 (here 590.1)"]
    assert key.differences(HERE) == []


def test_the_key_follows_the_nets_and_our_code(
    key: Key, own_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = own_bundle / "manifest.json"
    changed = manifest.read_text().replace(Bundle(own_bundle).manifest.sha256["bank"], "0" * 64)
    manifest.write_text(changed)
    assert key_of(HERE, Bundle(own_bundle, verify=False), (12, 16)).model != key.model
    for name in engine_key.GRAPH_SOURCES:
        assert (Path(engine_key.__file__).with_name(name)).is_file()
        (tmp_path / name).write_text("changed")
    monkeypatch.setattr(engine_key, "__file__", str(tmp_path / "engine_key.py"))
    assert engine_key.graph_hash() != key.graph


def test_a_record_covers_its_size_or_its_range(key: Key) -> None:
    one = Record(
        key=key,
        sha256="",
        bytes=0,
        road="onnx",
        precision="half",
        psnr=50,
        compared=1,
        bundle="",
        inputs={},
        output="o",
    )
    assert (one.covers((12, 16)), one.covers((16, 12))) == (True, False)
    free = one.model_copy(update={"range": ((4, 4), (8, 8), (20, 16))})
    assert [free.covers(cells) for cells in ((4, 4), (20, 16), (21, 16), (20, 17), (3, 8))] == [
        True,
        True,
        *[False] * 3,
    ]
    assert Record.model_validate_json(free.model_dump_json()) == free
