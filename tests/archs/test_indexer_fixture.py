"""The latent indexer and its frozen prior compute what the authors' code computes."""

import pytest
import torch
from fill import DEVICES, TOLERANCE, deviations, filled_network, load_outputs, report

ITEMS = ("logits_c16", "codes", "ref_x16_c64", "ref_x8_c64", "ref_x4_c32_s2", "ref_x2_c32_s4", "ref_img_s4")


@pytest.fixture(scope="module", params=(8, 16), ids="x{}".format)
def scale(request) -> int:
    return request.param


@pytest.fixture(scope="module", params=DEVICES)
def figures(request, scale) -> dict[str, float]:
    expected = load_outputs(f"indexer_x{scale}")
    net = filled_network(f"lrgenerator_x{scale}").to(request.param)
    lq = torch.from_numpy(expected["input"]).to(request.param)
    with torch.no_grad():
        logits, prior = net(lq), net.prior(lq)
    x16, x8, x4, x2 = prior.features
    items = {
        "logits_c16": logits.permute(0, 2, 3, 1)[..., ::16],
        "codes": prior.codes,
        "ref_x16_c64": x16[:, ::64],
        "ref_x8_c64": x8[:, ::64],
        "ref_x4_c32_s2": x4[:, ::32, ::2, ::2],
        "ref_x2_c32_s4": x2[:, ::32, ::4, ::4],
        "ref_img_s4": prior.image[..., ::4, ::4],
    }
    items = deviations(items, expected)
    report(f"indexer x{scale}", items)
    return items


@pytest.mark.parametrize("item", ITEMS)
def test_item_is_the_authors(figures, item):
    assert figures[item] < TOLERANCE
