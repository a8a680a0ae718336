"""The VQGAN computes what the authors' code computes."""

import numpy as np
import pytest
import torch
from fill import DEVICES, TOLERANCE, deviations, filled_network, load_outputs, report

EXPECTED = load_outputs("vqgan")


@pytest.fixture(scope="module", params=DEVICES)
def figures(request) -> dict[str, float]:
    net = filled_network("vqgan_generator").to(request.param)
    image = torch.from_numpy(EXPECTED["input"]).to(request.param)
    with torch.no_grad():
        z = net.encoder(image)
        reconstruction, loss, codes = net(image)
        items = {
            "z_c8": z[:, ::8],
            "z_q_c8": net.codebook.lookup(codes)[:, ::8],
            "recon": reconstruction,
            "q_loss": loss,
            "indices": codes.flatten(),
        }
    items = deviations(items, EXPECTED)
    report("VQGAN", items)
    return items


@pytest.mark.parametrize("item", sorted(set(EXPECTED) - {"input"}))
def test_item_is_the_authors(figures, item):
    assert figures[item] < TOLERANCE


def test_wrong_codes_fail_the_comparison():
    wrong = np.roll(EXPECTED["indices"], 1)
    assert deviations({"indices": torch.from_numpy(wrong)}, EXPECTED)["indices"] > TOLERANCE
