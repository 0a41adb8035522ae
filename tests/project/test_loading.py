"""Files that are read, and every wrong key at once."""

import pytest
from dvc.utils.serialize import parse_yaml
from places import ROOT
from raw_params import read, refusal

from datastill.errors import ParamsError
from datastill.project.loading import load_params, read_yaml
from datastill.project.records import read_lock
from datastill.project.template import plain_yaml

PROFILES = [ROOT, *sorted((ROOT / "pipelines").glob("*"))]


@pytest.mark.parametrize("folder", PROFILES, ids=lambda folder: folder.name)
def test_the_params_of_every_profile_are_valid(folder):
    params = load_params(folder / "params.yaml")
    assert (ROOT / params.params_file) == folder / "params.yaml"
    assert (folder / params.root).resolve() == ROOT


@pytest.mark.parametrize("folder", PROFILES[1:], ids=lambda folder: folder.name)
def test_every_profile_runs_the_same_stages(folder):
    assert (folder / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()


def test_all_wrong_keys_are_named_at_once(tmp_path):
    raw = read()
    raw["scale"]["images"] = -250
    raw["train"]["batch"] = "many"
    raw["train"]["epochs"] = 3
    raw["supervised"]["co-35"]["labelled"] = "co-53"
    raw["distilled"]["co-35_co-80"]["teacher"] = "nobody"
    raw["data"]["sets"]["co-115"]["union"] = ["co-35", "co-08"]
    raw["evaluate"]["with_views"] = ["co-1"]
    del raw["views"]["flip"]
    refused = refusal(tmp_path, raw)
    for key in (
        "scale.images: ",
        "train.batch: ",
        "train.epochs: unknown key",
        "supervised.co-35.labelled: 'co-53' is not a set",
        "distilled.co-35_co-80.teacher: 'nobody' is not a row",
        "data.sets.co-115.union: 'co-08' is not a set",
        "evaluate.with_views: 'co-1' is not a row",
        "views.flip: missing",
    ):
        assert key in refused


@pytest.mark.parametrize(
    ("profile", "name", "key"),
    [
        ("params.yaml", "co-35", "images"),
        ("params.yaml", "co-115", "images"),
        ("pipelines/coco/params.yaml", "co-35", "count"),
        ("pipelines/coco/params.yaml", "s1m-180", "count"),
    ],
)
def test_a_wrong_key_of_a_set_is_named_itself_whatever_the_kind_of_set(
    tmp_path, profile, name, key
):
    raw = read(profile)
    raw["data"]["sets"][name][key] = "many"
    assert f"has 1 wrong key\n  data.sets.{name}.{key}: " in refusal(tmp_path, raw)


def test_a_wrong_key_of_an_unlabelled_folder_is_named_itself(tmp_path):
    raw = read("pipelines/coco/params.yaml")
    raw["data"]["sets"]["un-120"] = {"folder": "others", "without": [], "count": "many"}
    assert "has 1 wrong key\n  data.sets.un-120.count: " in refusal(tmp_path, raw)


RENAMED = [
    ("initial", "base_rate", "base_lr"),
    ("train", "base_rate", "base_lr"),
    ("train", "drops", "milestones"),
    ("train", "images_per_pass", "micro_batch_size"),
    ("select", "least_score", "min_score"),
    ("select", "least_probability", "min_probability"),
    ("select", "least_views", "min_views"),
    ("select", "least_ignored", "min_ignored"),
    ("select", "most_refused", "max_unreadable_fraction"),
]


@pytest.mark.parametrize(("section", "old", "new"), RENAMED)
def test_a_former_name_of_a_key_is_refused_with_the_present_one(tmp_path, section, old, new):
    raw = read()
    raw[section][old] = raw[section].pop(new)
    message = f"has 1 wrong key\n  {section}.{old}: unknown key; it is called {new} now"
    assert refusal(tmp_path, raw).endswith(message)
    raw[section][new] = raw[section][old]
    assert refusal(tmp_path, raw).endswith(message)


def test_former_names_are_refused_all_at_once_and_nowhere_else_known(tmp_path):
    raw = read()
    for section, old, new in RENAMED:
        raw[section][old] = raw[section].pop(new)
    raw["views"]["base_rate"] = 0.1
    del raw["train"]["momentum"]
    refused = refusal(tmp_path, raw)
    assert "has 11 wrong keys" in refused
    assert refused.count("it is called") == 9
    assert "views.base_rate: unknown key\n" in refused
    assert "train.momentum: missing" in refused


def test_text_that_is_not_yaml_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("scale: [1\n")
    with pytest.raises(ParamsError, match="is not YAML"):
        load_params(path)


def test_a_profile_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ParamsError, match="no such file"):
        load_params(tmp_path / "pipelines" / "nowhere" / "params.yaml")


@pytest.mark.parametrize("slip", [{"co-115": None}, [1], True, None])
def test_a_slip_of_yaml_where_a_name_is_expected_is_one_message(tmp_path, slip):
    raw = read()
    raw["evaluate"]["with_views"] = [slip]
    assert "evaluate.with_views.0" in refusal(tmp_path, raw)
    raw["evaluate"]["with_views"] = slip
    assert "evaluate.with_views" in refusal(tmp_path, raw)
    raw["data"]["sets"]["co-115"]["union"] = [slip]
    assert "data.sets.co-115" in refusal(tmp_path, raw)
    raw["ensembles"] = {"three": {"first": slip, "second": "co-35", "third": "co-115"}}
    assert "ensembles.three.first" in refusal(tmp_path, raw)


def test_text_in_another_encoding_is_one_message(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes("scale: 1 # größe".encode("latin-1"))
    with pytest.raises(ParamsError, match="is not YAML"):
        load_params(path)


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ("010", "write 10, or '010' in quotes"),
        ("-025", "write -25, "),
        ("08", "write 8, "),
        ("0o17", "write 15, "),
        ("1:30", "write a number without colons, or '1:30'"),
        ("1:30.5", "write a number without colons, "),
        ("1e3", "write 1.0e+3, "),
        ("2.5e-3", None),
        ("Yes", "write true, "),
        ("off", "write false, "),
        ("0x1F", None),
        ("1_000", None),
        ("0", None),
        ("'010'", None),
        ("on_time", None),
    ],
)
def test_a_value_is_read_as_dvc_reads_it_or_refused(tmp_path, wrong, advice):
    path = tmp_path / "params.yaml"
    path.write_text(text := f"seed: 1\nlist:\n  - {wrong}\n")
    if advice is None:
        assert read_yaml(path) == parse_yaml(text, path)
        return
    with pytest.raises(ParamsError) as refused:
        read_yaml(path)
    assert str(refused.value).startswith(f"{path}: line 3: ")
    assert advice in str(refused.value)


def test_the_seed_and_the_warmup_with_leading_zeros_and_a_repeated_key_are_refused_at_once(
    tmp_path,
):
    path = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text()
    text = text.replace("warmup: 25 ", "warmup: 025 ").replace("seed: 11", "seed: 010")
    path.write_text(f"{text}\nscale: {{images: 3, iterations: 4}}\n")
    with pytest.raises(ParamsError) as refused:
        load_params(path)
    for message in ("010 differently; write 10", "025 differently; write 25", "scale is also in"):
        assert message in str(refused.value)


def test_keys_that_an_anchor_gives_and_a_section_overrides_are_no_repetition(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("a: &a {seed: 1, side: 2}\nb: {<<: *a, seed: 3}\nc: {inner: *a}\n")
    assert read_yaml(path)["b"] == {"seed": 3, "side": 2}


@pytest.mark.parametrize("name", ["08", "1e3", "0o17", "010", "yes", "1:30", "photos"])
def test_names_that_datastill_writes_are_text_for_dvc_too(tmp_path, name):
    path = tmp_path / "params.yaml"
    path.write_text(text := plain_yaml({name: [name]}))
    assert read_yaml(path) == parse_yaml(text, path) == {name: [name]}


def test_a_lock_file_may_hold_what_dvc_alone_writes(tmp_path):
    path = tmp_path / "dvc.lock"
    path.write_text("schema: '2.0'\nstages:\n  a:\n    cmd: yes\n")
    with pytest.raises(ParamsError, match="write true"):
        read_yaml(path)
    assert "stages" in read_lock(path)
