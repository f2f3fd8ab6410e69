"""The generator's parts against what they are said to equal."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")

import torch.nn.functional as F  # noqa: E402

from allaprima.exporters.networks import (  # noqa: E402
    Decoder,
    Encoder,
    Generator,
    PaperStyleBank,
    instance_norm,
    pack,
    repack,
    unpack,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def small() -> Any:
    torch.manual_seed(0)
    return Generator(["ink", "wax"], deep=8, fine=4).eval()


def test_a_packed_picture_has_16_channels_of_luma_and_8_of_chroma() -> None:
    y = torch.arange(32.0).view(1, 1, 4, 8)
    uv = torch.stack([100 + torch.arange(8.0).view(2, 4), 200 + torch.arange(8.0).view(2, 4)])[None]
    packed = pack(y, uv)
    assert packed.shape == (1, 24, 1, 2)
    assert packed[0, :16, 0, 0].tolist() == [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]
    assert packed[0, 16:20, 0, 1].tolist() == [102, 103, 106, 107]
    assert packed[0, 20:, 0, 0].tolist() == [200, 201, 204, 205]


def test_unpacking_undoes_packing() -> None:
    y, uv = torch.randn(2, 1, 16, 24), torch.randn(2, 2, 8, 12)
    again = unpack(pack(y, uv))
    assert torch.equal(again[0], y)
    assert torch.equal(again[1], uv)


def test_instance_norm_is_torchs_own_forward_and_backward() -> None:
    x, weight, bias = torch.randn(2, 5, 6, 7) * 3 + 1, torch.randn(5), torch.randn(5)
    mine, stock = ([t.clone().requires_grad_() for t in (x, weight, bias)] for _ in range(2))
    a, b = instance_norm(*mine), F.instance_norm(stock[0], weight=stock[1], bias=stock[2])
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    target = torch.randn_like(a)
    (a * target).sum().backward()
    (b * target).sum().backward()
    for one, other in zip(mine, stock, strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


def test_instance_norm_keeps_its_statistics_in_fp32() -> None:
    x = (torch.randn(1, 2, 32, 32) + 200).to(torch.bfloat16)
    normed = instance_norm(x, torch.ones(2), torch.zeros(2)).float()
    torch.testing.assert_close(normed, F.instance_norm(x.float()), atol=0.02, rtol=0)


def test_four_pixels_of_a_cell_and_two_chroma_become_a_packed_picture() -> None:
    y, uv = torch.randn(2, 1, 16, 24), torch.randn(2, 2, 8, 12)
    cells = torch.cat([y[..., row::2, column::2] for row in (0, 1) for column in (0, 1)], 1)
    assert torch.equal(repack(torch.cat([cells, uv], 1)), pack(y, uv))


def test_an_even_area_comes_out_without_a_grid_whatever_the_weights() -> None:
    decoder = Decoder(8, 4)
    with torch.no_grad():
        decoder.bias.normal_()
        luma, chroma = unpack(decoder(torch.randn(1, 8, 1, 1).expand(1, 8, 15, 15), torch.zeros(1, 4, 15, 15)))
    middle = luma[..., 30, 30]
    # Convolutions at the border see zeros: look at the middle.
    torch.testing.assert_close(luma[..., 28:32, 28:32], middle.expand(1, 1, 4, 4), atol=1e-5, rtol=0)
    assert chroma[..., 14:16, 14:16].std((2, 3)).max() < 1e-5


@pytest.mark.parametrize(("height", "width"), [(64, 96), (8, 8), (40, 24)])
def test_a_picture_comes_out_in_the_shape_it_went_in(small: Any, height: int, width: int) -> None:
    packed = torch.randn(2, 24, height // 4, width // 4)
    deep, fine = small.features(packed)
    assert deep.shape == (2, 8, height // 4, width // 4)
    assert fine.shape == (2, 4, height // 4, width // 4)
    assert small(packed, ["ink", None]).shape == packed.shape


def test_at_strength_0_the_bank_leaves_features_as_they_are(small: Any) -> None:
    maps = torch.randn(1, 8, 4, 4), torch.randn(1, 4, 8, 8)
    for found, given in zip(small.apply_filters(maps, small.new_filters(), 0.0), maps, strict=True):
        assert torch.equal(found, given)


def test_strength_mixes_evenly_between_none_and_all(small: Any) -> None:
    maps = torch.randn(1, 8, 4, 4), torch.randn(1, 4, 8, 8)
    filters = small.new_filters()
    none, half, full = (small.apply_filters(maps, filters, strength) for strength in (0.0, 0.5, 1.0))
    for a, b, c in zip(none, half, full, strict=True):
        torch.testing.assert_close(b, (a + c) / 2)
        assert not torch.allclose(a, c, atol=0.1)


def test_each_picture_of_a_batch_is_painted_in_its_own_style(small: Any) -> None:
    with torch.no_grad():
        small.bank["wax"]["deep2_bias"] += 1
        small.bank["wax"]["fine1_bias"] += 1
        packed = torch.randn(1, 24, 8, 8).repeat(4, 1, 1, 1)
        ink, wax, plain, again = small(packed, ["ink", "wax", None, "ink"])
        assert torch.allclose(ink, again, atol=1e-5)
        assert not torch.allclose(ink, wax, atol=1e-2)
        assert not torch.allclose(ink, plain, atol=1e-2)
        torch.testing.assert_close(small(packed[:1], ["wax"])[0], wax, atol=1e-5, rtol=1e-5)


def test_all_styles_start_from_the_same_filters_and_a_seed_decides_them() -> None:
    one, same, other = (Generator(["a", "b"], 8, 4, seed) for seed in (1, 1, 2))
    for key, value in one.bank["a"].items():
        assert torch.equal(value, one.bank["b"][key])
        assert value is not one.bank["b"][key]
        assert torch.equal(value, same.bank["a"][key])
    assert not torch.equal(one.bank["a"]["deep1"], other.bank["a"]["deep1"])


def test_the_loss_reaches_every_parameter_of_the_styles_in_use(small: Any) -> None:
    generator = Generator(["ink", "wax"], 8, 4)
    generator(torch.randn(1, 24, 8, 8), ["ink"]).square().mean().backward()
    without = [name for name, p in generator.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A constant added before an instance norm is taken off again by it.
    before_norm = "first.bias"
    assert [name for name in without if not name.startswith("bank.wax") and not name.endswith(before_norm)] == []
    assert sum(name.startswith("bank.wax") for name in without) == len(generator.bank["wax"])


def test_color_survives_the_encoder() -> None:
    """The fine features are not normalised: a brighter picture stays brighter."""
    encoder = Encoder(8, 4)
    packed = torch.randn(1, 24, 8, 8)
    one, other = encoder(packed)[1], encoder(packed + 0.5)[1]
    assert (one - other).abs().mean() > 0.05


def test_the_papers_network_paints_and_its_mixtures_are_exact() -> None:
    """A style is one bare convolution, so the features of a mix are the mix of the features."""
    paper = PaperStyleBank(["ink", "wax"], width=4)
    with torch.no_grad():
        paper.bank["wax"]["deep1"].normal_(0, 0.1)
        packed = torch.randn(1, 24, 8, 12)
        assert paper(packed, ["wax"]).shape == packed.shape
        maps = paper.features(packed)
        assert [m.shape for m in maps] == [(1, 16, 8, 12)]
        ink, wax = (dict(paper.bank[name].items()) for name in ("ink", "wax"))
        mixed = {key: 0.3 * ink[key] + 0.7 * wax[key] for key in ink}
        (found,), (a,), (b,) = (paper.apply_filters(maps, f, 1.0) for f in (mixed, ink, wax))
    torch.testing.assert_close(found, 0.3 * a + 0.7 * b, atol=1e-4, rtol=1e-4)
