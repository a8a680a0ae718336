"""The weights of the reference fixtures are drawn as when the fixtures were made."""

import hashlib
import zlib

import pytest
from fill import MANIFEST, authors_entries, fill

MODULES = [module for module, entry in MANIFEST.items() if isinstance(entry, dict)]
ALL_FILLED = ("vqgan_generator", "discriminator", "lrgenerator_x8", "lrgenerator_x16")  # no layer is unused


def used_entries(module):
    if module == "vgg19":  # up to relu3_4
        return {name: shape for name, shape in authors_entries(module).items() if int(name.split(".")[1]) < 18}
    return authors_entries(module, unused=False)


@pytest.mark.parametrize("module", MODULES)
def test_every_used_entry_has_its_crc(module):
    entries = used_entries(module)
    wrong = [
        name
        for name, shape in entries.items()
        if zlib.crc32(fill(name, shape).numpy().tobytes()) != MANIFEST[module]["keys"][name][1]
    ]
    assert entries and not wrong


@pytest.mark.parametrize("module", ALL_FILLED)
def test_whole_state_dict_has_its_sha(module):
    digest = hashlib.sha256()
    for name, shape in authors_entries(module).items():
        digest.update(fill(name, shape).numpy().tobytes())
    assert digest.hexdigest() == MANIFEST[module]["sha256_of_float32_bytes_in_order"]


def test_salt_and_name_change_the_values():
    assert not fill("a.weight", (4, 4), "public").equal(fill("b.weight", (4, 4), "public"))
    assert not fill("a.weight", (4, 4), "public").equal(fill("a.weight", (4, 4), "other"))
