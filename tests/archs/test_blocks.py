"""Building blocks of the VQGAN and the indexer."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpemsr.archs import blocks
from gpemsr.archs.blocks import NonLocal, ResBlock, conv3, in_bands, pad_to_multiple, recomputed, up


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 16))
def test_padding_keeps_the_image_and_repeats_its_last_row_and_column(h, w, multiple):
    x = torch.rand(2, 3, 1, h, w)
    padded = pad_to_multiple(x, multiple)
    height, width = padded.shape[-2:]
    assert (height % multiple, width % multiple) == (0, 0)
    assert height - h < multiple and width - w < multiple
    rows = torch.arange(height).clamp(max=h - 1)
    columns = torch.arange(width).clamp(max=w - 1)
    assert torch.equal(padded, x[..., rows[:, None], columns])


def test_an_image_that_fits_is_not_copied():
    x = torch.rand(1, 1, 32, 16)
    assert pad_to_multiple(x, 16) is x


@pytest.mark.parametrize("size", [1, 5, 8])
def test_down_halves_and_up_doubles(size):
    x = torch.rand(1, 2, 2 * size, 2 * size)
    assert conv3(2, 3, stride=2)(x).shape == (1, 3, size, size)
    assert up(2, 3)(x).shape == (1, 3, 4 * size, 4 * size)


@pytest.mark.parametrize("out_channels", [8, 12])
def test_res_block_adds_to_its_input(out_channels):
    block = ResBlock(8, out_channels, norm_groups=4)
    x = torch.randn(2, 8, 5, 6)
    torch.nn.init.zeros_(block.block[4].weight)  # the last norm: relu(0) = 0 is added
    expected = x if out_channels == 8 else block.shortcut(x)
    assert torch.equal(block(x), expected)


def test_res_block_has_no_shortcut_convolution_where_the_width_stays():
    assert not list(ResBlock(8, 8, 4).shortcut.parameters())


def test_non_local_is_softmax_attention_over_all_positions():
    layer = NonLocal(8, norm_groups=2)
    x = torch.randn(2, 8, 3, 4)
    y = layer.norm(x)
    q, k, v = (conv(y).flatten(2) for conv in (layer.q, layer.k, layer.v))  # (2, 8, 12)
    weights = (q.transpose(1, 2) @ k / 8**0.5).softmax(-1)  # of each position over all
    attended = (v @ weights.transpose(1, 2)).view_as(x)
    torch.testing.assert_close(layer(x), x + layer.proj(attended))


@torch.no_grad()
@pytest.mark.parametrize("places", [2**24, 40], ids=["one block", "blocks of three queries"])
@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 0.03)], ids=["fp32", "bf16"])
def test_attention_in_blocks_is_pytorchs_in_fp32(monkeypatch, places, layout, dtype, tolerance):
    monkeypatch.setattr(blocks, "ATTENTION_PLACES", places)
    q, k, v = torch.randn(3, 2, 1, 12, 8).to(dtype)
    if layout == "columns":
        q, k, v = (x.transpose(2, 3).contiguous().transpose(2, 3) for x in (q, k, v))
    expected = torch.nn.functional.scaled_dot_product_attention(q.float(), k.float(), v.float())
    attended = blocks.attend(q, k, v)
    assert attended.dtype == dtype
    torch.testing.assert_close(attended.float(), expected, rtol=tolerance, atol=tolerance)


def test_products_do_not_need_onednn(monkeypatch):
    x, y = torch.randn(3, 8), torch.randn(5, 8)
    found = blocks.product(x, y)
    monkeypatch.setattr(blocks, "HAS_ONEDNN", False)
    torch.testing.assert_close(blocks.product(x, y), found)


@torch.no_grad()
@pytest.mark.parametrize("h", [8, 9, 16, 41])
@pytest.mark.parametrize(
    ("function", "halo", "scale"),
    [
        (torch.nn.Sequential(conv3(2, 3), conv3(3, 1)), 2, 1),
        (torch.nn.Sequential(up(2, 3), conv3(3, 1)), 1, 2),
        (torch.nn.Sequential(conv3(2, 3), torch.nn.AvgPool2d(4, ceil_mode=True)), 4, 1),
    ],
    ids=["same size", "enlarged", "pooled"],
)
def test_bands_give_what_the_whole_gives(monkeypatch, function, halo, scale, h):
    x, seen = torch.randn(2, 2, h + -h % halo, 6), []
    expected = function(x)
    monkeypatch.setattr(blocks, "CPU_PIXELS", 40)

    def watched(part: torch.Tensor) -> torch.Tensor:
        seen.append(part.shape[2])
        return function(part)

    torch.testing.assert_close(in_bands(watched, x, halo=halo, scale=scale), expected)
    assert max(seen) <= 10 * halo and len(seen) == -(-x.shape[2] // (8 * halo))


def test_what_is_recomputed_has_the_same_gradient_and_is_computed_twice():
    block, runs = ResBlock(32, 32), []
    block.register_forward_pre_hook(lambda *_: runs.append(1))
    x, found = torch.randn(1, 32, 8, 8), []
    for call in (block, partial(recomputed, block)):
        copy = x.clone().requires_grad_()
        y = call(copy)
        y.square().mean().backward()
        found.append((y, copy.grad))
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=0)
    assert len(runs) == 3
