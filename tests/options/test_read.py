"""Option files and ``--force_yml`` entries are data."""

from collections import OrderedDict

import pytest
import yaml

from gpemsr.errors import InputError
from gpemsr.options.read import override, read_options, resolved_text


def test_order_floats_and_merges_are_read_as_basicsr_does(tmp_path):
    file = tmp_path / "a.yml"
    file.write_text("z: !!float 4e-4\na: &base {y: 1, x: 2}\nb: {<<: *base, x: 3}\n")
    options = read_options(file)
    assert isinstance(options, OrderedDict)
    assert list(options) == ["z", "a", "b"]
    assert options["z"] == 4e-4
    assert list(options["a"].items()) == [("y", 1), ("x", 2)]
    assert dict(options["b"]) == {"y": 1, "x": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: !!python/object/apply:os.system ['touch ran']\n", "line 2: could not determine a constructor"),
        ("a: [1\n", "line 2: expected"),
        ("a: 1\na: 2\n", "key 'a' is given twice"),
        ("- a\n", "holds list, not a mapping"),
        ("", "holds NoneType, not a mapping"),
    ],
)
def test_what_is_no_plain_mapping_is_refused_in_one_line(tmp_path, text, message):
    file = tmp_path / "a.yml"
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        read_options(file)
    assert str(file) in str(refused.value)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/base.yml").write_text("a: {x: 1, y: [1, 2], z: {p: 1, q: 2}}\nb: 1\n")
    (tmp_path / "parts/more.yml").write_text("a: {x: 3}\nc: {d: 4}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: {x: 2}", {"a": {"x": 2, "y": [1, 2], "z": {"p": 1, "q": 2}}, "b": 1}),
        ("a: {y: [3]}", {"a": {"x": 1, "y": [3], "z": {"p": 1, "q": 2}}, "b": 1}),
        ("a: {z: {q: 5}}", {"a": {"x": 1, "y": [1, 2], "z": {"p": 1, "q": 5}}, "b": 1}),
        ("a: {z: {_delete_: true, q: 5}}", {"a": {"x": 1, "y": [1, 2], "z": {"q": 5}}, "b": 1}),
        ("a: {_delete_: true}", {"a": {}, "b": 1}),
        ("a: ~", {"a": None, "b": 1}),
        ("b: {_delete_: true, r: {s: 1}}", {"a": {"x": 1, "y": [1, 2], "z": {"p": 1, "q": 2}}, "b": {"r": {"s": 1}}}),
    ],
)
def test_a_file_says_what_differs_from_its_base(folder, text, expected):
    (folder / "a.yml").write_text(f"_base_: parts/base.yml\n{text}\n")
    assert read_options(folder / "a.yml") == expected


def test_of_several_bases_a_later_one_counts_and_a_base_has_bases(folder):
    (folder / "a.yml").write_text("_base_: [parts/base.yml, parts/more.yml]\nb: 2\n")
    (folder / "b.yml").write_text("_base_: a.yml\nc: {e: 5}\n")
    a = {"x": 3, "y": [1, 2], "z": {"p": 1, "q": 2}}
    assert read_options(folder / "b.yml") == {"a": a, "b": 2, "c": {"d": 4, "e": 5}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("_base_: nope.yml", "a.yml: _base_: {}/nope.yml: No such file"),
        ("_base_: a.yml", "a.yml: _base_ leads back to {}/a.yml"),
        ("_base_: b.yml", "b.yml: _base_ leads back to {}/a.yml"),
        ("_base_: list.yml", "a.yml: _base_: {}/list.yml: holds list, not a mapping"),
        ("_base_: 3", "a.yml: _base_=[3]: the path of a file, or a list of paths, is expected"),
        ("_base_: ~", "a.yml: _base_=[null]: the path of a file"),
    ],
)
def test_a_base_that_cannot_be_taken_is_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "b.yml").write_text("_base_: a.yml\n")
    (tmp_path / "list.yml").write_text("- 1\n")
    (tmp_path / "a.yml").write_text(f"{text}\n")
    with pytest.raises(InputError) as refused:
        read_options(tmp_path / "a.yml")
    assert str(refused.value).startswith(f"{tmp_path}/{message.format(tmp_path)}")
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nope\.yml: No such file"):
        read_options(tmp_path / "nope.yml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-1", -1),
        ("0.5", 0.5),
        ("!!float 4e-4", 4e-4),
        ("!!float4e-4", 4e-4),
        ("true", True),
        ("none", None),
        ("~", None),
        ("[1, 2]", [1, 2]),
        ("a=b", "a=b"),
    ],
)
def test_forced_values_have_the_types_of_a_file(text, value):
    assert override(OrderedDict(a=OrderedDict()), [f"a:b={text}"])["a"]["b"] == value


@pytest.mark.parametrize("entry", ["a", "=1", "nope:b=1", "a:b:c=1", "a:b=[1", "a:b=!!python/name:os.system"])
def test_forced_entries_that_do_not_fit_are_refused(entry):
    with pytest.raises(InputError, match="--force_yml"):
        override(OrderedDict(a=OrderedDict(b=1)), [entry])


def test_mappings_within_lists_are_written_plainly(tmp_path):
    (tmp_path / "o.yml").write_text("degradation: [{kind: bicubic}, {kind: area}]\n")
    assert yaml.safe_load(resolved_text(tmp_path / "o.yml"))["degradation"][1] == {"kind": "area"}
