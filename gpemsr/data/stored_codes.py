"""Target codes of stage II, computed once for whole sections in each orientation, and cropped in training.

What code a place gets depends on the whole image that the encoder sees, so that a section's codes are not those of its
flipped or transposed copies. A file has one array per volume and orientation, laid out as the section itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from tqdm import tqdm

from gpemsr.data.section_options import PRIOR_FACTOR
from gpemsr.data.section_sampling import Augmentation, to_tensor
from gpemsr.data.section_store import SectionStore
from gpemsr.errors import InputError, one_line
from gpemsr.files import replaced

AGAIN = "gpemsr-cache-codes --overwrite makes it again"


class StoredCodes:
    """Codes of a store's sections in a file of ``gpemsr-cache-codes``.

    Raises:
        InputError: it is absent or damaged, of other sections, or lacks an orientation.
    """

    def __init__(self, path: str, store: SectionStore, augmentations: Iterable[Augmentation]) -> None:
        self._path, self._volumes = Path(path).expanduser(), store.volumes
        metadata, names = _header(self._path)
        if (metadata["data"], metadata["step"]) != (store.fingerprint(), str(PRIOR_FACTOR)):
            raise InputError(f"{path}: has codes of sections other than those of {store.root}; {AGAIN}")
        if any(_name(volume, augment) not in names for volume in store.volumes for augment in augmentations):
            raise InputError(f"{path}: lacks orientations that use_hflip and use_rot can give; {AGAIN}")

    def crop(self, volume: str, section: int, y: int, x: int, size: int, augment: Augmentation) -> torch.Tensor:
        """The codes of the turned section under a crop: int64 (size, size), turned.

        Args:
            y, x, size: of the crop before it is turned, in codes.
        """
        place = self._volumes[volume].sections.index(section)
        with safe_open(self._path, "np") as file:
            codes = file.get_slice(_name(volume, augment))[place, y : y + size, x : x + size]
        return torch.from_numpy(augment(codes).astype(np.int64, order="C"))


def check_weights(path: str, state: Mapping[str, torch.Tensor], whose: str) -> None:
    """Raise InputError unless a file's codes were made with stage I's weights ``state``, those of ``whose``."""
    if _header(Path(path).expanduser())[0]["weights"] != _hash_of(state):
        raise InputError(f"{path}: made with stage I weights other than those of {whose}; {AGAIN}")


def write_codes(
    path: Path,
    store: SectionStore,
    augmentations: Iterable[Augmentation],
    state: Mapping[str, torch.Tensor],
    encode: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    """Compute the codes of all sections, as far as these fill whole codes, and write them.

    Args:
        encode: HR images (1, 1, H, W) in [0, 1] -> codes (1, H / 16, W / 16).

    Raises:
        InputError: a section cannot be read, or the file not be written.
    """
    arrays: dict[str, np.ndarray] = {}
    total = sum(len(info.sections) for info in store.volumes.values())
    with tqdm(total=total, unit="section", desc=path.name, disable=None) as bar:
        for volume, info in store.volumes.items():
            rows, columns = (side // PRIOR_FACTOR for side in info.shape)
            shape = (len(info.sections), rows, columns)
            arrays |= {_name(volume, augment): np.empty(shape, np.int32) for augment in augmentations}
            for place, section in enumerate(info.sections):
                image = store.read_float(volume, section, 0, 0, rows * PRIOR_FACTOR, columns * PRIOR_FACTOR)
                for augment in augmentations:
                    codes = encode(to_tensor(augment(image))[None])[0].cpu().numpy()
                    arrays[_name(volume, augment)][place] = augment.undo(codes)
                bar.update()
    metadata = {"weights": _hash_of(state), "data": store.fingerprint(), "step": str(PRIOR_FACTOR)}
    with replaced(path) as temporary:
        temporary.write_bytes(save(arrays, metadata))


def _name(volume: str, augment: Augmentation) -> str:
    """Name of an array: the volume's, and whether hflip, vflip and transpose are done."""
    return f"{volume}/{augment.hflip:d}{augment.vflip:d}{augment.transpose:d}"


def _header(path: Path) -> tuple[dict[str, str], list[str]]:
    """Metadata of a file and the names of its arrays. Raises InputError."""
    try:
        with safe_open(path, "np") as file:
            metadata, names = file.metadata() or {}, file.keys()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; gpemsr-cache-codes with the same option file makes it") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged, or not a file of gpemsr-cache-codes ({one_line(error)}); {AGAIN}") from None
    if not {"weights", "data", "step"} <= metadata.keys():
        raise InputError(f"{path}: not a file of gpemsr-cache-codes; {AGAIN}")
    return metadata, names


def _hash_of(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of weights in float32, by name."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode() + state[name].detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
