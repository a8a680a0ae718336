"""The authors' checkpoints: recognised, converted there and back, refused with every key that does not fit."""

import argparse
from collections import OrderedDict

import pytest
import torch
from fill import blank_state
from narrow_networks import NARROW, authors_state, build_network, narrow_network

from gpemsr.checkpoints.authors import compare, describe, from_authors, recognise, to_authors, used_directly
from gpemsr.checkpoints.files import load_authors_file
from gpemsr.checkpoints.loading import load_network_state
from gpemsr.errors import InputError

MODULES = {
    "vqgan_generator": "stage I generator",
    "discriminator": "stage I discriminator",
    "lrgenerator_x8": "stage II generator x8",
    "lrgenerator_x16": "stage II generator x16",
    "gpemsr_x8": "stage III network x8",
    "gpemsr_x16": "stage III network x16",
}
WRAPPERS = {
    "bare": lambda state: state,
    "params": lambda state: {"params": state},
    "params_ema": lambda state: {"params_ema": state},
    "module.": lambda state: {f"module.{key}": value for key, value in state.items()},
    "params with module.": lambda state: {
        "params": {f"module.{key}": value for key, value in state.items()},
        "iter": 5,
    },
}


@pytest.mark.parametrize("module", MODULES)
def test_released_layout_is_recognised_and_loads_strictly(module):
    options, ours = from_authors(blank_state(module))
    assert describe(options) == MODULES[module]
    with torch.device("meta"):
        net = build_network(options)
    net.load_state_dict(ours, strict=True, assign=True)


@pytest.mark.parametrize("module", MODULES)
def test_there_and_back_is_the_same_but_for_unused_layers(module):
    state = blank_state(module)
    unused = set(compare(state).unused)
    back = to_authors(*from_authors(state))
    assert back.keys() == state.keys() - unused
    assert all(back[key] is state[key] for key in back)


@pytest.mark.parametrize(("scale", "count"), [(8, 116), (16, 106)])
def test_unused_layers_are_those_without_part_in_the_result(scale, count):
    unused = compare(blank_state(f"gpemsr_x{scale}")).unused
    assert len(unused) == count
    of_x8_only = {"reffea_L4_conv1", "down_fea_conv3", "reffusionconv4", "fusion_fea_block4"}
    modules = {key.split(".")[0] for key in unused}
    assert modules == {"refmodel", "vgg"} | (of_x8_only if scale == 8 else set())
    assert all(
        key.startswith(("refmodel.encoder.", "vgg.slice")) for key in unused if key[0] in "rv" and key[3] in "m."
    )


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", ["PatchDiscriminator", "VQGAN"])
def test_every_layout_of_a_file_is_unwrapped(name, wrapper):
    state = authors_state(name)
    options, ours = from_authors(WRAPPERS[wrapper](state))
    assert options["type"] == name.split("-")[0]
    assert ours.keys() == from_authors(state)[1].keys()


@pytest.mark.parametrize("name", NARROW)
def test_other_widths_are_inferred(name):
    net = narrow_network(name)
    options, ours = from_authors(authors_state(name))
    for key, value in NARROW[name].items():
        if key not in ("prior", "vqgan"):
            assert options[key] == value
    with torch.device("meta"):
        again = build_network(options)
    again.load_state_dict(ours, strict=True, assign=True)
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in again.state_dict().items())


TELLING = ["conv_first.weight", "refmodel.decoder.feat_extract.2.upblock.weight", "upconv3.bias"]  # of the widths


@pytest.mark.parametrize("key", TELLING)
def test_missing_key_is_named(key):
    state = blank_state("gpemsr_x8")
    del state[key], state["HRconv.bias"]
    with pytest.raises(InputError) as error:
        from_authors(state)
    text = str(error.value)
    assert "stage III network x8" in text and "2 missing" in text
    assert key in text and "HRconv.bias" in text and "left over" not in text


@pytest.mark.parametrize("key", TELLING)
def test_key_of_another_shape_is_named_with_both_shapes(key):
    state = blank_state("gpemsr_x8")
    fits = tuple(state[key].shape)
    state[key] = torch.empty(3, *fits[1:])
    with pytest.raises(InputError) as error:
        from_authors(state)
    assert f"1 of another shape: {key} {(3, *fits[1:])}, expected {fits}" in str(error.value)


@pytest.mark.parametrize(("name", "step"), [("PatchDiscriminator", 1), ("VQGAN", 23), ("LatentIndexer-x8", 61)])
def test_one_key_does_not_mislead_about_other_widths(name, step):
    state = authors_state(name)
    for key in list(state)[::step]:
        wrong = {**state, key: torch.zeros(state[key].dim() * (5,))}
        with pytest.raises(InputError) as error:
            from_authors(wrong)
        assert f"of another shape: {key} " in str(error.value)


@pytest.mark.parametrize("module", ["discriminator", "vqgan_generator", "gpemsr_x8"])
def test_left_over_keys_are_named(module):
    state = blank_state(module)
    key = next(iter(state))
    with pytest.raises(InputError, match=r"2 left over: first\.extra, second\.extra"):
        from_authors({**state, "first.extra": state[key], "second.extra": state[key]})


def test_unused_layers_of_x8_are_not_unused_at_x16():
    state = blank_state("gpemsr_x16")
    del state["reffusionconv4.weight"]
    with pytest.raises(InputError, match=r"x16: 1 missing: reffusionconv4\.weight$"):
        from_authors(state)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"perceptual": "vqgan"}, "perceptual=vqgan: the authors' code has vgg19 only"),
        ({"bidirectional_flow": True}, "bidirectional_flow=True: the authors' code has False only"),
        ({"flow_scale": 2}, "flow_scale=2: the authors' code has 4 only"),
        ({"flow": "train", "flow_levels": 3}, "flow_levels=3: the authors' code has 6 only"),
        ({"prior": {"norm_groups": 16}}, "prior.norm_groups=16: the authors' code has 32 only"),
        ({"num_frames": 5}, "network options: .*num_frames"),
        ({"num_frame": 4}, "network options: num_frame=4"),
        ({"type": "SwinIR"}, "type=SwinIR: expected one of GPEMSR, LatentIndexer, VQGAN, PatchDiscriminator"),
        ({"num_reconstruct_block": 2}, "4 missing: reconstruction.1.conv1.weight"),
    ],
)
def test_network_that_the_authors_do_not_have_is_refused(change, text):
    with pytest.raises(InputError, match=text):
        to_authors({**NARROW["GPEMSR-x8"], **change}, narrow_network("GPEMSR-x8").state_dict())


def test_options_may_leave_defaults_out():
    with torch.device("meta"):
        net = build_network({"type": "VQGAN"})
    assert "encoder.feat_extract.8.proj_out.weight" in to_authors({"type": "VQGAN"}, net.state_dict())


@pytest.mark.parametrize("name", ["VQGAN", "LatentIndexer-x8", "GPEMSR-x16"])
def test_our_names_are_not_taken_for_the_authors(name):
    state = narrow_network(name).state_dict()
    assert recognise(state) is None
    with pytest.raises(InputError, match="none of the authors' networks"):
        from_authors(state)


@pytest.mark.parametrize(
    ("key", "option"), [("basic_module.0.basic_module.0.weight", "flow_weights"), ("features.34.weight", "vgg_weights")]
)
def test_files_used_as_they_are_name_their_option(key, option):
    assert used_directly({key: torch.zeros(1)})[1] == option
    with pytest.raises(InputError, match=f"used as it is: give its path as {option} in network_g"):
        from_authors({key: torch.zeros(1)})


@pytest.mark.parametrize("name", NARROW)
def test_network_state_is_ours_whichever_names_the_file_has(tmp_path, name):
    ours = narrow_network(name).state_dict()
    torch.save({"params": ours}, tmp_path / "ours.pth")
    torch.save(authors_state(name), tmp_path / "authors.pth")
    for file in ("ours.pth", "authors.pth"):
        state = load_network_state(str(tmp_path / file))
        assert state.keys() == ours.keys()
        assert all(torch.equal(state[key], ours[key]) for key in ours)


def test_param_key_chooses_among_the_weights_of_a_file(tmp_path):
    state = authors_state("PatchDiscriminator")
    averaged = {key: value + 1 for key, value in state.items()}
    torch.save({"params": state, "params_ema": averaged}, tmp_path / "both.pth")
    path = str(tmp_path / "both.pth")
    assert torch.equal(load_network_state(path)["model.11.bias"], state["model.11.bias"])
    assert torch.equal(load_network_state(path, "params_ema")["model.11.bias"], averaged["model.11.bias"])
    torch.save({"params_ema": averaged}, tmp_path / "both.pth")
    assert torch.equal(load_network_state(path)["model.11.bias"], averaged["model.11.bias"])


def test_key_that_does_not_fit_names_the_file(tmp_path):
    state = authors_state("VQGAN")
    del state["decoder.output_layer.bias"]
    torch.save(state, tmp_path / "stage1.pth")
    with pytest.raises(InputError, match=r"stage1\.pth: .*1 missing: decoder.output_layer.bias$"):
        load_network_state(str(tmp_path / "stage1.pth"))


def test_pickle_that_needs_code_is_refused_in_one_line(tmp_path):
    torch.save({"params": authors_state("PatchDiscriminator"), "args": argparse.Namespace(lr=1)}, tmp_path / "code.pth")
    with pytest.raises(
        InputError, match=r"refused, it needs argparse\.Namespace; expected a file of plain tensors"
    ) as error:
        load_authors_file(tmp_path / "code.pth")
    assert "\n" not in str(error.value)


def damaged(path, how):
    torch.save(authors_state("PatchDiscriminator"), path)
    content = path.read_bytes()
    texts = {"html": b"<html>404</html>\n", "text": b"hello world\n"}  # the unpickler raises another error for each
    path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", **texts}[how])


@pytest.mark.parametrize("how", ["truncated", "empty", "html", "text"])
def test_damaged_file_is_refused_in_one_line(tmp_path, how):
    damaged(tmp_path / "file.pth", how)
    with pytest.raises(InputError, match=r"file\.pth: ") as error:
        load_authors_file(tmp_path / "file.pth")
    assert "\n" not in str(error.value)


def test_absent_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.pth: no such file"):
        load_authors_file(tmp_path / "absent.pth")


@pytest.mark.parametrize("content", [[1, 2], {}, {"lr": 0.1, "weight": torch.zeros(1)}, {"params": OrderedDict(a=3)}])
def test_file_without_a_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth: .*state dict"):
        load_authors_file(tmp_path / "other.pth")


STAGES = {"VQGANModel": "VQGAN", "LatentIndexerModel": "LatentIndexer-x16", "GPEMSRModel": "GPEMSR-x8"}


@pytest.mark.parametrize("stage", STAGES)
def test_pretrain_network_g_of_every_stage_takes_an_authors_file(tmp_path, stage):
    from basicsr.models import build_model

    torch.save(authors_state(STAGES[stage]), tmp_path / "authors.pth")
    path = {"pretrain_network_g": str(tmp_path / "authors.pth"), "strict_load_g": True}
    options = {"network_g": dict(NARROW[STAGES[stage]]), "path": path}
    model = build_model({"model_type": stage, "num_gpu": 0, "dist": False, "is_train": False, **options})
    loaded, expected = model.net_g.state_dict(), narrow_network(STAGES[stage]).state_dict()
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)
