import math
from collections import namedtuple

import pytest

from datastill.errors import DataError
from datastill.evaluation.regression import check_orders, check_values

Expectation = namedtuple("Expectation", ["value", "tolerance"])

METRICS = {
    "co-35": {"ap": 29.6, "task": "keypoints"},
    "co-35_co-80": {"ap": 39.4},
    "co-115": {"done": True, "ap": 60.9, "ap50": None, "ap75": math.nan},
}


def only(findings):
    (finding,) = findings
    return finding


@pytest.mark.parametrize(
    ("value", "tolerance", "ok"),
    [
        (29.6, 0, True),
        (29.5, 0.1, True),
        (30.1, 0.5, True),
        (29.1, 0.5, True),
        (30.2, 0.5, False),
        (29.0, 0.5, False),
    ],
)
def test_a_value_is_right_up_to_and_at_its_tolerance(value, tolerance, ok):
    finding = only(check_values({"co-35": {"ap": Expectation(value, tolerance)}}, METRICS))
    assert finding.ok is ok
    assert finding.name == "co-35 ap"
    assert finding.expected == f"{value:g} ± {tolerance:g}"
    assert finding.actual == "29.6"


@pytest.mark.parametrize(
    ("row", "metric", "found"),
    [
        ("un-120", "ap", "no row un-120"),
        ("co-35", "ap50", "no ap50 in row co-35"),
        ("co-115", "ap50", "ap50 of co-115 is None"),
        ("co-115", "done", "done of co-115 is True"),
        ("co-115", "ap75", "ap75 of co-115 is nan"),
        ("co-35", "task", "task of co-35 is 'keypoints'"),
    ],
)
def test_what_is_missing_or_no_number_fails_and_says_so(row, metric, found):
    finding = only(check_values({row: {metric: Expectation(1.0, 1e9)}}, METRICS))
    assert (finding.ok, finding.actual) == (False, found)


def test_every_expected_value_has_its_finding_in_order():
    expected = {
        "co-115": {"ap": Expectation(60, 1), "ap50": Expectation(80, 1)},
        "co-35": {"ap": Expectation(60, 1)},
    }
    findings = check_values(expected, METRICS)
    assert [(f.name, f.ok) for f in findings] == [
        ("co-115 ap", True),
        ("co-115 ap50", False),
        ("co-35 ap", False),
    ]


@pytest.mark.parametrize(
    ("order", "found", "ok"),
    [
        ("co-35 < co-35_co-80 < co-115", "29.6 < 39.4 < 60.9", True),
        ("co-115>co-35", "60.9 > 29.6", True),
        ("co-35 < co-115 > co-35_co-80", "29.6 < 60.9 > 39.4", True),
        ("co-35 < co-115 < co-35_co-80", "29.6 < 60.9 > 39.4", False),
        ("co-35 < co-35", "29.6 = 29.6", False),
        ("co-35 > co-35", "29.6 = 29.6", False),
        ("co-35 < un-120", "no row un-120", False),
    ],
)
def test_an_order_holds_where_every_sign_does(order, found, ok):
    finding = only(check_orders([order], METRICS))
    assert (finding.name, finding.actual, finding.ok) == (order, found, ok)
    assert finding.expected == f"ap: {order}"


def test_orders_compare_the_metric_asked_for():
    metrics = {"a": {"ap": 1, "ap50": 9}, "b": {"ap": 2, "ap50": 8}}
    assert not only(check_orders(["a < b"], metrics, "ap50")).ok


@pytest.mark.parametrize(
    "order", ["", "co-35", "co-35 <", "< co-35", "a < < b", "a <= b", "a b < c", "a = b"]
)
def test_a_malformed_order_is_an_error_that_names_it(order):
    with pytest.raises(DataError) as error:
        check_orders([order], METRICS)
    assert repr(order) in str(error.value)
