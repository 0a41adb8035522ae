"""Every row with several seeds: a profile that `run --seeds` makes, through the command line."""

import shutil

import pytest
import yaml
from places import ROOT
from raw_params import read

from datastill.errors import ParamsError
from datastill.project.loading import load_params
from datastill.project.seeds import with_seeds
from datastill.report.grouping import TrainedRow, group_by_seed


@pytest.fixture
def seeded(tmp_path):
    """Write params with these seeds, and read them back."""

    def build(raw, seeds):
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(raw, sort_keys=False))
        path.write_text(with_seeds(path, seeds, "more"))
        return load_params(path)

    return build


def test_every_row_comes_once_a_seed_with_teachers_of_its_seed(seeded):
    before = read()
    before["evaluate"]["with_views"] = ["co-115"]
    after = seeded(before, [0, 2])
    assert list(after.supervised) == [
        "co-35_seed-0", "co-35_seed-2", "co-115_seed-0", "co-115_seed-2",
    ]  # fmt: skip
    student = after.distilled["co-35_co-80_seed-2"]
    assert (student.seed, student.teacher) == (2, "co-35_seed-2")
    assert student.iterations == before["distilled"]["co-35_co-80"]["iterations"]
    assert after.evaluate.with_views == ["co-115_seed-0", "co-115_seed-2"]
    assert after.train.model_dump() == {"flip": True} | before["train"]
    assert after.params_file == "pipelines/more/params.yaml"
    assert {row.seed for row in after.rows().values()} == {0, 2}


def test_the_rows_of_a_seed_have_sets_drawn_from_it_but_for_val_and_the_seed_of_the_data(seeded):
    before = read()
    before["data"]["seed"] = 2
    after = seeded(before, [0, 2, 5])
    sets, drawn = after.data.sets, ("co-35", "co-80", "un-120", "s1m-180")
    assert list(sets)[:5] == list(before["data"]["sets"])
    assert {name: spec.model_dump() for name, spec in sets.items() if name in drawn} == {
        name: before["data"]["sets"][name] for name in drawn
    }
    for seed in (0, 5):
        for name in drawn:
            assert sets[f"{name}_seed-{seed}"].model_dump() == {"redraws": name, "seed": seed}
        union = [f"co-35_seed-{seed}", f"co-80_seed-{seed}"]
        assert sets[f"co-115_seed-{seed}"].model_dump() == {"union": union}
        student = after.distilled[f"co-115_un-120_seed-{seed}"]
        assert (student.labelled, student.unlabelled) == (
            f"co-115_seed-{seed}", f"un-120_seed-{seed}",
        )  # fmt: skip
    assert len(sets) == 3 * 5
    student = after.distilled["co-115_un-120_seed-2"]
    assert (student.labelled, student.unlabelled) == ("co-115", "un-120")
    assert after.data.val.model_dump() == before["data"]["val"]


def test_rows_of_all_seeds_are_one_training_run(seeded):
    after = seeded(read(), [0, 1, 2])
    rows = [
        TrainedRow.of(spec.model_dump(exclude_none=True), after.original_set, row=name)
        for name, spec in after.rows().items()
    ]
    assert [len(group) for group in group_by_seed(rows).values()] == [3] * 5


def test_of_files_only_what_chance_chose_is_chosen_again_for_every_seed(seeded):
    """A part of a file and frames of videos; a union with such a part; never images of val."""
    before = read("pipelines/coco/params.yaml")
    before["supervised"] = {"co-35": before["supervised"]["co-35"]}
    before |= {"ensembles": {}, "distilled": {}, "tables": ["table2"]}
    before["evaluate"]["with_views"] = []
    sets = before["data"]["sets"]
    part = {"seed": 0, "skip": 0, "take": 3}
    before["data"]["val"]["part"] = part | {"skip": 3}
    val = {key: before["data"]["val"][key] for key in ("annotations", "without", "images", "count")}
    sets |= {
        "beside-val": {**val, "part": part},
        "block": {**val, "part": part | {"block": [0, 9]}},
    }
    sets |= {"few": {**sets["co-80"], "part": part}, "both": {"union": ["few", "co-35"]}}
    before["supervised"]["both"] = {**before["supervised"]["co-35"], "labelled": "both"}
    after = seeded(before, [0, 1])
    drawn = {name: spec for name, spec in after.data.sets.items() if name not in sets}
    assert list(after.data.sets)[: len(sets)] == list(sets)
    assert {name: spec.model_dump() for name, spec in drawn.items()} == {
        "s1m-180_seed-1": {"redraws": "s1m-180", "seed": 1},
        "block_seed-1": {"redraws": "block", "seed": 1},
        "few_seed-1": {"redraws": "few", "seed": 1},
        "both_seed-1": {"union": ["few_seed-1", "co-35"]},
    }
    labelled = {name: row.labelled for name, row in after.supervised.items()}
    assert labelled["co-35_seed-1"] == "co-35"
    assert (labelled["both_seed-0"], labelled["both_seed-1"]) == ("both", "both_seed-1")


def test_teachers_of_an_ensemble_have_the_seed_of_their_student(seeded):
    before = read()
    before["ensembles"]["three"] = {"first": "co-35", "second": "co-115", "third": "co-35"}
    before["distilled"]["co-35_co-80"]["teacher"] = "three"
    after = seeded(before, [0, 1])
    assert after.distilled["co-35_co-80_seed-1"].teacher == "three_seed-1"
    assert after.ensembles["three_seed-1"].second == "co-115_seed-1"


def test_a_teacher_that_is_not_trained_here_is_the_same_for_every_seed(seeded):
    before = read()
    before["teachers"] = {"exported": {"ready": "folder"}}
    before["distilled"]["co-35_co-80"]["teacher"] = "ready"
    after = seeded(before, [0, 1])
    assert after.distilled["co-35_co-80_seed-1"].teacher == "ready"
    assert after.teachers.exported == {"ready": "folder"}


@pytest.mark.parametrize("seeds", [[0, 0], [-1], [], [0, 10**20]])
def test_seeds_that_are_none_are_refused(seeds):
    with pytest.raises(ParamsError, match="--seeds: expected different numbers"):
        with_seeds(ROOT / "params.yaml", seeds, "more")


def test_a_profile_that_has_several_seeds_already_is_refused():
    with pytest.raises(ParamsError, match="differ only in their seed"):
        with_seeds(ROOT / "pipelines/seeds/params.yaml", [0, 1], "more")


@pytest.mark.slow
def test_the_command_writes_the_profile_and_says_what_would_run(project, datastill):
    answer = project.run("datastill", "run", "--seeds", "0,1", "--dry")
    assert answer.returncode == 0, answer.stderr
    assert "supervised@co-35_seed-1" in answer.stdout
    folder = project.root / "pipelines/miniature-seeds"
    assert (folder / "dvc.yaml").read_bytes() == (project.root / "dvc.yaml").read_bytes()
    assert load_params(folder / "params.yaml").profile == "miniature-seeds"
    again = datastill("run", "--seeds", "0,x", "--dry", cwd=project.root)
    assert again.returncode == 1
    assert "--seeds: expected numbers such as 0,1,2, found '0,x'" in again.stderr


def test_a_profile_of_that_name_that_was_made_otherwise_stays(datastill, tmp_path):
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    path = tmp_path / "pipelines/miniature-seeds/params.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("# mine\n")
    answer = datastill("run", "--seeds", "0,1", "--dry", cwd=tmp_path)
    assert answer.returncode == 1
    assert "miniature-seeds/params.yaml: was not written by --seeds" in answer.stderr
    assert path.read_text() == "# mine\n"


def test_a_profile_that_it_made_is_replaced_until_it_is_edited(datastill, tmp_path):
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    path = tmp_path / "pipelines/miniature-seeds/params.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(with_seeds(tmp_path / "params.yaml", [0, 1], "miniature-seeds"))
    datastill("run", "--seeds", "0,1,2", "--dry", cwd=tmp_path)  # fails later: no DVC repository
    assert "co-35_seed-2:" in path.read_text()
    edited = path.read_text().replace("engine: local", "engine: ray")
    path.write_text(edited)
    answer = datastill("run", "--seeds", "0,1", "--dry", cwd=tmp_path)
    assert answer.returncode == 1
    assert "params.yaml: was not written by --seeds, or has been edited since" in answer.stderr
    assert path.read_text() == edited
