"""Checks of option files: each mistake is refused with one line that names file, key, value and what is expected."""

import copy
from typing import ClassVar, Literal

import pytest
from tiny_basicsr import tiny_options, write_pngs

from gpemsr.compat import importable_basicsr
from gpemsr.errors import InputError
from gpemsr.options.check import check_options
from gpemsr.options.read import override
from gpemsr.options.schema import DatasetOptions, TrainOptions

with importable_basicsr():
    from basicsr.models.sr_model import SRModel
    from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, MODEL_REGISTRY


class TypedNetwork:
    """Says by its signature what it accepts."""

    def __init__(self, width: int, channels: tuple[int, ...] = (4, 8), mode: Literal["a", "b"] = "a", vgg_path=None):
        pass

    @classmethod
    def check_options(cls, **options):
        if options["width"] % 2:
            raise ValueError(f"width={options['width']}: an even number is expected")


class TypedDataset:
    class Options(DatasetOptions):
        dataroot_gt: str
        gt_size: int | None = None

    @staticmethod
    def check_options(opt):
        if opt.get("gt_size") and opt["gt_size"] % opt["scale"]:
            raise ValueError(f"gt_size={opt['gt_size']}: a multiple of scale={opt['scale']} is expected")


class TypedModel(SRModel):
    works_with: ClassVar = {"network_g": ("TypedNetwork",), "network_d": (), "datasets.train": ("TypedDataset",)}

    class Options(TrainOptions):
        pixel_opt: dict
        start: int = 0

    @classmethod
    def check_options(cls, opt):
        if opt["train"].get("start", 0) > opt["train"]["total_iter"]:
            raise ValueError(f"train.start={opt['train']['start']}: at most total_iter is expected")


@pytest.fixture(scope="module", autouse=True)
def registered():
    entries = ((ARCH_REGISTRY, TypedNetwork), (DATASET_REGISTRY, TypedDataset), (MODEL_REGISTRY, TypedModel))
    for registry, entry in entries:
        registry.register(entry)
    yield
    for registry, entry in entries:
        del registry._obj_map[entry.__name__]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("images")
    write_pngs(path)
    return path


@pytest.fixture
def stock(folder) -> dict:
    return tiny_options(folder)


@pytest.fixture
def typed(folder) -> dict:
    options = tiny_options(folder)
    options["model_type"] = "TypedModel"
    options["network_g"] = {"type": "TypedNetwork", "width": 2}
    options["network_d"] = {"type": "TypedNetwork", "width": 2}
    options["datasets"]["train"] = {
        "name": "T",
        "type": "TypedDataset",
        "dataroot_gt": str(folder / "hr"),
        "io_backend": {"type": "disk"},
        "gt_size": 16,
        "num_worker_per_gpu": 0,
        "batch_size_per_gpu": 2,
    }
    return options


def refusal(options: dict, *entries: str, is_train: bool = True) -> str:
    with pytest.raises(InputError) as refused:
        check_options(override(copy.deepcopy(options), entries), "my.yml", is_train)
    text = str(refused.value)
    assert text.startswith("my.yml: ")
    assert "\n" not in text
    return text.removeprefix("my.yml: ")


def test_what_is_right_passes(stock, typed):
    check_options(stock, "my.yml", True)
    check_options(typed, "my.yml", True)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("nam=1", "nam: unknown key; did you mean name?"),
        ("name=a/b", 'name="a/b": a folder name without slashes is expected, of at most 100 bytes'),
        ("scale=2.5", "scale=2.5: a valid integer is expected"),
        ("num_gpu=many", "num_gpu=\"many\": a valid integer or 'auto' is expected"),
        ("num_gpu=99", "num_gpu=99: this machine has"),
        ("model_type=SRModl", 'model_type="SRModl": nothing of this name is registered; did you mean SRModel'),
        ("network_g:type=EDRS", 'network_g.type="EDRS": nothing of this name is registered; did you mean'),
        ("network_g:num_fat=2", "network_g.num_fat: unknown key; did you mean num_feat?"),
        ("network_g:upscale=4", "network_g.upscale=4: the file's scale=2 is expected"),
        ("datasets:train:type=Paired", 'datasets.train.type="Paired": nothing of this name is registered'),
        ("datasets:train:dataroot_gt=nope", 'datasets.train.dataroot_gt="nope": no such file or folder'),
        ("datasets:train:batch_size_per_gpu=0", "datasets.train.batch_size_per_gpu=0: greater than 0 is expected"),
        ("datasets:train:prefetch_mode=cuda", 'datasets.train.prefetch_mode="cuda": there is no CUDA device'),
        ("datasets:test=1", "datasets.test: unknown key; known: train, val, val_2"),
        ("path:pretrain_network_g=no.pth", 'path.pretrain_network_g="no.pth": no such file or folder'),
        ("path:pretrain_network_x=no.pth", "path.pretrain_network_x: unknown key; did you mean pretrain_network_g"),
        (
            "train:optim_g:lr=4e-4",
            'train.optim_g.lr="4e-4": a valid number is expected (YAML reads 4e-4 as text: write !!float',
        ),
        ("train:optim_g:type=AdamW", "train.optim_g.type=\"AdamW\": 'Adam' is expected"),
        ("train:pixel_opt:type=L2", 'train.pixel_opt.type="L2": nothing of this name is registered; known:'),
        ("train:pixel_opt:los=1", "train.pixel_opt.los: unknown key; known: loss_weight, reduction"),
        ("train:scheduler:milestones=3", "train.scheduler.milestones=3: a list is expected"),
        ("train:scheduler:type=Cosine", 'train.scheduler.type="Cosine": MultiStepLR or'),
        ("train:total_iter=-3", "train.total_iter=-3: greater than 0 is expected"),
        ("val:save_img=3", "val.save_img=3: a valid boolean is expected"),
        ("val:metrics:psnr:type=psnr", 'val.metrics.psnr.type="psnr": nothing of this name is registered'),
        ("val:metrics:psnr:border=1", "val.metrics.psnr.border: unknown key; did you mean crop_border?"),
        ("logger:print_freq=no", "logger.print_freq=false: a valid number is expected"),
    ],
)
def test_each_mistake_with_basicsrs_own_classes(stock, entry, message):
    assert refusal(stock, entry).startswith(message)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("network_g:width=2.5", "network_g.width=2.5: a valid integer is expected"),
        ("network_g:width=3", "network_g.width=3: an even number is expected"),
        ("network_g:channels=[4, x]", 'network_g.channels.1="x": a valid integer is expected'),
        ("network_g:mode=c", "network_g.mode=\"c\": 'a' or 'b' is expected"),
        ("network_g:vgg_path=no.pth", 'network_g.vgg_path="no.pth": no such file or folder'),
        ("network_g:type=EDSR", 'network_g.type="EDSR": with this model_type, TypedNetwork is expected'),
        ("network_d=none", "network_d is missing: TypedModel needs this network"),
        ("network_x={type: TypedNetwork}", "network_x: unknown key; did you mean network_"),
        ("datasets:train:type=PairedImageDataset", 'datasets.train.type="PairedImageDataset": with this model_type'),
        ("datasets:train:gt_sise=16", "datasets.train.gt_sise: unknown key; did you mean gt_size?"),
        ("datasets:train:gt_size=big", 'datasets.train.gt_size="big": a valid integer is expected'),
        ("datasets:train:gt_size=15", "datasets.train.gt_size=15: a multiple of scale=2 is expected"),
        ("datasets:train:io_backend:type=zip", "datasets.train.io_backend.type=\"zip\": 'lmdb' or 'disk' is expected"),
        ("datasets:train:io_backend:tipe=zip", "datasets.train.io_backend.tipe: unknown key; did you mean type?"),
        ("train:strat=1", "train.strat: unknown key; did you mean start?"),
        ("train:start=9", "train.start=9: at most total_iter is expected"),
    ],
)
def test_each_mistake_with_classes_that_say_what_they_accept(typed, entry, message):
    assert refusal(typed, entry).startswith(message)


@pytest.mark.parametrize(
    "dotted",
    [
        "name",
        "model_type",
        "num_gpu",
        "datasets",
        "datasets.train",
        "datasets.train.name",
        "datasets.train.type",
        "datasets.train.batch_size_per_gpu",
        "network_g",
        "network_g.type",
        "network_g.num_in_ch",
        "path",
        "train",
        "train.total_iter",
        "train.optim_g",
        "train.optim_g.lr",
        "train.scheduler",
        "train.scheduler.milestones",
        "train.pixel_opt.type",
        "val.save_img",
        "val.val_freq",
        "val.metrics.psnr.crop_border",
        "logger",
        "logger.print_freq",
    ],
)
def test_each_missing_key_is_named(stock, dotted):
    *sections, key = dotted.split(".")
    section = stock
    for name in sections:
        section = section[name]
    del section[key]
    assert refusal(stock).startswith(f"{dotted} is missing: ")


def test_a_schedule_must_cover_the_training(stock):
    stock["train"]["scheduler"] = {"type": "CosineAnnealingRestartLR", "periods": [1], "restart_weights": [1]}
    assert refusal(stock) == "train.scheduler.periods=[1]: a sum of at least total_iter=2 is expected"
    stock["train"]["scheduler"]["periods"] = [1, 1]
    assert refusal(stock).startswith("train.scheduler.restart_weights=[1]: a weight for each of periods")


def test_test_files_need_test_sets_and_val(stock):
    del stock["train"], stock["logger"]
    assert refusal(stock, is_train=False).startswith("datasets.train: unknown key; known: test")
    stock["datasets"] = {"test_1": stock["datasets"]["val"]}
    check_options(stock, "my.yml", False)
    del stock["val"]
    assert refusal(stock, is_train=False).startswith("val is missing")
