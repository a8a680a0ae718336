"""Published weights: a file of the user's, or one fetched once into torch's cache."""

from urllib.error import URLError

import pytest
import torch

from gpemsr.archs.weights import SPYNET, VGG19, fetch, load_weights


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "checkpoints"


def test_a_file_of_the_users_is_read(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pth")
    assert load_weights(str(tmp_path / "w.pth"), VGG19) == {"a": torch.ones(1)}


def test_what_is_in_the_cache_is_not_downloaded_again(cache, monkeypatch):
    cache.mkdir()
    torch.save({"params": {}}, cache / "spynet_sintel_final-3d2a1287.pth")
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("downloaded"))
    assert load_weights("download", SPYNET) == {"params": {}}


def test_a_download_is_checked_by_the_hash_in_its_name(cache, monkeypatch):
    asked = []

    def download(url, path, hash_prefix):
        asked.append((path, hash_prefix))

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    assert fetch(VGG19) == cache / "vgg19-dcbb9e9d.pth"
    assert asked == [(str(cache / "vgg19-dcbb9e9d.pth"), "dcbb9e9d")]


@pytest.mark.parametrize("error", [URLError("no route"), RuntimeError("invalid hash value"), OSError("disk full")])
def test_a_failed_download_says_what_fits_instead(cache, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(ValueError) as refused:
        fetch(VGG19)
    text = str(refused.value)
    assert text.startswith(f"vgg_weights=download: {VGG19.url} cannot be downloaded (")
    assert text.endswith("expected the path of torchvision's VGG19, or perceptual: vqgan")
