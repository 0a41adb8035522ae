"""Tolerances from the seeds of a profile."""

import json
import math
import shutil
import statistics
from pathlib import Path

import pytest
import yaml
from measured_seeds import ROWS, SEEDS, accepted, expected
from places import ROOT
from raw_params import accepted as accepted_params
from raw_params import read

from datastill.commands import accept
from datastill.commands.tolerances import variance_of
from datastill.errors import DataError
from datastill.project.loading import load_expected
from datastill.project.profile import Profile, open_profile


def test_a_profile_of_single_seeds_cannot_say_what_chance_does(clone):
    with pytest.raises(DataError, match="no row was trained with two seeds"):
        accept.run(open_profile("miniature"), "miniature")


def test_by_default_a_profile_is_judged_by_its_own_seeds_or_those_made_of_it(clone):
    written = accept.run(open_profile("miniature"))
    assert "over the seeds of profile ablations:" in written
    assert written == accept.run(open_profile("miniature"), "ablations")
    assert "over the seeds of profile seeds:" in accept.run(open_profile("seeds"))
    shutil.rmtree("pipelines/ablations")
    with pytest.raises(DataError, match="run `datastill run miniature --seeds 0,1,2`"):
        accept.run(open_profile("miniature"))
    shutil.copytree(ROOT / "pipelines/seeds", "pipelines/miniature-seeds")
    shutil.copytree("results/seeds", "results/miniature-seeds")
    params = Path("pipelines/miniature-seeds/params.yaml")
    text = params.read_text().replace("profile: seeds", "profile: miniature-seeds")
    params.write_text(text.replace("pipelines/seeds/", "pipelines/miniature-seeds/"))
    assert "over the seeds of profile miniature-seeds:" in accept.run(open_profile("miniature"))


def test_students_of_different_teachers_are_no_seeds_of_each_other(clone):
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["supervised"]["weak"] = {**params["supervised"]["co-115"], "iterations": 90000}
    params["distilled"]["of-weak"] = {**params["distilled"]["co-115_un-120"], "teacher": "weak"}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    for row in ("weak", "of-weak"):
        shutil.copy(SEEDS / "co-35_seed-0.json", f"results/miniature/metrics/{row}.json")
    with pytest.raises(DataError, match="no row was trained with two seeds"):
        accept.run(open_profile("miniature"), "miniature")


def test_seeds_that_never_differ_still_leave_room_for_rounding(clone):
    for path in Path("results/seeds/metrics").glob("*.json"):
        path.write_text(json.dumps({"ap": 0.0}))
    accepted()
    assert load_expected(expected()).values["co-35"]["ap"].tolerance == 0.01


def test_a_tolerance_is_three_sd_of_the_difference_of_two_runs_pooled_over_all_trainings(clone):
    values = {}
    for path in SEEDS.glob("*.json"):
        values.setdefault(path.stem.partition("_seed-")[0], []).append(
            json.loads(path.read_text())["ap"]
        )
    degrees = {row: len(seeds) - 1 for row, seeds in values.items()}
    squares = sum(degrees[row] * statistics.variance(seeds) for row, seeds in values.items())
    pooled = math.sqrt(squares / sum(degrees.values()))
    accepted()
    written = yaml.safe_load(expected().read_text())["values"]
    assert list(written) == list(ROWS)
    for row in ROWS:
        measured = json.loads((SEEDS / f"{row}_seed-0.json").read_text())["ap"]
        tolerance = pytest.approx(3 * math.sqrt(2) * pooled, abs=0.005)
        assert written[row] == {"ap": {"value": measured, "tolerance": tolerance}}


def test_rows_on_sets_drawn_anew_are_seeds_of_one_training(tmp_path):
    """Two seeds of one row, 4 apart; the other row has one, so it says nothing."""
    raw = read()
    raw["data"]["sets"]["co-35-1"] = {"redraws": "co-35", "seed": 1}
    row = raw["supervised"]["co-35"]
    raw["supervised"]["again"] = {**row, "labelled": "co-35-1", "seed": 1}
    raw |= {"distilled": {}, "tables": ["table2"]}
    profile = Profile(accepted_params(tmp_path, raw))
    for name, ap in (("co-35", 10.0), ("again", 14.0), ("co-115", 50.0)):
        path = tmp_path / profile.metrics(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"ap": ap}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        found = variance_of(profile, "ap")
    assert (found.sd, found.degrees) == (pytest.approx(math.sqrt(8)), 1)
