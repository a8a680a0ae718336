"""The option file of ``gpemsr-benchmark-train``: methods, their stages, and the budget of each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from gpemsr.options.place import Place, check_path, check_schema
from gpemsr.options.read import read_options, to_plain
from gpemsr.options.schema import OptionSection, PositiveInt


class SectionRoots(OptionSection):
    """HR and LR sections: LMDBs made by ``gpemsr-lmdb``."""

    dataroot_gt: str
    dataroot_lq: str


class BudgetData(OptionSection):
    """What all methods train and are validated on."""

    train: SectionRoots
    val: SectionRoots


class BudgetStage(OptionSection):
    """One training."""

    options: str
    """Its option file."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the method's budget."""
    changes: dict[str, Any] = {}
    """Keys that replace those of the option file, section by section."""
    name: str | None = None
    """Name of the experiment; the option file's if it is null."""

    @property
    def experiment(self) -> str:
        """The experiment's name."""
        return self.name or Path(self.options).stem


class BudgetMethod(OptionSection):
    """Trainings one after the other, each picking up the experiment of the one before by its name.

    Methods may share some.
    """

    name: Annotated[str, Field(min_length=1)]
    stages: Annotated[list[BudgetStage], Field(min_length=1)]


class BudgetOptions(OptionSection):
    """The whole file."""

    folder: str
    """Where experiments, logs and the record of each training go."""
    core_minutes: Annotated[float, Field(gt=0)]
    """CPU time of each method, all stages together; one thread works."""
    workers: PositiveInt = 1
    """Trainings at a time."""
    data: BudgetData
    """In place of the data of the methods' option files."""
    methods: Annotated[list[BudgetMethod], Field(min_length=1)]


def read_budget(path: str | Path) -> BudgetOptions:
    """Read and check an option file.

    Raises:
        InputError: a key, a value or a file is not valid, or shares do not add up to 1.
    """
    section, place = to_plain(read_options(path)), Place(str(path))
    options = check_schema(BudgetOptions, section, place)
    for part in ("train", "val"):
        for key, root in section["data"][part].items():
            check_path(root, place / "data" / part / key)
    names = [method.name for method in options.methods]
    if len(set(names)) < len(names):
        (place / "methods").fail(names, "expected names that differ")
    known: dict[str, list[BudgetStage]] = {}
    for index, method in enumerate(options.methods):
        stages = place / "methods" / index / "stages"
        for number, stage in enumerate(method.stages):
            check_path(stage.options, stages / number / "options")
            history = method.stages[: number + 1]
            if known.setdefault(stage.experiment, history) != history:
                expected = "another stage has it, or the same after others; expected another name"
                (stages / number / "name").fail(stage.experiment, expected)
        shares = [stage.share for stage in method.stages]
        if abs(sum(shares) - 1) > 1e-6:
            stages.fail(shares, "expected shares that add up to 1")
    return options
