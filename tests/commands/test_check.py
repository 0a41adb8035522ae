"""What `check` lets pass and what it does not: another seed, a broken flip, a claim."""

import csv
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from claimed_results import CLAIMS, edit_cell, edit_claims
from measured_seeds import accepted, change, claim, put
from places import ROOT

from datastill.coco.format import PERSON, PERSON_KEYPOINTS, Coco
from datastill.coco.skeleton import infer_flip_indices
from datastill.commands import check
from datastill.errors import ParamsError
from datastill.evaluation.coco_ap import evaluate
from datastill.inference.heatmaps import decode, probabilities
from datastill.inference.views import View
from datastill.project.profile import open_profile


def checked(profile="miniature"):
    return check.run(open_profile(profile))


def failures(profile="miniature"):
    text, ok = checked(profile)
    lines = [line.removeprefix("FAIL ") for line in text.splitlines() if line.startswith("FAIL")]
    assert ok == (not lines)
    return lines


@pytest.mark.parametrize("seed", [1, 2])
def test_what_one_seed_gave_another_seed_passes(clone, seed):
    claim("co-35 < co-35_co-80 < co-115", "co-35_co-80 < co-115_un-120")
    accepted()
    put(seed)
    text, ok = checked()
    assert ok, text


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


COMMITTED = yaml.safe_load((ROOT / CLAIMS).read_text())


def test_results_pass_with_their_claims_and_pages(pages):
    text, ok = checked()
    assert ok
    assert text.splitlines() == [
        "ok   claim few-labels: expected reproduced, found reproduced",
        "ok   claim order: expected reproduced, found reproduced",
        "ok   claim boxes: expected inconclusive, found inconclusive",
        *(
            f"ok   {block}: expected what `datastill readme` writes, found the same"
            for block in (
                "README.md, block results/claims.yaml",
                "README.md, block results/seeds/table1.md",
                "README.md, block results/boxes/table4.md",
                "results/README.md, block results/claims.yaml",
            )
        ),
        "all hold",
    ]


def flipped(column, text):
    """Another text of a cell: what its column says, turned round."""
    if column.endswith("_verdict"):
        return "loss" if text == "gain" else "gain"
    if column.endswith("_p"):
        return f"{abs(float(text) - 1):.4f}"
    return f"{-float(text):.2f}" if float(text) else "1.00"


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMITTED)
def test_a_flipped_cell_fails_and_names_the_claim_that_rests_on_it(committed, name):
    spec = COMMITTED[name]
    edit_claims(lambda claims: [claims.pop(other) for other in COMMITTED if other != name])

    def named():
        return [line for line in failures() if f"claim {name}" in line]

    assert named() == []
    for key, cell in (spec["cells"] | spec.get("quoted", {})).items():
        table = Path(cell["table"])
        before = table.read_text()
        columns = [f"{cell['column']}{end}" for end in ("", "_low", "_high", "_p", "_verdict")]
        with table.open(newline="") as file:
            there = next(csv.reader(file))
        for column in [column for column in columns if column in there]:
            edit_cell(name, key, column, lambda text, column=column: flipped(column, text))
            assert named(), (key, column)
            table.write_text(before)


def test_a_flipped_metric_of_a_seed_fails_and_names_the_claim(pages):
    Path("results/seeds/metrics/co-35_seed-1.json").write_text('{"ap": 35.5}')
    (line,) = failures()
    assert line == (
        "claim order: expected reproduced, found results/claims.yaml: claim order: cell few: "
        "30.00 is not the mean of its seeds, 29.5, 35.5"
    )


def test_another_verdict_fails_and_so_does_the_sentence_that_is_made_from_it(pages):
    edit_cell("few-labels", "student", "gain_p", lambda _: "0.0600")
    edit_cell("few-labels", "student", "gain_verdict", lambda _: "not distinguishable")
    assert failures() == [
        "claim few-labels: expected reproduced, found inconclusive",
        *(
            f"claim few-labels in {page}: expected what `datastill readme` writes, "
            "found another sentence"
            for page in ("README.md", "results/README.md")
        ),
    ]


@pytest.mark.parametrize(
    ("page", "old", "new", "failure"),
    [
        ("README.md", "Boxes gain", "Boxes win", "claim boxes in README.md: "),
        ("README.md", "| results/seeds", "| seeds", "README.md, block results/seeds/table1.md: "),
        ("results/README.md", "2. **Rep", "2. **Not rep", "claim order in results/README.md: "),
        (
            "results/README.md",
            "1. **",
            "0. More.\n1. **",
            "results/README.md, block results/claims",
        ),
    ],
)
def test_a_page_that_differs_fails_and_the_remedy_is_named(pages, page, old, new, failure):
    text = Path(page).read_text()
    assert old in text
    Path(page).write_text(text.replace(old, new, 1))
    (line,) = failures()
    assert line.startswith(failure)
    assert ": expected what `datastill readme` writes, found " in line


def test_a_table_that_a_run_made_since_the_commit_is_no_stale_page(pages):
    def git(command):
        name = ("-c", "user.name=a", "-c", "user.email=b")
        subprocess.run(["git", *name, *command.split()], check=True)

    for command in ("init -q", "add .", "commit -qm first"):
        git(command)
    Path("results/seeds/table1.md").write_text("| another machine's |\n")
    assert failures() == []
    git("commit -qam second")
    (line,) = failures()
    assert line.startswith("README.md, block results/seeds/table1.md: ")


def test_a_table_whose_page_is_gone_fails_its_block(pages):
    Path("results/boxes/table4.md").unlink()
    (line,) = failures()
    assert line.startswith("README.md, block results/boxes/table4.md: ")
    assert "no such file" in line


def test_another_profile_answers_for_its_own_claims_and_blocks_alone(pages):
    text, ok = checked("boxes")  # which has no expected.yaml
    assert ok
    assert [line.partition(": ")[0].removeprefix("ok   ") for line in text.splitlines()] == [
        "claim boxes", "README.md, block results/boxes/table4.md", "all hold",
    ]  # fmt: skip
    edit_cell("few-labels", "student", "gain", lambda _: "-9.00")
    assert failures("boxes") == []
    edit_cell("boxes", "student", "gain", lambda _: "-9.00")
    assert [line.partition(": ")[0] for line in failures("boxes")] == [
        "claim boxes in README.md", "claim boxes in results/README.md",
    ]  # fmt: skip


def test_a_profile_without_claims_needs_its_expectations_as_before(pages):
    with pytest.raises(ParamsError, match=r"results/ablations/expected.yaml: no such file"):
        checked("ablations")
    Path("results/ablations").mkdir()
    Path("results/ablations/expected.yaml").write_text("values: {}\norders: []\n")
    assert checked("ablations") == ("all hold", True)
