"""Methods trained with the same CPU time: the plan, what is kept, and one real training."""

import json
import os
import signal
import subprocess
import sys
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tiny_stages import stage_options, write_sections

from gpemsr.benchmark import equal_budget, training_run
from gpemsr.benchmark.budget_options import read_budget
from gpemsr.benchmark.equal_budget import ROUNDS, EqualBudget, rescaled
from gpemsr.benchmark.training_run import Usage
from gpemsr.errors import InputError
from gpemsr.options.read import merged, to_plain

SCHEDULES = [
    {"type": "CosineAnnealingRestartLR", "periods": [60, 40], "restart_weights": [1, 0.5]},
    {"type": "MultiStepLR", "milestones": [75], "gamma": 0.1},
]


def schedule(number: int) -> dict:
    return {
        "train": {
            "scheduler": SCHEDULES[number],
            "total_iter": 100,
            "warmup_iter": 10,
            "gan_start_iter": 90,
            "restart_dead_codes_every": 5,
        },
        "val": {"val_freq": 25},
        "logger": {"save_checkpoint_freq": 25},
    }


@given(total=st.integers(1, 100_000), number=st.integers(0, 1))
def test_a_stretched_schedule_keeps_its_shape(total, number):
    changed = rescaled(schedule(number), total)
    train = changed["train"]
    assert train["total_iter"] == changed["val"]["val_freq"] == total
    assert total / 11 < changed["logger"]["save_checkpoint_freq"] <= total / 10 + 1
    assert abs(train["warmup_iter"] - total / 10) <= 0.5
    assert abs(train["gan_start_iter"] - 0.9 * total) <= 0.5
    assert abs(train["restart_dead_codes_every"] - max(1, total / 20)) <= 0.5
    if number == 0:
        assert sum(train["scheduler"]["periods"]) >= total
        assert abs(train["scheduler"]["periods"][0] - max(1, 0.6 * total)) <= 0.5
    else:
        assert abs(train["scheduler"]["milestones"][0] - max(1, 0.75 * total)) <= 0.5


def test_the_options_that_are_stretched_stay_as_they_were():
    before = schedule(0)
    rescaled(before, 7)
    assert before == schedule(0)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working directory with sections and the option files of two stages of a tiny method, and of a baseline."""
    monkeypatch.chdir(tmp_path)
    write_sections(tmp_path / "data")
    for name, stage in (("first", 1), ("second", 2), ("other", 3)):
        options = stage_options(stage, tmp_path / "data", total_iter=4)
        if name == "second":
            options["path"]["pretrain_prior"] = "experiments/first/models/net_g_latest.pth"
        if name == "other":
            options["model_type"] = "BaselineModel"
            options["network_g"] = {"type": "SectionEDSR", "scale": 8, "num_feat": 4, "num_block": 1}
            options["train"].pop("contextual_opt", None)
            options["path"].pop("pretrain_prior", None)
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(options))
    return tmp_path


def halves(*names: str) -> list[dict]:
    return [{"options": f"{name}.yml", "share": 0.5} for name in names]


def budget_file(folder: Path, **changes) -> Path:
    roots = {"dataroot_gt": str(folder / "data" / "hr"), "dataroot_lq": str(folder / "data" / "lr_x8")}
    section = {
        "folder": "equal",
        "core_minutes": 0.02,
        "data": {"train": roots, "val": roots},
        "methods": [
            {"name": "A", "stages": halves("first", "second")},
            {"name": "B", "stages": [{"options": "other.yml"}]},
            {"name": "A again", "stages": halves("first", "second")},
        ],
    }
    file = folder / "budget.yml"
    file.write_text(yaml.safe_dump(section | changes))
    return file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"core_minutes": 0}, "core_minutes=0"),
        ({"methods": []}, "methods"),
        ({"speed": 1}, "speed: unknown key"),
        ({"methods": [{"name": "A", "stages": [{"options": "absent.yml"}]}]}, "no such file"),
        ({"methods": [{"name": "A", "stages": [{"options": "first.yml", "share": 0.5}]}]}, "add up to 1"),
        ({"methods": [{"name": "A", "stages": [{"options": "first.yml"}]}] * 2}, "names that differ"),
        (
            {"methods": [{"name": "A", "stages": [{"options": "first.yml", "share": s} for s in (0.4, 0.6)]}]},
            r"stages\.1\.name=\"first\": another stage has it",
        ),
        (
            {"methods": [{"name": n, "stages": halves(n, "second")} for n in ("first", "other")]},
            r"methods\.1\.stages\.1\.name=\"second\": another stage has it, or the same after others",
        ),
    ],
)
def test_a_wrong_option_is_refused(folder, changes, message):
    with pytest.raises(InputError, match=message):
        read_budget(budget_file(folder, **changes))


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """Names of the trainings, which are not run; an iteration of each stage takes a tenth of a second."""
    names: list[str] = []

    def train(name, folder, environment, position, resume):
        names.append(f"{name}, resumed" if resume else name)
        assert environment["OMP_NUM_THREADS"] == "1"
        return Usage(2.0, 1.5)

    monkeypatch.setattr(equal_budget, "train", train)
    monkeypatch.setattr(EqualBudget, "measure", lambda self: dict.fromkeys(self.stages, 0.1))
    return names


def without_the_last(folder: Path) -> Path:
    section = yaml.safe_load(budget_file(folder).read_text())
    return budget_file(folder, methods=section["methods"][:2])


def test_each_stage_gets_its_share_of_the_budget(folder, trained):
    EqualBudget(read_budget(without_the_last(folder))).run()
    assert sorted(trained) == ["first", "other", "second"]
    plan = {name: yaml.safe_load((folder / f"equal/options/{name}.yml").read_text()) for name in trained}
    assert [plan[name]["train"]["total_iter"] for name in ("first", "second", "other")] == [6, 6, 12]
    record = json.loads((folder / "equal/trainings/other.json").read_text())
    assert (record["iterations"], record["core_minutes"]) == (12, 1.5 / 60)


def test_data_are_those_of_the_comparison_seen_from_its_folder(folder, trained):
    EqualBudget(read_budget(without_the_last(folder))).run()
    section = yaml.safe_load((folder / "equal/options/second.yml").read_text())["datasets"]["train"]
    assert (folder / "equal" / section["dataroot_gt"]).resolve() == folder / "data" / "hr"


def test_an_option_file_is_trained_with_changes_under_another_name(folder, trained):
    changes = {"network_g": {"num_block": 2}, "train": {"total_iter": 8, "warmup_iter": 4}}
    stages = [{"options": "other.yml", "name": "deeper", "changes": changes}]
    methods = [{"name": "B", "stages": [{"options": "other.yml"}]}, {"name": "deeper", "stages": stages}]
    EqualBudget(read_budget(budget_file(folder, methods=methods))).run()
    plain, deeper = (yaml.safe_load((folder / f"equal/options/{name}.yml").read_text()) for name in ("other", "deeper"))
    assert plain["network_g"] == {"type": "SectionEDSR", "scale": 8, "num_feat": 4, "num_block": 1}
    assert deeper["network_g"] == {**plain["network_g"], "num_block": 2}
    assert deeper["name"] == "deeper"
    assert deeper["train"]["warmup_iter"] == 6  # of 12 iterations


def test_what_is_trained_is_not_trained_again(folder, trained):
    file = without_the_last(folder)
    EqualBudget(read_budget(file)).run()
    (folder / "equal/trainings/other.json").unlink()
    EqualBudget(read_budget(file)).run()
    assert sorted(trained) == ["first", "other", "other", "second"]


def test_a_training_whose_record_is_damaged_is_run_again(folder, trained):
    file = without_the_last(folder)
    EqualBudget(read_budget(file)).run()
    (folder / "equal/trainings/other.json").write_text('{"iterations": 1')
    EqualBudget(read_budget(file)).run()
    assert sorted(trained) == ["first", "other", "other", "second"]


def test_the_data_of_the_option_file_itself_need_not_be_there(folder, trained):
    section = yaml.safe_load((folder / "other.yml").read_text())
    section["datasets"]["train"] |= {"dataroot_gt": "elsewhere/hr", "dataroot_lq": "elsewhere/lr"}
    (folder / "other.yml").write_text(yaml.safe_dump(section))
    EqualBudget(read_budget(without_the_last(folder))).run()
    assert "other" in trained


def test_an_interrupted_training_continues_if_its_options_are_the_same(folder, trained):
    file = without_the_last(folder)
    EqualBudget(read_budget(file)).run()
    states = folder / "equal/experiments/other/training_states"
    states.mkdir(parents=True)
    for iteration in (3, 9):
        (states / f"{iteration}.state").touch()
    record = folder / "equal/trainings/other.json"
    record.unlink()
    EqualBudget(read_budget(file)).run()
    assert trained[-1] == "other, resumed"
    assert json.loads(record.read_text())["core_minutes"] == pytest.approx((1.5 + 9 * 0.1) / 60)
    record.unlink()
    section = yaml.safe_load(file.read_text()) | {"core_minutes": 0.04}
    file.write_text(yaml.safe_dump(section))
    EqualBudget(read_budget(file)).run()
    assert "other" in trained[-3:]


def test_states_of_other_options_do_not_pass_for_an_interrupted_training(folder, trained, monkeypatch):
    file = without_the_last(folder)
    EqualBudget(read_budget(file)).run()
    states = folder / "equal/experiments/other/training_states"
    states.mkdir(parents=True)
    (states / "11.state").touch()
    section = yaml.safe_load(file.read_text()) | {"core_minutes": 0.04}
    file.write_text(yaml.safe_dump(section))
    train = equal_budget.train

    def refused(name, *_, **__):
        raise InputError(f"{name}: no such file")

    monkeypatch.setattr(equal_budget, "train", refused)
    with pytest.raises(InputError):
        EqualBudget(read_budget(file)).run()
    monkeypatch.setattr(equal_budget, "train", train)
    trained.clear()
    EqualBudget(read_budget(file)).run()
    assert sorted(trained) == ["first", "other", "second"]
    assert len(list((folder / "equal/experiments").glob("other_archived_*/training_states/11.state"))) == 1


def test_other_data_is_another_training(folder, trained):
    file = without_the_last(folder)
    EqualBudget(read_budget(file)).run()
    section = folder / "data/hr/v/0.png"
    cv2.imwrite(str(section), 255 - cv2.imread(str(section), cv2.IMREAD_UNCHANGED))
    EqualBudget(read_budget(file)).run()
    assert sorted(trained) == sorted(["first", "other", "second"] * 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": None}, "other.yml: train is missing"),
        ({"path": None}, "other.yml: path"),
        ({"datasets": None}, "other.yml: datasets"),
        ({"datasets": {"train": None}}, r"other.yml: datasets\.train"),
        ({"train": {"speed": 1}}, r"other.yml: train\.speed: unknown key"),
    ],
)
def test_a_wrong_option_file_is_refused_before_anything_is_measured(folder, change, message):
    section = to_plain(merged(yaml.safe_load((folder / "other.yml").read_text()), change))
    (folder / "other.yml").write_text(yaml.safe_dump(section))
    with pytest.raises(InputError, match=message):
        EqualBudget(read_budget(budget_file(folder)))
    assert not (folder / "equal").exists()


def test_a_stage_that_cannot_be_measured_leaves_the_other_methods(folder, trained, monkeypatch):
    failure = InputError("first: no memory")
    monkeypatch.setattr(EqualBudget, "measure", lambda _: {"first": failure, "second": 0.1, "other": 0.1})
    with pytest.raises(InputError, match=r"^first: no memory$"):
        EqualBudget(read_budget(budget_file(folder))).run()
    assert trained == ["other"]


def test_a_failed_training_is_reported_after_the_others(folder, trained, monkeypatch):
    def train(name, *_, **__):
        if name == "first":
            raise InputError("first failed, see its log")
        return Usage(2.0, 1.5)

    monkeypatch.setattr(equal_budget, "train", train)
    with pytest.raises(InputError, match=r"^first failed, see its log$"):
        EqualBudget(read_budget(budget_file(folder))).run()
    assert [file.stem for file in (folder / "equal/trainings").glob("*.json")] == ["other"]


def test_a_terminated_run_ends_its_trainings_and_begins_no_others(folder, trained, monkeypatch):
    begun = []

    def train(name, *_, **__):
        begun.append(name)
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], text=True)
        training_run._running.add(process)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert process.wait(20) == -signal.SIGTERM
        raise InputError(f"{name} ended")

    def terminated(*_):
        sys.exit(1)

    monkeypatch.setattr(equal_budget, "train", train)
    monkeypatch.setattr(training_run, "_running", set())
    before = signal.signal(signal.SIGUSR1, terminated)
    try:
        with pytest.raises(SystemExit):
            EqualBudget(read_budget(without_the_last(folder))).run()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert begun == ["first"]


def test_another_budget_is_another_training(folder, trained):
    EqualBudget(read_budget(without_the_last(folder))).run()
    section = yaml.safe_load((folder / "budget.yml").read_text()) | {"core_minutes": 0.04}
    (folder / "budget.yml").write_text(yaml.safe_dump(section))
    EqualBudget(read_budget(folder / "budget.yml")).run()
    assert len(trained) == 6


def test_a_change_of_a_stage_trains_those_after_it_again(folder, trained):
    file = without_the_last(folder)
    EqualBudget(read_budget(file)).run()
    (folder / "equal/experiments/second/training_states").mkdir(parents=True)
    (folder / "equal/experiments/second/training_states/3.state").touch()
    section = yaml.safe_load(file.read_text())
    section["methods"][0]["stages"][0]["changes"] = {"manual_seed": 1}
    file.write_text(yaml.safe_dump(section))
    trained.clear()
    EqualBudget(read_budget(file)).run()
    assert trained == ["first", "second"]


def test_methods_share_stages(folder, trained):
    EqualBudget(read_budget(budget_file(folder))).run()
    assert sorted(trained) == ["first", "other", "second"]


@pytest.mark.slow
def test_stages_are_measured_and_trained_one_after_the_other(folder, monkeypatch):
    monkeypatch.setattr(equal_budget, "ROUNDS", 1)
    method = {"name": "A", "stages": halves("first", "second")}
    EqualBudget(read_budget(budget_file(folder, methods=[method]))).run()
    for name in ("first", "second"):
        assert (folder / f"equal/experiments/{name}/models/net_g_latest.pth").is_file()
        record = json.loads((folder / f"equal/trainings/{name}.json").read_text())
        assert record["core_minutes"] > 0
    seconds = json.loads((folder / "equal/trainings/seconds_per_iteration.json").read_text())
    assert all(0 < entry["seconds"] < 60 for entry in seconds.values())
    assert os.getcwd() == str(folder)


def test_what_cannot_be_measured_says_why_and_is_measured_again(folder, monkeypatch):
    def measure(job):
        return InputError("other: no memory") if job[1]["name"] == "other" else 0.5

    monkeypatch.setattr(equal_budget, "_measure", measure)
    monkeypatch.setattr(equal_budget.multiprocessing, "get_context", lambda _: SimpleNamespace(Pool=ThreadPool))
    budget = EqualBudget(read_budget(without_the_last(folder)))
    (folder / "equal/trainings").mkdir(parents=True)
    found = budget.measure()
    assert (found["first"], str(found["other"])) == (0.5, "other: no memory")
    assert "other" not in json.loads((folder / "equal/trainings/seconds_per_iteration.json").read_text())


def test_the_same_work_is_measured_once(folder, monkeypatch):
    measured = []

    def measure(job):
        measured.append(job[1]["name"])
        return float(len(measured[-1]))

    monkeypatch.setattr(equal_budget, "_measure", measure)
    monkeypatch.setattr(equal_budget.multiprocessing, "get_context", lambda _: SimpleNamespace(Pool=ThreadPool))
    again = {"options": "first.yml", "name": "once_more", "share": 0.5, "changes": {"path": {"resume_state": None}}}
    methods = [
        {"name": "A", "stages": halves("first", "second")},
        {"name": "B", "stages": [again, {"options": "other.yml", "share": 0.5}]},
    ]
    budget = EqualBudget(read_budget(budget_file(folder, methods=methods)))
    (folder / "equal/trainings").mkdir(parents=True)
    found = budget.measure()
    assert found["first"] == found["once_more"] != found["second"]
    assert budget.measure() == found
    assert len(measured) == 3 * ROUNDS
