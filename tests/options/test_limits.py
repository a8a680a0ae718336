"""Option files that no training could use are refused in one line, and at once."""

import time

import pytest
import yaml
from tiny_stages import stage_options, write_sections

import gpemsr
from gpemsr.errors import InputError
from gpemsr.options.check import check_options
from gpemsr.options.read import override, read_options


@pytest.fixture(scope="module")
def options(tmp_path_factory) -> dict:
    gpemsr.register()
    folder = tmp_path_factory.mktemp("sections")
    write_sections(folder)
    return stage_options(1, folder)


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("manual_seed=4294967296", "manual_seed=4294967296: at most 2147483648"),
        ("manual_seed=-1", "manual_seed=-1: greater than or equal to 0 is expected"),
        ('name="a\\nb"', 'name="a\\nb": a folder name without slashes is expected'),
        ("name=" + 101 * "x", "name="),
        ("val:val_freq=.inf", "val.val_freq=Infinity: a finite number is expected"),
        ("train:codebook_weight=.nan", "train.codebook_weight=NaN: a finite number is expected"),
        ("train:total_iter=" + "9" * 4000, 'train.total_iter="'),
        ("network_g:num_codes=1000000000", "network_g.num_codes=1000000000: at most 8192 is expected"),
        ("network_g:channels=[8192, 8192, 8192, 8192, 8192]", 'network_g="VQGAN": '),
        ("datasets:train:num_worker_per_gpu=100000", "datasets.train.num_worker_per_gpu=100000: "),
        ("network_g:channels=null", "network_g.channels=null: a list is expected"),
        ("path:resume_state=/", 'path.resume_state="/": a file, not a folder, is expected'),
        ("logger:wandb={project: em}", "logger.use_tb_logger=false: true is expected with logger.wandb"),
        ("logger:keep_best={metric: psnrr}", 'logger.keep_best.metric="psnrr": psnr or perplexity or codes_used'),
    ],
)
def test_it_is_refused(options, entry, line):
    start = time.process_time()
    with pytest.raises(InputError) as refused:
        check_options(override(yaml.safe_load(yaml.safe_dump(options)), [entry]), "my.yml", True)
    assert str(refused.value).startswith(f"my.yml: {line}")
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400
    assert time.process_time() - start < 3


@pytest.mark.parametrize("key", ["batch_size_per_gpu", "num_worker_per_gpu"])
def test_what_the_loop_reads_is_needed(options, key):
    changed = yaml.safe_load(yaml.safe_dump(options))
    del changed["datasets"]["train"][key]
    with pytest.raises(InputError, match=rf"datasets.train.{key} is missing: BasicSR needs it"):
        check_options(changed, "my.yml", True)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{[1]: 2}", "key [1] is not text"),
        ("? {a: 1}\n: 2", "is not text"),
        ("a: &a {b: *a}", "found unconstructable recursive node"),
        ("a: &a [*a]", "found unconstructable recursive node"),
        ("a: " + 3000 * "[", "nested without end"),
        (
            "\n".join(["a0: &a0 [1, 1]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]),
            "more than 100000",
        ),
        ("a: 2020-13-45", "month must be in 1..12"),
        ("a: " + 5000 * "9", "Exceeds the limit"),
        ("a: " + 10**6 * "x", "1000003 bytes"),
    ],
)
def test_a_file_that_is_no_tree_of_data_is_refused(tmp_path, text, line):
    (tmp_path / "my.yml").write_text(text)
    with pytest.raises(InputError) as refused:
        read_options(tmp_path / "my.yml")
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)
