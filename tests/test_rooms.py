"""The rooms of the package: arrows of imports point one way, and files stay small."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import gpemsr

FOLDER = Path(gpemsr.__file__).parent
FILES = {
    ".".join(("gpemsr", *path.relative_to(FOLDER).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(FOLDER.rglob("*.py"))
}
# A room may import from those of later lines and, unless that makes a circle, of its own line. The package itself
# (gpemsr/__init__.py) is a room too, named "".
LINES = (
    ("cli",),
    ("benchmark", "export", "mmagic", "napari"),
    ("models", "segmentation", "volume"),
    ("archs", "losses", "metrics", "data", "checkpoints", "phantom"),
    ("", "options", "compat"),
    ("errors", "files"),
)
LINE = {room: number for number, line in enumerate(LINES) for room in line}
MOST_LINES = 300


def room_of(module: str) -> str:
    return (*module.split("."), "")[1]


def imported_by(module: str) -> set[str]:
    """Modules of the package that a module imports, also inside functions and by ``import_module("...")``."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in FILES else str(node.module))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return found & FILES.keys()


IMPORTS = [(module, other) for module in FILES for other in sorted(imported_by(module))]
BETWEEN_ROOMS = [(module, other) for module, other in IMPORTS if room_of(module) != room_of(other)]


def test_every_room_has_its_place():
    assert {room_of(module) for module in FILES} == LINE.keys()


def test_no_room_imports_one_above_it():
    upward = {(module, other) for module, other in BETWEEN_ROOMS if LINE[room_of(other)] < LINE[room_of(module)]}
    assert not upward


def test_there_is_no_circle_between_rooms():
    sorter: TopologicalSorter = TopologicalSorter()
    for module, other in BETWEEN_ROOMS:
        sorter.add(room_of(module), room_of(other))
    sorter.prepare()  # raises CycleError, which names the rooms


def test_files_are_short():
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in FILES.items()}
    assert not {module for module, count in lines.items() if count > MOST_LINES}
