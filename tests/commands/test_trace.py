"""A number, traced to its source by records alone, and its digests checked against the bytes."""

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow_runs import runs
from places import ROOT

from datastill.commands import trace
from datastill.errors import DataError
from datastill.project.profile import open_profile
from datastill.tracking.store import Store
from datastill.tracking.sync import STATE

LINE = "results/miniature/table1.csv:co-35_co-80"


def table(profile):
    with (ROOT / f"results/{profile}/table1.csv").open() as file:
        return list(csv.DictReader(file))


SUITE = ("miniature", "seeds", "boxes", "ablations")  # profiles of this project, not of its users


def chain(profile, what, verify=False):
    """Return what `trace --json` says and whether the chain holds."""
    text, ok = trace.run(open_profile(profile), what, verify, as_json=True)
    return json.loads(text), ok


def walk(node, role=""):
    yield role, node
    for name, source in node["sources"].items():
        yield from walk(source, name)


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """What a fresh clone has of the results, in a folder of its own without git."""
    for name in ("results", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("params.yaml", "dvc.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_set_that_a_training_did_not_read_is_no_link_of_its_chain(clone):
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    stage = lock["stages"]["supervised@co-35"]
    stage["deps"] = [dep for dep in stage["deps"] if not dep["path"].endswith("/data/co-35.json")]
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    with pytest.raises(DataError, match=r"supervised@co-35 has not read .*co-35\.json"):
        chain("miniature", "co-35")


def test_annotations_say_from_which_score_and_which_probability_on(clone):
    card = json.loads(Path("results/miniature/annotations/co-35_co-80.json").read_text())
    least = {name: each["value"] for name, each in card["thresholds"].items()}
    text, _ = trace.run(open_profile("miniature"), LINE, check=False, as_json=False)
    told = f"scored {least['instance']:.4f} or more, keypoints {least['keypoint']:.4f} or more"
    assert told in text


def test_a_table_says_itself_of_which_profile_it_is(clone, datastill):
    answer = datastill("trace", "results/seeds/table1.csv:co-35")
    assert answer.returncode == 0, answer.stderr
    assert "co-35_seed-5" in answer.stdout


def test_each_gain_names_the_rows_that_it_is_over(clone):
    told, _ = chain("seeds", "results/seeds/table1.csv:co-35_co-80/1a/distilled/small")
    facts = told["chains"][0]["facts"]
    assert facts["gain_over"] == [f"co-35_seed-{seed}" for seed in range(6)]


TABLES = [
    path.relative_to(ROOT)
    for profile in SUITE
    for path in sorted((ROOT / "results" / profile).glob("*.csv"))
]


@pytest.mark.parametrize("path", TABLES, ids=str)
def test_every_row_of_every_committed_table_goes_back_to_the_source_of_its_images(path, clone):
    told, ok = chain(path.parts[1], str(path))
    assert ok, told["breaks"]
    text, _ = trace.run(open_profile(path.parts[1]), str(path), check=False, as_json=False)
    roots = [line for line in text.splitlines() if line[:1].isalpha() and ": AP " in line]
    assert len(roots) == len(told["chains"])
    with path.open() as file:
        lines = [line for line in csv.DictReader(file) if line["role"] != "paper"]
    keys = ("row",) if "row" in lines[0] else ("labelled", "unlabelled", "backbone", "iterations")
    assert len(told["chains"]) == len({tuple(line[key] for key in keys) for line in lines})
    for value in told["chains"]:
        nodes = list(walk(value))
        models = [node for _, node in nodes if node["kind"] == "model"]
        trained = [node for node in models if "ensemble" not in node["facts"]]
        assert trained
        assert all(len(model["files"][0]["sha256"]) == 64 for model in trained)
        leaves = {node["kind"] for _, node in nodes if not node["sources"]}
        assert leaves == {"source"}
        assert all(file["md5"] for _, node in nodes for file in node["files"])


@pytest.mark.parametrize("profile", ["miniature", "seeds"])
def test_every_step_names_a_commit_that_holds_its_very_code(profile, monkeypatch):
    monkeypatch.chdir(ROOT)
    git = ["git", "rev-parse", "--is-shallow-repository"]
    if subprocess.run(git, capture_output=True, text=True).stdout.strip() != "false":
        pytest.skip("no history here: this is a shallow clone, or none")
    told, _ = chain(profile, f"results/{profile}/table1.csv:co-35_co-80")
    commits = [n["code"] for c in told["chains"] for _, n in walk(c) if n["code"] is not None]
    assert len(commits) > 5
    assert all(len(commit) == 40 for commit in commits)


@pytest.mark.slow
def test_a_commit_named_for_code_has_the_digest_that_dvc_took(monkeypatch, tmp_path):
    """The reference is DVC itself: it hashes a checkout of the commit that was named."""
    monkeypatch.chdir(ROOT)
    told, _ = chain("miniature", "co-35")
    commit = told["chains"][0]["sources"]["model"]["code"]
    if not commit:
        pytest.skip("no history here: this is a shallow clone, or none")
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    tree = subprocess.run(["git", "archive", commit, "src"], capture_output=True, check=True)
    subprocess.run(["tar", "x"], input=tree.stdout, cwd=tmp_path, check=True)
    stages = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    deps = {dep["path"]: dep["md5"] for dep in stages["supervised@co-35"]["deps"]}
    code = [path for path in deps if path.startswith("src/")]
    dvc = [sys.executable, "-m", "dvc"]
    for command in (["git", "init", "-q"], [*dvc, "init", "-q"], [*dvc, "add", "-q", *code]):
        subprocess.run(command, cwd=tmp_path, check=True)
    for path in code:
        (taken,) = yaml.safe_load((tmp_path / f"{path}.dvc").read_text())["outs"]
        assert taken["md5"] == deps[path], path


def test_a_mean_of_seeds_goes_back_to_every_seed_of_row_and_teacher(clone):
    told, _ = chain("seeds", "results/seeds/table1.csv:co-115_s1m-180")
    results = told["chains"][0]["sources"]
    assert list(results) == [f"co-115_s1m-180_seed-{seed}" for seed in range(6)]
    for seed, result in enumerate(results.values()):
        teacher = result["sources"]["model"]["sources"]["generated"]["sources"]["teacher"]
        assert (teacher["name"], teacher["facts"]["seed"]) == (f"co-115_seed-{seed}", seed)
    mean = sum(result["facts"]["ap"] for result in results.values()) / 6
    assert told["chains"][0]["facts"]["ap"] == pytest.approx(mean, abs=0.005)


def test_a_line_of_an_ablation_that_means_several_seeds_goes_back_to_all_of_them(clone):
    path, seeds = Path("results/seeds/beyond.csv"), [f"co-35_seed-{seed}" for seed in range(3)]
    aps = [json.loads(open_profile("seeds").metrics(row).read_text())["ap"] for row in seeds]
    with path.open() as file:
        line = next(csv.DictReader(file))
    for ap, holds in ((sum(aps) / 3, True), (aps[0], False)):
        line |= {"row": "co-35_seed-0", "ap": f"{ap:.2f}", "rows": " ".join(seeds)}
        path.write_text(f"{','.join(line)}\n{','.join(line.values())}\n")
        told, ok = chain("seeds", f"{path}:co-35_seed-1")
        assert [*told["chains"][0]["sources"]] == seeds
        assert ok is holds


def with_a_second_round(clone):
    """Make the records tell of a student of co-35_co-80, as its stages would have written them."""
    first, second = "co-35_co-80", "again"
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    stages = lock["stages"]
    evaluated = stages[f"evaluate-distilled@{first}"]["deps"]
    (weights,) = [dep for dep in evaluated if dep["path"].endswith("weights.safetensors")]
    for kind in ("annotate", "distilled", "evaluate-distilled"):
        stage = yaml.safe_load(yaml.safe_dump(stages[f"{kind}@{first}"]).replace(first, second))
        teacher = "work/miniature/models/co-35/weights.safetensors"
        deps = [weights if dep["path"] == teacher else dep for dep in stage["deps"]]
        for asked in stage["params"].values():
            asked.get(f"distilled.{second}", {})["teacher"] = first
        stages[f"{kind}@{second}"] = {**stage, "deps": deps}
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    results = Path("results/miniature")
    measured = json.loads((results / f"metrics/{first}.json").read_text())
    for folder in ("metrics", "annotations"):
        shutil.copy(results / folder / f"{first}.json", results / folder / f"{second}.json")
    edit(
        results / f"annotations/{second}.json",
        lambda card: card["provenance"].update(teacher_weights=measured["provenance"]["weights"]),
    )
    return second


def test_the_student_of_a_student_goes_back_through_both_to_the_first_teacher(clone):
    second = with_a_second_round(clone)
    told, ok = chain("miniature", second)
    assert ok, told["breaks"]
    teachers = [node["name"] for role, node in walk(told["chains"][0]) if role == "teacher"]
    assert teachers == ["co-35_co-80", "co-35"]
    text, _ = trace.run(open_profile("miniature"), second, check=False, as_json=False)
    lines = [line.strip("│├└─ ") for line in text.splitlines()]
    told = [line.split(":")[0] for line in lines if line.startswith("teacher model")]
    assert told == ["teacher model co-35_co-80", "teacher model co-35"]


def test_sources_say_what_was_drawn(clone):
    told, _ = chain("miniature", "co-115_s1m-180")
    found = {n["name"]: n for _, n in walk(told["chains"][0]) if n["kind"] == "set"}
    assert found["s1m-180"]["sources"]["source"]["facts"]["style"] == "sport"
    assert list(found["co-115"]["sources"]) == ["co-35", "co-80"]
    assert [found[name]["facts"]["images"] for name in ("co-35", "s1m-180", "val")] == [
        30,
        150,
        1000,
    ]


def test_sources_name_the_files_where_images_are_files(clone):
    lock = yaml.safe_load((clone / "dvc.lock").read_text())
    data = lock["stages"]["data"]
    made_of = {"annotations": "a.json", "without": [], "images": ["train"], "count": None}
    sets = {"co-35": made_of, "co-80": {"folder": "more", "count": None}}
    sets |= {"co-115": {"union": ["co-35", "co-80"]}, "un-120": {"videos": "v", "count": None}}
    files = {"source": "files", "watched": "mine/a.json", "root": "mine", "sets": sets}
    data["params"]["params.yaml"]["data"] = files | {"val": made_of | {"annotations": "val.json"}}
    data["deps"].append({"path": "mine/a.json", "hash": "md5", "md5": "0" * 32})
    (clone / "dvc.lock").write_text(yaml.safe_dump(lock))
    told, _ = chain("miniature", "co-115_un-120")
    found = {n["name"]: n for _, n in walk(told["chains"][0]) if n["kind"] == "set"}
    sources = {name: node["sources"].get("source") for name, node in found.items()}
    assert sources["val"]["facts"]["annotations"] == "val.json"
    assert sources["co-80"]["facts"]["folder"] == "more"
    assert sources["un-120"]["facts"]["videos"] == "v"
    assert sources["co-35"]["files"] == [{"path": "mine/a.json", "md5": "0" * 32, "sha256": ""}]
    text, _ = trace.run(open_profile("miniature"), "co-115_un-120", check=False, as_json=False)
    assert "files: root mine, videos v" in text


def test_the_tree_reads_from_the_number_down_to_the_drawing(clone):
    text, _ = trace.run(open_profile("miniature"), LINE, check=False, as_json=False)
    told = [line.strip("│├└─ ") for line in text.splitlines()]
    line = next(line for line in table("miniature") if line["unlabelled"] == "co-80")
    made = json.loads(Path("results/miniature/annotations/co-35_co-80.json").read_text())
    interval = f"[{line['ap_low']}, {line['ap_high']}]"
    wanted = [
        f"co-35_co-80: AP {line['ap']} {interval}, +{line['gain']} over co-35 (in 1a distilled)",
        f"result co-35_co-80: AP {line['ap']}",
        "model co-35_co-80: small from initial, 360,000 iterations (500 steps of 8), rate 0.06",
        "labelled co-35: 30 images",
        "drawn: seed 0, style everyday",
        f"generated annotations co-35_co-80: {made['instances']} instances on {made['images']} ",
        "teacher model co-35: small from initial, 360,000 iterations (500 steps of 8)",
        "unlabelled co-80: 69 images",
        "val: 1,000 images",
    ]
    places = [next(i for i, line in enumerate(told) if line.startswith(start)) for start in wanted]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("results/seeds/table1.csv:co-36", "no line 'co-36'; there are co-35, "),
        ("results/seeds/table2.csv:co-35", "table2.csv: no such file"),
        ("elsewhere/seeds/table1.csv:co-35", "expected a table of a profile"),
        ("co-36", "no row 'co-36' has run"),
    ],
)
def test_a_name_that_says_too_little_or_nothing_is_an_error_that_helps(clone, what, message):
    with pytest.raises(DataError, match=message):
        chain("seeds", what)


def test_a_word_tells_two_trainings_on_one_set_apart(clone):
    path = Path("results/seeds/table1.csv")
    lines = path.read_text().splitlines()
    first = next(line for line in lines if line.startswith("1a,supervised,"))
    longer = first.replace("360000", "720000")
    path.write_text("\n".join([*lines, longer, ""]))
    with pytest.raises(
        DataError, match="names 2 training runs; say which of co-35/360000, co-35/7"
    ):
        chain("seeds", f"{path}:co-35")
    told, _ = chain("seeds", f"{path}:co-35/360000")
    assert list(told["chains"][0]["sources"]) == [f"co-35_seed-{seed}" for seed in range(6)]


def test_a_table_that_its_rows_do_not_give_is_broken(clone):
    edit(clone / "results/miniature/metrics/co-35_co-80.json", lambda m: m.update(ap=37.0))
    told, ok = chain("miniature", LINE)
    assert not ok
    said = next(line["ap"] for line in table("miniature") if line["unlabelled"] == "co-80")
    assert [text.partition(": ")[2] for text in told["breaks"]] == [
        f"1a co-35_co-80: says AP {said}, its rows have 37"
    ]


def test_another_teacher_than_the_measured_one_breaks_the_chain(clone):
    card = clone / "results/miniature/annotations/co-35_co-80.json"
    edit(card, lambda c: c["provenance"].update(teacher_weights="0" * 64))
    told, ok = chain("miniature", LINE)
    assert not ok
    assert "the teacher of co-35_co-80 was 00000000" in told["breaks"][0]


@pytest.mark.parametrize("trained", ["co-35", "co-35_co-80"])
def test_a_model_trained_again_since_its_evaluation_breaks_the_chain(clone, trained):
    card = clone / f"work/miniature/models/{trained}/card.json"
    card.parent.mkdir(parents=True)
    evaluated = json.loads((clone / f"results/miniature/metrics/{trained}.json").read_text())
    same = evaluated["provenance"]["fingerprint"]
    for fingerprint, holds in ((same, True), ("0" * 64, False)):
        card.write_text(json.dumps({"fingerprint": fingerprint}))
        told, ok = chain("miniature", "co-35_co-80")
        assert ok == holds
    assert told["breaks"] == [
        f"work/miniature/models/{trained}: the metrics are of training {same[:8]}, the model here "
        "is of 00000000; `dvc repro` makes everything that depends on it again"
    ]


def test_initial_weights_replaced_in_place_break_the_chain(clone):
    weights, card = Path("mine.safetensors"), Path("work/miniature/models/co-35/card.json")
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    train = lock["stages"]["supervised@co-35"]["params"]["params.yaml"]["train"]
    train["initial_files"] = {"small": str(weights)}
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    weights.write_bytes(b"former")
    former = hashlib.sha256(b"former").hexdigest()
    evaluated = json.loads(Path("results/miniature/metrics/co-35.json").read_text())
    card.parent.mkdir(parents=True)
    fingerprint = evaluated["provenance"]["fingerprint"]
    card.write_text(json.dumps({"fingerprint": fingerprint, "initial": former}))
    assert chain("miniature", "co-35_co-80")[1]
    weights.write_bytes(b"latter")
    told, ok = chain("miniature", "co-35_co-80")
    assert not ok
    assert told["breaks"] == [
        f"mine.safetensors: the model of co-35 started from {former[:8]}, the file here is "
        f"{hashlib.sha256(b'latter').hexdigest()[:8]}; bring back the former file, or train co-35 "
        "again"
    ]


def test_stages_that_met_different_files_under_one_name_break_the_chain(clone):
    lock = yaml.safe_load((clone / "dvc.lock").read_text())
    (dep,) = [
        dep
        for dep in lock["stages"]["distilled@co-35_co-80"]["deps"]
        if dep["path"] == "work/miniature/annotations/co-35_co-80.json"
    ]
    dep["md5"] = "f" * 32
    (clone / "dvc.lock").write_text(yaml.safe_dump(lock))
    told, ok = chain("miniature", LINE)
    assert not ok
    assert "annotations/co-35_co-80.json: the stages recorded" in told["breaks"][0]


def test_a_file_that_a_table_read_and_no_stage_wrote_breaks_the_chain(clone):
    lock = (clone / "dvc.lock").read_text()
    name = next(each for each in yaml.safe_load(lock)["stages"] if each.startswith("tables"))
    before, stage, after = lock.partition(f"  {name}:")
    renamed = after.replace("work/miniature/data/val.json", "work/miniature/dta/val.json", 1)
    (clone / "dvc.lock").write_text(before + stage + renamed)
    told, ok = chain("miniature", LINE)
    assert not ok
    assert told["breaks"] == [
        f"work/miniature/dta/val.json: {name} read it, and no stage has written it; "
        "`dvc repro` makes it"
    ]


@pytest.mark.parametrize("md5", ["", "0" * 31, float("nan"), "../" * 11])
def test_a_digest_that_is_none_is_one_error(clone, md5):
    lock = yaml.safe_load((clone / "dvc.lock").read_text())
    lock["stages"]["distilled@co-35_co-80"]["deps"][0]["md5"] = md5
    (clone / "dvc.lock").write_text(yaml.safe_dump(lock))
    with pytest.raises(DataError, match=r"dvc\.lock: expected DVC's lock file; .*md5: "):
        chain("miniature", LINE)


def test_an_error_beyond_the_records_is_not_said_to_be_theirs(clone, monkeypatch):
    def fail(*_):
        raise TypeError("a fault of the program")

    monkeypatch.setattr(trace, "verify", fail)
    with pytest.raises(TypeError, match="a fault of the program"):
        chain("miniature", LINE, verify=True)


def test_a_clone_without_its_files_says_that_they_are_not_verified(clone):
    told, ok = chain("miniature", LINE, verify=True)
    assert ok
    states = {verdict["path"]: verdict["state"] for verdict in told["verified"]}
    assert states["results/miniature/table1.csv"] == "same"
    assert states["work/miniature/models/co-35/weights.safetensors"] == "absent"
    text, _ = trace.run(open_profile("miniature"), LINE, check=True, as_json=False)
    assert "not here, so not verified: work/miniature/data/val.json" in text


def test_after_a_repro_every_digest_is_verified(reproduced, datastill):
    answer = datastill("trace", LINE, "--verify", "--json", cwd=reproduced.root)
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    states = [verdict["state"] for verdict in told["verified"]]
    assert set(states) == {"same"}
    where = {verdict["where"] for verdict in told["verified"]}
    assert "work/miniature/images/val/000003.jpg" in where
    assert any("/.dvc/cache/" in path for path in where)


def test_mlflow_tells_of_the_same_files(reproduced, datastill):
    answer = datastill("trace", "co-35_co-80", "--json", cwd=reproduced.root)
    told = json.loads(answer.stdout)
    uri = f"sqlite:///{reproduced.root / 'mlflow.db'}"
    mirrored = {run["row"]: run for run in runs(Store(uri, "datastill/miniature", 60))}
    nodes = dict(walk(told["chains"][0]))
    model, generated = nodes["model"], nodes["generated"]
    for node in (model, nodes["teacher"]):
        run = mirrored[node["name"]]
        assert run["tags"]["seed"] == str(node["facts"]["seed"])
        metrics = reproduced.root / f"results/miniature/metrics/{node['name']}.json"
        made = json.loads(metrics.read_text())["provenance"]
        state = json.loads(run["tags"][STATE])
        assert state["fingerprint"] == made["fingerprint"] == node["facts"]["fingerprint"]
    run = mirrored["co-35_co-80"]
    assert run["tags"]["teacher"] == nodes["teacher"]["name"]
    held = {entry["context"]: entry["digest"] for entry in run["inputs"]}
    assert generated["files"][0]["sha256"].startswith(held["generated"])
    assert nodes["val"]["files"][0]["sha256"].startswith(held["val"])
    for context in ("labelled", "unlabelled", "generated", "val"):
        path = reproduced.root / nodes[context]["files"][0]["path"]
        assert md5(path) == nodes[context]["files"][0]["md5"]
        assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(held[context])


def flip(path):
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_one_flipped_byte_in_the_cache_the_workspace_or_a_picture_is_named(copy):
    lock = yaml.safe_load((copy.root / "dvc.lock").read_text())["stages"]
    outs = {out["path"]: out["md5"] for out in lock["annotate@co-35_co-80"]["outs"]}
    digest = outs["work/miniature/annotations/co-35_co-80.json"]
    weights = copy.root / "work/miniature/models/co-35/weights.safetensors"
    flipped = {
        f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}",
        "work/miniature/models/co-35/weights.safetensors",
        "work/miniature/images/co-80/000001.jpg",
    }
    assert not weights.is_symlink()
    for path in flipped:
        flip(copy.root / path)
    answer = copy.run("datastill", "trace", LINE, "--verify")
    assert answer.returncode == 1
    lines = [line for line in answer.stdout.splitlines() if line.startswith("differs ")]
    assert len({path for path in flipped if any(path in line for line in lines)}) == 3
    assert f"was {digest[:8]}" in answer.stdout
