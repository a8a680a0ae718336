"""``gpemsr-parameters``: a row for each option file, and one line where a file has no network that can be built."""

import pytest
import yaml
from baseline_networks import OPTIONS, TINY

from gpemsr.cli.parameters import main


def test_frozen_parameters_are_counted_apart(capsys):
    assert main([str(OPTIONS / "stage3_x8.yml"), str(OPTIONS / "baselines" / "test_bicubic_x16.yml")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| name | network | scale | learned | all |",
        "|---|---|--:|--:|--:|",
        "| stage3_x8 | GPEMSR | 8 | 4,573,438 | 49,949,099 |",
        "| test_bicubic_x16 | Bicubic | 16 | 0 | 0 |",
    ]


def test_networks_that_need_values_while_they_are_built_are_counted_too(tmp_path, capsys):
    file = tmp_path / "a.yml"
    file.write_text(yaml.safe_dump({"name": "a", "network_g": {"type": "SectionSwinIR", **TINY["SectionSwinIR"]}}))
    assert main([str(file)]) == 0
    assert "| a | SectionSwinIR |  |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a"}, "network_g is missing: expected a network with its type"),
        ({"network_g": {"type": "SectionEDSRR"}}, "did you mean SectionEDSR"),
        (
            {"network_g": {"type": "SectionEDSR", "num_blok": 3}},
            "network_g.num_blok: unknown key; did you mean num_block",
        ),
        ({"network_g": {"type": "SectionEDSR", "scale": 3}}, "network_g.scale=3: one of 4, 8, 16"),
    ],
)
def test_a_file_without_a_valid_network_is_refused_in_one_line(tmp_path, capsys, options, message):
    file = tmp_path / "a.yml"
    file.write_text(yaml.safe_dump(options))
    assert main([str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {file}: ") and message in line
