"""What `accept` takes for the truth and `check` holds against it, on the results of every seed."""

import json
import math
import shutil
import statistics
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from places import ROOT

from datastill.coco.format import PERSON, PERSON_KEYPOINTS, Coco
from datastill.coco.skeleton import infer_flip_indices
from datastill.commands import accept, check
from datastill.commands import diff as against
from datastill.errors import DataError
from datastill.evaluation.coco_ap import evaluate
from datastill.inference.heatmaps import decode, probabilities
from datastill.inference.views import View
from datastill.project.loading import load_expected
from datastill.project.profile import open_profile

SEEDS = ROOT / "results/seeds/metrics"
ROWS = ("co-35", "co-115", "co-35_co-80", "co-115_un-120", "co-115_s1m-180")


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """The miniature with the results of seed 0, beside the results of all seeds."""
    for name in ("results/seeds", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    put(seed=0)
    return tmp_path


def expected():
    return Path("results/miniature/expected.yaml")


def put(seed):
    folder = Path("results/miniature/metrics")
    folder.mkdir(parents=True, exist_ok=True)
    for row in ROWS:
        shutil.copy(SEEDS / f"{row}_seed-{seed}.json", folder / f"{row}.json")


def change(row, **values):
    path = Path(f"results/miniature/metrics/{row}.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def accepted():
    return accept.run(open_profile("miniature"), "seeds")


def checked():
    return check.run(open_profile("miniature"))


def claim(*orders):
    lines = ["values: {}", "orders: # a person's", *(f"  - {order}" for order in orders)]
    expected().write_text("\n".join(lines) + "\n")


def test_a_tolerance_is_three_sd_of_the_difference_of_two_runs_pooled_over_all_trainings(clone):
    values = {}
    for path in SEEDS.glob("*.json"):
        values.setdefault(path.stem.partition("_seed-")[0], []).append(
            json.loads(path.read_text())["ap"]
        )
    assert all(len(seeds) == 3 for seeds in values.values())  # so the pooled variance is the mean
    pooled = math.sqrt(statistics.mean(statistics.variance(seeds) for seeds in values.values()))
    accepted()
    written = yaml.safe_load(expected().read_text())["values"]
    assert list(written) == list(ROWS)
    for row in ROWS:
        measured = json.loads((SEEDS / f"{row}_seed-0.json").read_text())["ap"]
        tolerance = pytest.approx(3 * math.sqrt(2) * pooled, abs=0.005)
        assert written[row] == {"ap": {"value": measured, "tolerance": tolerance}}


def test_accepting_twice_writes_the_same_bytes_with_commit_and_trainings_in_them(clone):
    first = accepted()
    assert accepted() == first == expected().read_text()
    commit = json.loads((SEEDS / "co-35_seed-0.json").read_text())["provenance"]["code"]
    for part in (
        commit,
        "with 14 degrees of freedom",
        "co-115_s1m-180 small 360000 of co-115 small 130000: 3 seeds",
    ):
        assert part in first


@pytest.mark.parametrize("seed", [1, 2])
def test_what_one_seed_gave_another_seed_passes(clone, seed):
    claim("co-35 < co-35_co-80 < co-115 < co-115_un-120", "co-115 < co-115_s1m-180")
    accepted()
    put(seed)
    text, ok = checked()
    assert ok, text


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
    [({"ap": None}, "row co-35: expected a number for ap"), ({"ap": math.nan}, "found nan")],
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


def test_a_profile_of_single_seeds_cannot_say_what_chance_does(clone):
    with pytest.raises(DataError, match="no training run has two seeds"):
        accept.run(open_profile("miniature"), "miniature")


def test_by_default_a_profile_is_judged_by_its_own_seeds_or_those_made_of_it(clone):
    assert accept.run(open_profile("miniature")) == accepted()
    assert "over the seeds of profile seeds:" in accept.run(open_profile("seeds"))
    shutil.rmtree("pipelines/seeds")
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
    with pytest.raises(DataError, match="no training run has two seeds"):
        accept.run(open_profile("miniature"), "miniature")


def test_seeds_that_never_differ_still_leave_room_for_rounding(clone):
    for path in Path("results/seeds/metrics").glob("*.json"):
        path.write_text(json.dumps({"ap": 0.0}))
    accepted()
    assert load_expected(expected()).values["co-35"]["ap"].tolerance == 0.01


def people(count, rng):
    """So many images with one person each, all keypoints visible."""
    boxes = np.column_stack([rng.uniform(5, 60, (count, 2)), rng.uniform(80, 120, (count, 2))])
    points = boxes[:, None, :2] + rng.uniform(0.1, 0.9, (count, 17, 2)) * boxes[:, None, 2:]
    annotations = [
        {
            "id": i + 1, "image_id": i, "category_id": 1, "iscrowd": 0, "num_keypoints": 17,
            "bbox": box.tolist(), "area": float(box[2] * box[3]) / 2,
            "keypoints": np.column_stack([p, np.full(17, 2)]).ravel().tolist(),
        }
        for i, (box, p) in enumerate(zip(boxes, points, strict=True))
    ]  # fmt: skip
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 200} for i in range(count)]
    return Coco(images, annotations, [PERSON])


def seen(points, mirrored, rng):
    """The heatmaps (17, 28, 28) of a network that sees well: of a mirror, what is in the mirror."""
    partners = infer_flip_indices(PERSON_KEYPOINTS)
    at = points + rng.normal(0, 1.2, points.shape)
    if mirrored:
        at = np.column_stack([28 - at[:, 0], at[:, 1]])[list(partners)]
    columns, rows = np.meshgrid(np.arange(28) + 0.5, np.arange(28) + 0.5)
    squares = (columns - at[:, :1, None]) ** 2 + (rows - at[:, 1:, None]) ** 2
    return torch.tensor(-squares / 4, dtype=torch.float32)


def ap_with(flip_indices, seed):
    """The AP of that network's upright and mirrored view, put together by the code under test."""
    truth, rng, results = people(60, np.random.default_rng(0)), np.random.default_rng(seed), []
    for annotation in truth.annotations:
        x, y, width, height = annotation["bbox"]
        box = torch.tensor([[x, y, x + width, y + height]], dtype=torch.float32)
        points = np.array(annotation["keypoints"]).reshape(17, 3)[:, :2]
        points = (points - [x, y]) / [width, height] * 28
        mean = sum(
            View(64, 100, flip).heatmaps_back(
                probabilities(seen(points, flip, rng)[None]), flip_indices
            )
            for flip in (False, True)
        )
        found = decode(mean / 2, box)[0]
        results.append(
            {
                "image_id": annotation["image_id"], "category_id": 1, "score": float(rng.random()),
                "keypoints": found.flatten().tolist(),
            }
        )  # fmt: skip
    return evaluate(truth, results, "keypoints").ap


def test_a_broken_swap_of_left_and_right_fails_by_the_rows_it_reaches_and_another_seed_does_not(
    clone,
):
    partners = infer_flip_indices(PERSON_KEYPOINTS)
    change("co-115_un-120", ap=ap_with(partners, seed=0))
    accepted()
    change("co-115_un-120", ap=ap_with(partners, seed=1))
    assert checked()[1]
    change("co-115_un-120", ap=ap_with(tuple(range(17)), seed=1))
    text, ok = checked()
    assert not ok
    assert [line.split(":")[0] for line in text.splitlines() if "FAIL" in line] == [
        "FAIL co-115_un-120 ap"
    ]


@pytest.fixture
def committed(clone):
    for command in (["init", "-q"], ["add", "results"], ["commit", "-qm", "seed 0"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *command], check=True)
    return clone


def compared(revision="HEAD"):
    return against.run(open_profile("miniature"), revision, "seeds")


def test_results_that_are_a_commits_have_not_moved(committed):
    assert compared() == ("0 of 25 values moved, 0 beyond their tolerance", True)


def test_the_commands_take_chance_from_the_profile_that_is_named(committed, datastill):
    assert datastill("accept").returncode == 0
    for command in (("accept",), ("check", "--against", "HEAD")):
        answer = datastill(*command, "--spread", "miniature")
        assert answer.returncode == 1
        assert "no training run has two seeds" in answer.stderr


def test_what_moved_is_told_in_units_of_its_tolerance(committed):
    accepted()
    before = json.loads(Path("results/miniature/metrics/co-35.json").read_text())["ap"]
    change("co-35", ap=before - 1.5)
    change("co-115", ap50=0.0)
    text, ok = compared()
    assert not ok
    lines = [line.split() for line in text.splitlines()]
    tolerance = yaml.safe_load(expected().read_text())["values"]["co-35"]["ap"]["tolerance"]
    numbers = [f"{before:.2f}", f"{before - 1.5:.2f}", "-1.50", f"{1.5 / tolerance:.2f}"]
    assert ["ok", "co-35", "ap", *numbers] in lines
    assert ["FAIL", "co-115", "ap50"] in [line[:3] for line in lines]
    assert text.endswith("2 of 25 values moved, 1 beyond their tolerance")


def test_a_metric_without_truth_is_left_out_and_small_boxes_are_compared(committed):
    for row in ROWS:
        change(row, ap_large=None)
    for path in Path("results/seeds/metrics").glob("*.json"):
        seeds = json.loads(path.read_text())
        path.write_text(json.dumps({**seeds, "ap_large": None, "ap_small": seeds["ap"]}))
    change("co-35", ap_small=20.0)
    subprocess.run(["git", "add", "results"], check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, "commit", "-qm", "boxes"], check=True)
    change("co-35", ap_small=0.0)
    text, ok = compared()
    assert not ok
    assert "FAIL co-35 " in text
    assert text.endswith("1 of 21 values moved, 1 beyond their tolerance")


def test_a_row_that_is_gone_fails_and_a_new_one_does_not(committed):
    put(seed=0)
    Path("results/miniature/metrics/co-115.json").unlink()
    text, ok = compared()
    assert not ok
    assert "FAIL co-115 " in text
    subprocess.run(["git", "rm", "-q", "--cached", "results/miniature/metrics/co-115.json"])
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, "commit", "-qm", "without co-115"], check=True)
    put(seed=0)
    text, ok = compared()
    assert ok
    assert "ok   co-115 " in text


@pytest.mark.parametrize(
    ("revision", "message"),
    [("nowhere", "Not a valid object name nowhere"), ("HEAD", "no results")],
)
def test_a_revision_without_results_is_an_error_that_says_so(committed, revision, message):
    (committed / "pipelines/empty").mkdir()
    text = (committed / "params.yaml").read_text().replace("profile: miniature", "profile: empty")
    text = text.replace("params_file: params.yaml", "params_file: pipelines/empty/params.yaml")
    (committed / "pipelines/empty/params.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        against.run(open_profile("empty"), revision, "seeds")
