import pytest
import torch

from gpemsr.checkpoints.files import read_checkpoint, save_checkpoint
from gpemsr.errors import InputError

STATE = {"a.weight": torch.linspace(-2, 2, 12).view(3, 4), "a.steps": torch.tensor([3])}
METADATA = {"key_names": "gpemsr", "network_g": {"type": "GPEMSR", "scale": 8}}


def test_weights_and_options_come_back(tmp_path):
    save_checkpoint(tmp_path / "net.safetensors", {"params": STATE, "metadata": METADATA})
    loaded = read_checkpoint(tmp_path / "net.safetensors")
    assert loaded["metadata"] == METADATA
    assert loaded["params"]["a.weight"].dtype == torch.float32
    torch.testing.assert_close(loaded["params"], STATE, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("value", [float("nan"), 1e5])
def test_what_half_precision_cannot_hold_is_refused(tmp_path, value):
    with pytest.raises(InputError, match=r"^w: expected finite numbers"):
        save_checkpoint(tmp_path / "net.safetensors", {"params": {"w": torch.tensor([value])}})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("keep", [0, 7, 60, -1])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, keep):
    file = tmp_path / "net.safetensors"
    save_checkpoint(file, {"params": STATE, "metadata": METADATA})
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError, match="cannot be read as safetensors") as error:
        read_checkpoint(file)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_checkpoint(tmp_path / "net.safetensors")
