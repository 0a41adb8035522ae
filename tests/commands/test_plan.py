"""Command `plan`, as a user runs it, on sets of a few tiny images: what it says and its exit code.

train2014 are the images 1 to 6, val2014 7 to 10, val2017 11 and 12, unlabelled 21 to 24.
"""

import json
import math
import shutil
from datetime import datetime, timedelta

import pytest
import torch
import yaml
from coco_content import person_record
from PIL import Image
from places import ROOT
from tiny import HEIGHT, WIDTH, picture

from datastill.coco.format import PERSON, Coco, write_coco
from datastill.commands import estimate
from datastill.commands.plan import run
from datastill.project.profile import open_profile
from datastill.scheduler.benchmark import Speed

COUNTS = {"co-80": 6, "co-35": 4, "un-120": 4, "s1m-180": 3}
FILES = {
    "person_keypoints_train2014": ("train2017", range(1, 7)),
    "person_keypoints_val2014": ("train2017", range(7, 11)),
    "person_keypoints_val2017": ("val2017", range(11, 13)),
    "image_info_unlabeled2017": ("unlabeled2017", range(21, 25)),
}


def person(image, number, **changes):
    """A person of whom 5 keypoints are marked."""
    points = [[12, 13, 2]] * 5 + [[0, 0, 0]] * 12
    return person_record(image, number, [9, 10, 20, 30], 400, points) | changes


def people(image):
    """On every image one person and a crowd, on even ones also a person without keypoints."""
    bare = {"keypoints": [0] * 51, "num_keypoints": 0}
    yield person(image, 10 * image)
    yield person(image, 10 * image + 1, **bare, iscrowd=1)
    if image % 2 == 0:
        yield person(image, 10 * image + 2, **bare)


def write_files(root):
    (root / "annotations").mkdir(parents=True)
    (root / "sports-1m").mkdir()
    for name, (folder, numbers) in FILES.items():
        (root / folder).mkdir(exist_ok=True)
        images = []
        for n in numbers:
            file_name = f"{n:012d}.jpg"
            Image.fromarray(picture(n)).save(root / folder / file_name, quality=92)
            images.append({"id": n, "file_name": file_name, "width": WIDTH, "height": HEIGHT})
        content = {"images": images, "categories": [PERSON]}
        if "image_info" not in name:
            content["annotations"] = [one for n in numbers for one in people(n)]
        (root / "annotations" / f"{name}.json").write_text(json.dumps(content))
    for number in range(3):
        (root / "sports-1m" / f"{number}.mp4").touch()
    (root / "initial").mkdir()
    (root / "initial/resnext101_32x4d.safetensors").touch()


def annotate(project, name, edit):
    path = project / "coco/annotations" / f"{name}.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def change(project, edit):
    """Let `edit` change the params of profile `coco`."""
    path = project / "pipelines/coco/params.yaml"
    params = yaml.safe_load(path.read_text())
    edit(params)
    path.write_text(yaml.safe_dump(params, sort_keys=False))


def make_project(root):
    write_files(root / "coco")
    params = yaml.safe_load((ROOT / "pipelines/coco/params.yaml").read_text())
    for name, count in COUNTS.items():
        params["data"]["sets"][name]["count"] = count
    params["data"]["val"]["count"] = 2
    params["data"]["leaks"] = "refuse"
    (root / "pipelines/coco").mkdir(parents=True)
    (root / "pipelines/coco/params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return root


@pytest.fixture
def project(tmp_path):
    """A project in which nothing is wrong and nothing has run."""
    return make_project(tmp_path / "project")


@pytest.fixture
def plan(datastill):
    """Run `datastill plan` in a project; return its exit code and what it prints."""

    def command(project, *options, profile="coco"):
        answer = datastill("plan", profile, "--probe-seconds", "0", *options, cwd=project)
        return answer.returncode, answer.stdout

    return command


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """What the command prints where nothing is wrong, and whether it says so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(make_project(tmp_path_factory.mktemp("sound") / "project"))
        text, ok = run(open_profile("coco"), pixels=True, probe_seconds=0)
    return int(not ok), text + "\n"


def part(text, name):
    """Return the lines of a part of the plan, each as its columns."""
    (found,) = (block for block in text.split("\n\n") if block.startswith(f"{name}\n"))
    return [line.split() for line in found.splitlines()[1:]]


def test_where_nothing_is_wrong_it_says_so_and_exits_0(sound):
    code, text = sound
    assert code == 0
    assert text.endswith("\n\nnothing is wrong\n")
    assert "Wrong" not in text


def test_every_set_is_counted_unions_too(sound):
    head, *lines = part(sound[1], "Image sets")
    columns = "set images with keypoints instances crowds keypoints category"
    assert head == columns.split()
    assert {line[0]: line[1:] for line in lines} == {
        "val": ["2", "2", "3", "2", "10", "1", "person"],
        "co-80": ["6", "6", "9", "6", "30", "1", "person"],
        "co-35": ["4", "4", "6", "4", "20", "1", "person"],
        "co-115": ["10", "10", "15", "10", "50", "1", "person"],
        "un-120": ["4", "0", "0", "0", "0", "1", "person"],
        "s1m-180": ["3", "videos"],
    }


def test_every_row_has_its_mix_iterations_and_epochs(sound):
    lines = {line[0]: line[1:] for line in part(sound[1], "Rows")}
    assert lines["co-35"][:5] == [
        "resnet50",
        "130,000",
        "16",
        "labelled",
        f"{130000 * 16 / 4:,.2f}",
    ]
    assert lines["co-115_resnet101"][:2] == ["resnet101", "130,000"]
    assert lines["co-115"][4] == f"{130000 * 16 / 10:,.2f}"
    mixed = ["resnet50", "360,000", "9.6", "labelled", "+", "6.4", "generated"]
    assert lines["co-35_co-80"][:8] == [*mixed, f"{360000 * 9.6 / 4:,.2f}"]
    assert lines["co-115_s1m-180"][:8] == [*mixed, f"{360000 * 9.6 / 10:,.2f}"]
    assert len(lines) == 1 + 14


def test_images_without_keypoints_are_not_counted_as_trained_on(project, plan):
    def bare(content):
        for annotation in content["annotations"]:
            if annotation["image_id"] in {7, 8}:
                annotation |= {"keypoints": [0] * 51, "num_keypoints": 0}

    annotate(project, "person_keypoints_val2014", bare)
    code, text = plan(project, "--no-pixels")
    assert code == 0
    sets = {line[0]: line[1:] for line in part(text, "Image sets")}
    assert sets["co-35"] == ["4", "2", "6", "4", "10", "1", "person"]
    lines = {line[0]: line[1:] for line in part(text, "Rows")}
    assert lines["co-35"][4] == f"{130000 * 16 / 2:,.2f}"


FAULTS = {
    "missing file": (
        "co-80: images that are missing or unreadable: 1\n"
        "  000000000003.jpg: no such file in coco/train2017, coco/train2014\n"
    ),
    "image that does not open": (
        "images that do not open: 2\n"
        "  val2017/000000000012.jpg: no readable image: the file is empty\n"
        "  train2017/000000000005.jpg: no readable image: unknown format\n"
    ),
    "boxes": "co-35: 1 annotations have boxes outside their image, such as 80 on image 8\n",
    "keypoints": "val: 1 annotations have keypoints outside their image, such as 110 on image 11\n",
    "val in training": (
        "1 images of other sets are also in val; an AP on them would mean nothing\n"
        "  un-120: unlabeled2017/000000000023.jpg shows the same as val2017/000000000011.jpg ("
    ),
    "number of videos": "data.sets.s1m-180: expected 3 images, found 2: sports-1m has as many",
    "shares of a batch": "a batch of 16 images does not split into equal passes of 2",
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """A project in which all of `FAULTS` are."""
    project = make_project(tmp_path_factory.mktemp("faulty") / "project")
    coco = project / "coco"
    (coco / "train2017/000000000003.jpg").unlink()
    (coco / "train2017/000000000005.jpg").write_text("no image at all")
    (coco / "val2017/000000000012.jpg").write_bytes(b"")
    copy = Image.fromarray(picture(11)[:, ::-1]).resize((2 * WIDTH, 2 * HEIGHT))
    copy.resize((WIDTH, HEIGHT)).save(coco / "unlabeled2017/000000000023.jpg", quality=75)
    (coco / "sports-1m/2.mp4").unlink()

    def spoil(content):
        (outside,) = (a for a in content["annotations"] if a["id"] == 80)
        outside["bbox"] = [50, 10, 20, 30]

    def spoil_val(content):
        content["annotations"][0]["keypoints"][:3] = [12, 60, 2]

    def three(params):
        params["machine"]["processes"] = 3

    annotate(project, "person_keypoints_val2014", spoil)
    annotate(project, "person_keypoints_val2017", spoil_val)
    change(project, three)
    return project


def test_every_fault_is_named_and_the_exit_is_1(faulty, plan):
    code, text = plan(faulty)
    assert code == 1
    assert {name for name, said in FAULTS.items() if said not in text} == set()
    assert text.endswith(f"\n\nwrong: {len(FAULTS)}\n")
    assert part(text, "Image sets"), "what is known is told all the same"


def test_without_pixels_faults_of_the_files_are_named_and_those_inside_images_are_not(faulty, plan):
    code, text = plan(faulty, "--no-pixels")
    assert code == 1
    unseen = {"image that does not open", "val in training"}
    assert {name for name, said in FAULTS.items() if said not in text} == unseen
    assert text.endswith(f"\n\nwrong: {len(FAULTS) - 2}\n")


def test_images_above_the_limit_are_named_with_the_param_that_raises_it(project, plan):
    limit = (WIDTH * HEIGHT - 1) / 1e6
    change(project, lambda params: params["data"].update(max_megapixels=limit))
    code, text = plan(project)
    assert code == 1
    assert "images that do not open: 16\n" in text
    assert "it has 64 x 48 pixels, more than 3,071; " in text
    assert "or raise data.max_megapixels\n" in text


def test_a_val_image_in_training_is_found_by_id_without_pixels(project, plan):
    val = FILES["person_keypoints_val2017"][1][0]
    image = {"id": val, "file_name": f"{val:012d}.jpg", "width": WIDTH, "height": HEIGHT}
    annotate(project, "person_keypoints_train2014", lambda c: c["images"].append(image))
    shutil.copy(project / f"coco/val2017/{val:012d}.jpg", project / "coco/train2017")
    change(project, lambda params: params["data"]["sets"]["co-80"].update(count=7))
    code, text = plan(project, "--no-pixels")
    assert code == 1
    assert f"co-80: train2017/{val:012d}.jpg is val2017/{val:012d}.jpg by its id" in text


def test_leaks_that_will_be_dropped_are_noted_and_no_fault(project, plan):
    shutil.copy(
        project / "coco/val2017/000000000011.jpg", project / "coco/train2017/000000000001.jpg"
    )
    change(project, lambda params: params["data"].update(leaks="drop"))
    code, text = plan(project)
    assert code == 0
    assert (
        "Notes\n1 images are in val and will be left out\n  co-80: train2017/000000000001" in text
    )
    assert "nothing is wrong" in text


def test_leaks_that_are_allowed_are_noted_and_the_very_images_are_a_fault(project, plan):
    alike = Image.fromarray(picture(11))
    alike.save(project / "coco/train2017/000000000001.jpg", quality=70)
    allowed = {"leaks": "allow", "leaks_reason": "one recording"}
    change(project, lambda params: params["data"].update(allowed))
    code, text = plan(project)
    assert code == 0
    assert "Notes\n1 images look like val's and stay (one recording)\n  co-80: train2017" in text
    shutil.copy(
        project / "coco/val2017/000000000012.jpg", project / "coco/train2017/000000000002.jpg"
    )
    code, text = plan(project)
    assert code == 1
    assert "Wrong\n1 images of other sets are also in val" in text


def test_of_many_missing_files_a_few_are_named_and_all_are_counted(project, plan):
    for path in (project / "coco/train2017").glob("*[1-8].jpg"):
        path.unlink()
    (project / "coco/train2017/000000000006.jpg").write_bytes(b"")
    code, text = plan(project, "--no-pixels")
    assert code == 1
    assert "co-80: images that are missing or unreadable: 5\n" in text
    assert "co-35: images that are missing or unreadable: 2\n" in text
    (project / "coco/unlabeled2017/000000000021.jpg").unlink()
    for number in range(30, 37):
        image = {"id": number, "file_name": f"{number}.jpg", "width": WIDTH, "height": HEIGHT}
        annotate(project, "image_info_unlabeled2017", lambda c, i=image: c["images"].append(i))
    change(project, lambda params: params["data"]["sets"]["un-120"].update(count=11))
    _, text = plan(project, "--no-pixels")
    assert "un-120: images that are missing or unreadable: 8\n  000000000021.jpg" in text
    assert "\n  33.jpg: no such file in coco/unlabeled2017\n  and 3 more\n" in text


def test_a_folder_that_is_absent_is_one_fault_and_its_set_is_counted_all_the_same(project, plan):
    shutil.rmtree(project / "coco/train2017")
    code, text = plan(project)
    assert code == 1
    assert "data.sets.co-80: none of 6 images is there: no such file in coco/train2017" in text
    assert "data.sets.co-35: none of 4 images is there" in text
    assert text.endswith("wrong: 2\n")
    counted = {line[0]: line[1] for line in part(text, "Image sets")}
    assert (counted["co-80"], counted["co-35"], counted["co-115"]) == ("6", "4", "10")


def test_a_set_that_lists_nothing_is_a_fault(project, plan):
    annotate(project, "image_info_unlabeled2017", lambda c: c.update(images=[]))
    change(project, lambda params: params["data"]["sets"]["un-120"].update(count=None))
    code, text = plan(project, "--no-pixels")
    assert code == 1
    assert "data.sets.un-120: expected images, found none: annotations/image_info" in text


def test_a_name_that_leaves_its_folder_is_a_fault_and_the_plan_goes_on(project, plan):
    edit = {"file_name": "../train2017/000000000001.jpg"}
    annotate(project, "image_info_unlabeled2017", lambda c: c["images"][0].update(edit))
    code, text = plan(project)
    assert code == 1
    assert "'../train2017/000000000001.jpg' leaves the image folder" in text
    assert text.endswith("wrong: 1\n")
    assert part(text, "Rows")


def test_an_image_that_is_a_link_out_of_its_folder_is_a_fault_and_the_plan_goes_on(project, plan):
    path = project / "coco/train2017/000000000001.jpg"
    path.rename(project / "outside.jpg")
    path.symlink_to(project / "outside.jpg")
    code, text = plan(project)
    assert code == 1
    assert "000000000001.jpg: is a link to " in text
    assert part(text, "Rows")


@pytest.mark.parametrize("name", FILES)
def test_an_annotation_file_that_is_absent_is_told_once(project, plan, name):
    (project / "coco/annotations" / f"{name}.json").unlink()
    code, text = plan(project, "--no-pixels")
    assert code == 1
    assert text.count(f"coco/annotations/{name}.json: no such file") == 1
    assert part(text, "Rows")


def test_initial_weights_that_are_not_there_are_a_fault_and_torchvisions_come_by_themselves(
    project, plan
):
    (project / "coco/initial/resnext101_32x4d.safetensors").unlink()
    code, text = plan(project, "--no-pixels")
    assert code == 1
    assert "resnext101_32x4d.safetensors: no initial weights of resnext101_32x4d" in text
    assert "resnet50: starts from torchvision's weights" in text
    assert text.endswith("wrong: 1\n")


def test_a_row_that_starts_from_coco_names_the_detector_or_misses_its_file(project, plan):
    def start_from_coco(params):
        for row in params["supervised"].values():
            if row["backbone"] == "resnet50":
                row["ablation"] = {"start": "coco"}

    change(project, start_from_coco)
    _, text = plan(project, "--no-pixels")
    assert "torchvision's keypointrcnn_resnet50_fpn: needed, fetched once" in text
    change(project, lambda params: params["train"]["initial_files"].update(resnet50="absent.pth"))
    code, text = plan(project, "--no-pixels")
    assert code == 1
    assert "absent.pth: no such file; train.initial_files.resnet50 names it" in text


def test_a_device_too_small_for_a_backbone_is_a_fault_and_the_others_are_timed(
    project, plan, monkeypatch
):
    def probe(backbone, *_):
        if backbone == "resnet101":
            raise torch.OutOfMemoryError
        return Speed(1.0, single_scale_pass=3600.0, memory=10**9, parameters=250 * 10**6)

    monkeypatch.setattr(estimate, "probe", probe)
    code, text = plan(project, "--no-pixels", "--probe-seconds", "9")
    assert code == 1
    assert "resnet101: 2 images at a time do not fit" in text
    lines = {line[0]: line[-3:] for line in part(text, "Rows")}
    # by hand: 8 passes of 2 images an iteration; pixels of all views, and one pass for keypoints
    views = 2 * sum((side / 800) ** 2 for side in range(400, 1300, 100))
    training, annotating, testing = map(float, lines["co-35_co-80"])
    assert training == pytest.approx(360_000 * 8 / 3600, abs=0.01)
    assert annotating == pytest.approx((6 + testing) * (views + 1), rel=0.005)  # val, too
    assert testing == 2
    assert lines["co-35"] == ["288.89", "0.00", "2.00"]
    assert lines["co-115_un-120_resnet101"] == ["?", "?", "?"]
    assert ["unknown:", "not", "every", "set", "and", "backbone", "is", "known"] in part(
        text, "Total"
    )
    assert "models of 11 rows: 22.0 GB" in text
    assert "a training run in progress: 4.0 GB" in text


def test_the_total_is_the_sum_of_all_rows_and_ends_so_much_later(project, plan, monkeypatch):
    monkeypatch.setattr(estimate, "probe", lambda *_: Speed(1.0, 360.0, 1, 10**6))
    _, text = plan(project, "--no-pixels", "--probe-seconds", "9")
    hours = [float(cell) for line in part(text, "Rows")[1:] for cell in line[-3:]]
    ((total, *_, day, _, clock),) = part(text, "Total")
    assert float(total.replace(",", "")) == pytest.approx(sum(hours), abs=0.005 * len(hours))
    end = datetime.now() + timedelta(hours=sum(hours))
    assert f"{day} {clock}" in {f"{end + timedelta(minutes=m):%a %H:%M}" for m in (-1, 0, 1)}


def test_a_plain_look_is_timed_at_the_scale_of_the_plain_view(project, plan, monkeypatch):
    def probe(_, load, *__):  # an hour for what is 800 x 1067
        return Speed(1.0, 3600 * math.prod(load.single_scale) / (800 * 1067), 1, 10**6)

    monkeypatch.setattr(estimate, "probe", probe)
    _, text = plan(project, "--no-pixels", "--probe-seconds", "9")
    lines = {line[0]: line[-3:] for line in part(text, "Rows")}
    assert lines["co-35"][2] == "2.00"


def test_hours_count_every_image_frame_process_and_view(project, plan, monkeypatch):
    def edit(params):
        params["machine"]["processes"] = 2
        params["data"]["sets"]["s1m-180"]["per_video"] = 5
        params["distilled"]["co-35_co-80"]["ablation"] = {"views": 2}

    change(project, edit)
    monkeypatch.setattr(estimate, "probe", lambda *_: Speed(1.0, 3600.0, 10**9, 10**6))
    _, text = plan(project, "--no-pixels", "--probe-seconds", "9")
    lines = {line[0]: line[-3:] for line in part(text, "Rows")}
    look = 1 + 2 * sum((side / 800) ** 2 for side in range(400, 1300, 100))
    assert lines["co-35"][0] == "144.44"  # 130,000 x 4 passes of a second
    # the unlabelled images, and the two of val
    assert float(lines["co-115_un-120"][1]) == pytest.approx((4 + 2) * look, rel=0.005)
    assert float(lines["co-115_s1m-180"][1]) == pytest.approx((15 + 2) * look, rel=0.005)
    assert float(lines["co-35_co-80"][1]) == pytest.approx((6 + 2) * 3, rel=0.005)
    assert float(lines["co-115"][2]) == pytest.approx(2 * (1 + look), rel=0.005)
    assert "candidates on 25 unlabelled images" in text


def test_ids_shared_by_the_parts_of_a_union_are_a_fault(project, plan):
    annotate(project, "person_keypoints_train2014", lambda c: c["annotations"][0].update(id=70))
    code, text = plan(project, "--no-pixels")
    assert code == 1
    assert "two annotations of a union have the id 70" in text


def test_an_ensemble_of_models_with_heatmaps_of_several_sizes_is_a_fault(project, plan):
    def join(params):
        params["supervised"]["co-35"]["backbone"] = "small"
        members = {"first": "co-115", "second": "co-35", "third": "co-115_resnet101"}
        params["ensembles"] = {"three": members}

    change(project, join)
    code, text = plan(project, "--no-pixels")
    assert code == 1
    assert "ensembles.three: expected heatmaps of one size, found co-115 56 x 56, co-35 28" in text


def test_before_anything_is_drawn_it_says_so(tmp_path, plan):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    code, text = plan(tmp_path, profile="miniature")
    assert code == 0
    assert "the sets are not drawn yet: `datastill data` takes seconds" in text
    lines = {line[0]: line[1:] for line in part(text, "Rows")}
    mixed = ["4.8", "labelled", "+", "3.2", "generated"]
    assert lines["co-35_co-80"][:7] == ["small", "500", *mixed]
    assert "Image sets" not in text


def test_drawn_sets_are_counted(tmp_path, plan):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    images = [
        {"id": n, "file_name": f"co-35/{n}.jpg", "width": WIDTH, "height": HEIGHT} for n in (2, 3)
    ]
    work = tmp_path / "work/miniature"
    write_coco(work / "data/co-35.json", Coco(images, [*people(2), *people(3)], [PERSON]))
    (work / "images/co-35").mkdir(parents=True)
    for image in images:
        (work / "images" / image["file_name"]).touch()
    code, text = plan(tmp_path, profile="miniature")
    assert code == 0
    assert part(text, "Image sets")[1] == ["co-35", "2", "2", "3", "2", "10", "1", "person"]
    assert "not drawn" not in text


def test_a_val_of_crowds_alone_is_a_fault_before_any_training(project, plan):
    def crowd(content):
        for annotation in content["annotations"]:
            annotation["iscrowd"] = 1

    annotate(project, "person_keypoints_val2017", crowd)
    code, text = plan(project, "--no-pixels")
    assert code == 1
    assert "val: expected keypoints on its images, found none on 2 but 5 crowds" in text
    assert text.endswith("wrong: 1\n")


def test_labels_of_a_row_without_an_object_of_the_task_are_a_fault(project, plan):
    def bare(content):
        for annotation in content["annotations"]:
            annotation |= {"keypoints": [0] * 51, "num_keypoints": 0}

    annotate(project, "person_keypoints_val2014", bare)
    code, text = plan(project, "--no-pixels")
    assert code == 1
    assert "co-35: expected keypoints on its images, found none on 4" in text
    assert text.endswith("wrong: 1\n")
