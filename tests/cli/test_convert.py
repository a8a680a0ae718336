"""``gpemsr-convert``: says what a checkpoint is, writes it under our names or the authors', refuses the rest."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from narrow_networks import NARROW, authors_state, build_network, narrow_network

from gpemsr.checkpoints import files as checkpoint_files
from gpemsr.cli.convert import main

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def workdir(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("VQGAN", "the authors' stage I generator, every key matches"),
        ("PatchDiscriminator", "the authors' stage I discriminator, every key matches"),
        ("LatentIndexer-x16", "the authors' stage II generator x16, every key matches"),
        ("GPEMSR-x8", "the authors' stage III network x8, every key matches"),
    ],
)
def test_says_what_a_file_is_and_its_network_options(name, said, capsys):
    torch.save(authors_state(name), "file.pth")
    assert main(["file.pth"]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == f"file.pth: {said}"
    if name == "GPEMSR-x8":
        assert rest.pop(0).endswith("left out, layers that they never use: refmodel.encoder, vgg.slice3")
    options = yaml.safe_load("\n".join(rest))["network_g"]
    build_network(options).load_state_dict(narrow_network(name).state_dict(), strict=True)


def test_writes_params_that_our_network_loads_and_where_they_are_from(capsys):
    torch.save({"params": authors_state("LatentIndexer-x8")}, "stage2.pth")
    assert main(["stage2.pth", "--out", "ours.pth"]) == 0
    assert (
        f"ours.pth: written, {len(narrow_network('LatentIndexer-x8').state_dict())} entries" in capsys.readouterr().out
    )
    written = torch.load("ours.pth", weights_only=True)
    metadata = written["metadata"]
    build_network(metadata["network_g"]).load_state_dict(written["params"], strict=True)
    assert (metadata["content"], metadata["scale"], metadata["source"]) == ("stage II generator x8", 8, "stage2.pth")
    assert metadata["source_sha256"] == hashlib.sha256(Path("stage2.pth").read_bytes()).hexdigest()


def test_converted_file_goes_back_by_its_metadata():
    torch.save(authors_state("VQGAN"), "stage1.pth")
    assert main(["stage1.pth", "--out", "ours.pth"]) == 0
    assert main(["ours.pth", "--to-authors", "--out", "back.pth"]) == 0
    back, state = torch.load("back.pth", weights_only=True)["params"], authors_state("VQGAN")
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_trained_checkpoint_goes_back_by_its_option_file(capsys):
    torch.save({"params": narrow_network("VQGAN").state_dict()}, "net_g_latest.pth")
    assert main(["net_g_latest.pth", "--to-authors", "--out", "back.pth"]) == 2
    assert "the option file of its training is expected as --options" in capsys.readouterr().err
    Path("stage1.yml").write_text(yaml.safe_dump({"network_g": NARROW["VQGAN"]}))
    assert main(["net_g_latest.pth", "--to-authors", "--options", "stage1.yml", "--out", "back.pth"]) == 0
    assert "decoder.input_layer.0.weight" in torch.load("back.pth", weights_only=True)["params"]


def test_checkpoint_that_a_training_saved_goes_back_by_its_metadata():
    metadata = {"key_names": "gpemsr", "network_g": NARROW["VQGAN"]}
    torch.save({"params": narrow_network("VQGAN").state_dict(), "metadata": metadata}, "net_g_latest.pth")
    assert main(["net_g_latest.pth", "--to-authors", "--out", "back.pth"]) == 0


@pytest.mark.parametrize(
    ("key", "what", "option"),
    [
        ("basic_module.0.basic_module.0.weight", "BasicSR's SPyNet", "flow_weights"),
        ("features.34.weight", "torchvision's VGG19", "vgg_weights"),
    ],
)
def test_vgg_and_spynet_files_are_reported_as_usable_directly(key, what, option, capsys):
    torch.save({"params": {key: torch.zeros(1)}}, "file.pth")
    said = f"{what}, used as it is: give its path as {option} in network_g"
    assert main(["file.pth"]) == 0
    assert capsys.readouterr().out == f"file.pth: {said}\n"
    assert main(["file.pth", "--out", "ours.pth"]) == 2
    assert capsys.readouterr().err == f"error: file.pth: {said}\n"
    assert not Path("ours.pth").exists()


def test_bad_files_end_with_one_line_and_code_2(capsys):
    state = authors_state("VQGAN")
    del state["codebook.embedding.weight"]
    torch.save(state, "file.pth")
    assert main(["file.pth", "--out", "ours.pth"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: file.pth: nearly the authors' stage I generator: ")
    assert "1 missing: codebook.embedding.weight" in error and error.count("\n") == 1
    assert os.listdir() == ["file.pth"]


def test_existing_file_is_kept_unless_asked(capsys):
    torch.save(authors_state("PatchDiscriminator"), "file.pth")
    Path("ours.pth").write_text("mine")
    assert main(["file.pth", "--out", "ours.pth"]) == 2
    assert capsys.readouterr().err == "error: ours.pth exists; --overwrite replaces it\n"
    assert Path("ours.pth").read_text() == "mine"
    assert main(["file.pth", "--out", "ours.pth", "--overwrite"]) == 0
    assert "params" in torch.load("ours.pth", weights_only=True)


def test_folder_that_is_absent_is_refused(capsys):
    assert main(["file.pth", "--out", "absent/ours.pth"]) == 2
    assert capsys.readouterr().err == "error: absent/ours.pth: no such folder\n"


def test_full_disk_leaves_nothing_and_keeps_the_old_file():
    script = (
        "import resource, sys, torch; from pathlib import Path; from gpemsr.checkpoints import files as c\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))\n"
        "try: c.save_checkpoint(Path('ours.pth'), {'params': {'a': torch.zeros(100000)}})\n"
        "except c.InputError as error: print(error)\n"
    )
    Path("ours.pth").write_text("old")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=os.getcwd())
    assert done.stdout.startswith("ours.pth: cannot be written"), done.stderr
    assert os.listdir() == ["ours.pth"]
    assert Path("ours.pth").read_text() == "old"


def test_killed_while_writing_keeps_the_old_file(monkeypatch):
    Path("ours.pth").write_text("old")

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(os, "fsync", die)
        checkpoint_files.save_checkpoint(Path("ours.pth"), {"params": {"a": torch.zeros(1000)}})
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert Path("ours.pth").read_text() == "old"


def test_script_of_the_checkout_shows_its_help():
    script = CHECKOUT / "tools" / "convert_checkpoint.py"
    done = subprocess.run([sys.executable, str(script), "-h"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "--to-authors" in done.stdout, done.stderr


def test_two_trainings_are_blended():
    torch.manual_seed(0)
    states = [build_network(NARROW["VQGAN"]).state_dict() for _ in range(2)]
    for name, state in zip("ab", states, strict=True):
        metadata = {"key_names": "gpemsr", "network_g": NARROW["VQGAN"]}
        checkpoint_files.save_checkpoint(Path(f"{name}.pth"), {"params": state, "metadata": metadata})
    assert main(["a.pth", "--blend", "./b.pth", "0.25", "--out", "c.pth"]) == 0
    blended = torch.load("c.pth", weights_only=True)
    key = "encoder.stem.0.weight"
    torch.testing.assert_close(blended["params"][key], 0.75 * states[0][key] + 0.25 * states[1][key])
    assert blended["metadata"]["blend"] == ["b.pth", "0.25"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--blend", "a.pth", "0.5"], "--out FILE is expected"),
        (["--blend", "a.pth", "half", "--out", "c.pth"], "a share from 0 to 1 is expected"),
        (["--blend", "missing.pth", "0.5", "--out", "c.pth"], "missing.pth: no such file"),
    ],
)
def test_a_blend_that_cannot_be_is_one_line(arguments, message, capsys):
    torch.save(authors_state("VQGAN"), "a.pth")
    assert main(["a.pth", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not Path("c.pth").exists()


def test_a_baseline_is_converted_to_half_precision(capsys):
    options = {"type": "SectionEDVR", "scale": 8, "num_feat": 8, "num_frame": 5, "deformable_groups": 2}
    options |= {"num_extract_block": 1, "num_reconstruct_block": 1}
    metadata = {"key_names": "gpemsr", "network_g": options}
    checkpoint_files.save_checkpoint(
        Path("edvr.pth"), {"params": build_network(options).state_dict(), "metadata": metadata}
    )
    assert main(["edvr.pth", "--out", "half.safetensors"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "edvr.pth: our SectionEDVR x8"
    assert Path("half.safetensors").stat().st_size < 0.6 * Path("edvr.pth").stat().st_size
