"""What `accept` writes for `check` to expect, on the results of every seed."""

import json
import math
from pathlib import Path

import pytest
import yaml
from measured_seeds import SEEDS, accepted, change, claim, expected

from datastill.errors import DataError
from datastill.project.loading import load_expected


def test_accepting_twice_writes_the_same_bytes_with_commit_and_trainings_in_them(clone):
    first = accepted()
    assert accepted() == first == expected().read_text()
    commit = json.loads((SEEDS / "co-35_seed-0.json").read_text())["provenance"]["code"]
    for part in (
        commit,
        "with 44 degrees of freedom",
        "co-115_s1m-180 small 360000 of co-115 small 360000: 6 seeds",
    ):
        assert part in first


def test_claims_stay_as_a_person_wrote_them_and_metrics_as_chosen(clone):
    section = "orders:   # mine\n  - co-35 < co-115   # because\n# so be it\n"
    value = "values:\n  co-35:\n    ap50:\n      value: 1.0\n      tolerance: 9.0\n"
    expected().write_text(value + section)
    accepted()
    assert expected().read_text().endswith(section)
    assert {
        name for v in yaml.safe_load(expected().read_text())["values"].values() for name in v
    } == {"ap50"}


def test_values_are_accepted_wherever_the_claims_stand(clone):
    expected().write_text(
        "orders:\n  - co-35 < co-115\n"
        "values:\n  co-35:\n    ap:\n      value: 1.0\n      tolerance: 9.0\n"
    )
    accepted()
    measured = json.loads((SEEDS / "co-35_seed-0.json").read_text())["ap"]
    found = load_expected(expected())
    assert found.values["co-35"]["ap"].value == measured
    assert found.orders == ["co-35 < co-115"]
    assert expected().read_text().count("values:") == 1


def test_a_contradicted_claim_is_refused_by_name_and_nothing_is_written(clone):
    claim("co-35 < co-115", "co-115 < co-35_co-80")
    before = expected().read_bytes()
    with pytest.raises(DataError, match="nothing is written\n  co-115 < co-35_co-80: found 3"):
        accepted()
    assert expected().read_bytes() == before


@pytest.mark.parametrize(
    ("values", "message"),
    [({"ap": None}, "ap: input should be a valid number"), ({"ap": math.nan}, "found nan")],
)
def test_a_result_that_is_no_number_is_not_accepted(clone, values, message):
    change("co-35", **values)
    with pytest.raises(DataError, match=message):
        accepted()
    assert not expected().exists()


def test_a_row_that_was_not_measured_is_not_accepted(clone):
    Path("results/miniature/metrics/co-115.json").unlink()
    with pytest.raises(DataError, match="datastill evaluate co-115"):
        accepted()
