"""What the stage `tables` takes from params.yaml."""

import pytest
from raw_params import accepted, read

from datastill.report.seed_variance import BetweenSeeds, Sampling, SeedVariance
from datastill.stages.tables import _sampling


@pytest.mark.parametrize(
    ("raw", "borrowed"),
    [
        (None, BetweenSeeds()),
        (
            {"ap": {"sd": 0.5, "degrees": 10}, "gain": {"sd": 0.4, "degrees": 8}},
            BetweenSeeds(ap=SeedVariance(0.5, 10), gain=SeedVariance(0.4, 8)),
        ),
    ],
)
def test_the_variance_to_borrow_and_the_resamples_are_those_of_the_params(tmp_path, raw, borrowed):
    params = read() | {"between_seeds": raw}
    params["evaluate"]["resamples"] = 321
    assert _sampling(accepted(tmp_path, params)) == Sampling(321, borrowed)
