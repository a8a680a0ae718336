"""BasicSR's own video models, by their names in option files, on any device."""

from types import SimpleNamespace

import pytest
import torch
from tiny_video import FRAMES, PSNR, register_tiny_video, video_options

import gpemsr

gpemsr.register()
from basicsr.data import build_dataset  # noqa: E402
from basicsr.models import build_model  # noqa: E402
from basicsr.models.video_base_model import VideoBaseModel  # noqa: E402
from basicsr.models.video_recurrent_model import VideoRecurrentModel  # noqa: E402
from basicsr.utils.registry import MODEL_REGISTRY  # noqa: E402

BASICSRS = {"VideoBaseModel": VideoBaseModel, "VideoRecurrentModel": VideoRecurrentModel}
only_without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="BasicSR fails here only without CUDA")


@pytest.fixture(params=list(BASICSRS))
def options(request, tmp_path) -> dict:
    register_tiny_video()
    paths = {"visualization": str(tmp_path), "models": str(tmp_path), "training_states": str(tmp_path)}
    complete = {"is_train": False, "dist": False, "rank": 0, "world_size": 1, "path": paths}
    return video_options(request.param) | complete


def validate(model, save_img=False, name="V"):
    recurrent = isinstance(model, VideoRecurrentModel)
    dataset = build_dataset({"name": name, "type": "TinyVideoDataset", "phase": "val", "clips": recurrent})
    model.validation(SimpleNamespace(dataset=dataset), 7, None, save_img)


def test_they_validate_on_the_cpu(options):
    model = build_model(options)
    assert isinstance(model, BASICSRS[options["model_type"]])
    for name in ("V", "W"):
        validate(model, name=name)
        assert model.best_metric_results[name]["psnr"]["val"] == pytest.approx(PSNR, abs=1e-3)


@only_without_cuda
def test_those_of_basicsr_need_cuda(options):
    model = BASICSRS[options["model_type"]](options)
    with pytest.raises((RuntimeError, AssertionError), match=r"CUDA|NVIDIA"):
        validate(model)


def test_they_save_images_while_training(options, tmp_path):
    model = build_model(options)
    model.opt["is_train"] = True
    validate(model, save_img=True)
    assert model.opt["is_train"]
    assert len(list((tmp_path / "V" / "a").glob("*_7.png"))) == FRAMES


def test_models_built_on_them_do_too():
    from basicsr.models.edvr_model import EDVRModel

    model = MODEL_REGISTRY.get("EDVRModel")
    assert issubclass(model, EDVRModel)
    assert model.dist_validation is MODEL_REGISTRY.get("VideoBaseModel").dist_validation
