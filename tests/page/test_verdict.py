import math

import pytest

from datastill.page.verdict import sentence, summary


def line(gain, verdict, control=math.nan):
    ends = {"gain_low": gain - 1, "gain_high": gain + 1, "gain_verdict": verdict}
    over = {"control_gain": control, "control_gain_low": 0.2, "control_gain_high": 2.4,
            "control_gain_verdict": "gain"}  # fmt: skip
    return {"labelled": "a", "unlabelled": "b", "gain": gain, **ends, **over}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (line(3.14, "gain"), "a + b: unlabelled images brought +3.1 AP [2.1, 4.1] over an"),
        (line(-3.14, "loss"), "a + b: unlabelled images lowered AP, by -3.1 [-4.1, -2.1] against"),
        (
            line(0.5, "not distinguishable"),
            "a + b: no distinguishable gain; unlabelled images changed",
        ),
        (line(9, "gain", control=1.3), "a + b: unlabelled images brought +1.3 AP [0.2, 2.4]"),
    ],
)
def test_the_verdict_is_written_from_the_numbers_over_the_control_if_there_is_one(given, expected):
    assert sentence(given).replace("\u00a0", " ").startswith(expected)


def test_a_shorter_training_is_said_to_be_shorter():
    assert sentence(line(3, "gain"), is_equal=False).endswith(
        "over a shorter training run without them."
    )


def test_several_settings_are_counted():
    gain, loss, unsure = line(3, "gain"), line(-3, "loss"), line(0, "not distinguishable")
    assert summary([gain, gain]) == "Unlabelled images improved AP in each of 2 settings."
    assert summary([unsure, unsure]).startswith("In none of 2 settings")
    assert "images lowered AP in 1 and" in summary([loss, unsure])
    assert summary([gain, loss, unsure]) == (
        "Of 3 settings, unlabelled images improved AP in 1, lowered it in 1 and made no "
        "distinguishable difference in 1."
    )
