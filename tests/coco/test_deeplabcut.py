import csv
import math

import numpy as np
import pytest
from PIL import Image

from datastill.coco.normalize import learned_categories, normalize, read_published
from datastill.coco.skeleton import build_skeleton
from datastill.errors import DataError
from datastill.images.folders import Folder, locate

PARTS = ["nose", "leftear", "rightear"]
NAN = (math.nan, math.nan)


@pytest.fixture
def project(tmp_path):
    """Write a DeepLabCut project of images 80 x 60; return the path of its CSV."""

    def write(rows, parts=PARTS, config=PARTS, index=1, individuals=("",)):
        folder = tmp_path / "labeled-data" / "cage"
        folder.mkdir(parents=True, exist_ok=True)
        if config:
            lines = "".join(f"- {part}\n" for part in config)
            (tmp_path / "config.yaml").write_text(f"Task: cage\nbodyparts:\n{lines}start: 0\n")
        columns = [(i, part, axis) for i in individuals for part in parts for axis in "xy"]
        names = ["individuals", "bodyparts", "coords"]
        header = [["scorer", *[""] * (index - 1), *["Ann"] * len(columns)]]
        for name, values in zip(names, zip(*columns, strict=True), strict=True):
            if any(values):
                header.append([name, *[""] * (index - 1), *values])
        for number, points in enumerate(rows):
            name = f"img{number}.png"
            Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(folder / name)
            path = ["labeled-data", "cage", name]
            cells = ["" if math.isnan(value) else value for point in points for value in point]
            header.append([*(path if index == 3 else ["/".join(path)]), *cells])
        with (folder / "CollectedData_Ann.csv").open("w", newline="") as file:
            csv.writer(file).writerows(header)
        return folder / "CollectedData_Ann.csv"

    return write


def normalized(path):
    coco = read_published(path)
    return normalize(coco, *learned_categories(coco, "keypoints"), source=path)[0]


@pytest.mark.parametrize("index", [1, 3])
def test_points_become_an_animal_whose_box_has_a_margin(project, index):
    path = project([[(20, 10), (60, 30), (40, 50)]], index=index)
    coco = normalized(path)
    (image,), (animal,) = coco.images, coco.annotations
    assert image["file_name"] == "labeled-data/cage/img0.png"
    assert (image["width"], image["height"], image["video"]) == (80, 60, "cage")
    assert animal["keypoints"] == [20, 10, 2, 60, 30, 2, 40, 50, 2]
    assert animal["num_keypoints"] == 3
    # 10 px, as 15 % of 40 are fewer; cut at the top and the bottom
    assert animal["bbox"] == [10, 0, 60, 60]
    assert animal["area"] == 3600
    assert coco.categories == [{"id": 1, "name": "animal", "keypoints": PARTS}]
    assert build_skeleton(coco.categories).flip_indices == (0, 2, 1)


def test_the_margin_grows_with_the_animal(project):
    (animal,) = normalized(project([[(0, 30), (80, 30), (40, 32)]])).annotations
    assert animal["bbox"] == pytest.approx([0, 18, 80, 26])  # 15 % of 80


@pytest.mark.parametrize("task", ["keypoints", "boxes"])
def test_the_margin_is_a_parameter(project, caplog, task):
    path = project([[(0, 30), (80, 30), (40, 32)]])
    coco = read_published(path)
    categories = learned_categories(coco, task)
    (animal,) = normalize(coco, *categories, source=path, keypoint_margin=0.25)[0].annotations
    assert animal["bbox"] == [0, 10, 80, 42]
    assert "margin of 25%" in caplog.text


def test_a_windows_path_is_one_path(project):
    path = project([[(20, 10), (60, 30), (40, 50)]])
    path.write_text(path.read_text().replace("/", "\\"))
    (image,) = read_published(path).images
    assert image["file_name"] == "labeled-data/cage/img0.png"
    assert (image["width"], image["video"]) == (80, "cage")


def test_what_has_no_coordinates_is_not_labelled(project, caplog):
    coco = normalized(project([[(20, 10), NAN, (40, 50)], [NAN] * 3, [NAN] * 3]))
    assert len(coco.images) == 3
    (animal,) = coco.annotations
    assert animal["keypoints"] == [20, 10, 2, 0, 0, 0, 40, 50, 2]
    assert animal["bbox"] == [10, 0, 40, 60]
    assert "2 of 3 images have no label" in caplog.text
    assert "margin of 15%" in caplog.text


def test_the_word_nan_is_not_a_label_either(project):
    path = project([[(20, 10), NAN, (40, 50)]])
    path.write_text(path.read_text().replace(",,,", ",nan,NaN,"))
    (animal,) = read_published(path).annotations
    assert animal["keypoints"][3:6] == [0, 0, 0]


def test_an_absent_image_is_reported_with_its_name(project, tmp_path):
    points = [(20, 10), (60, 30), (40, 50)]
    path = project([points, points])
    path.with_name("img1.png").unlink()
    coco = normalized(path)
    located, refused = locate(coco, [Folder(tmp_path, "root")])
    assert [image["file_name"] for image in located.images] == ["root/labeled-data/cage/img0.png"]
    assert [each.file_name for each in refused] == ["labeled-data/cage/img1.png"]
    assert "no such file" in refused[0].reason


def test_a_project_without_any_image_is_refused(project, tmp_path):
    path = project([[(20, 10), (60, 30), (40, 50)]])
    path.with_name("img0.png").unlink()
    coco = normalized(path)
    with pytest.raises(DataError, match="none of 1 images is there"):
        locate(coco, [Folder(tmp_path, "root")])


def test_several_animals_on_one_image_are_several_annotations(project):
    rows = [[(20, 10), (30, 10), (25, 15), *[NAN] * 3], [(1, 2), NAN, NAN, (50, 40), NAN, NAN]]
    coco = normalized(project(rows, individuals=("m1", "m2")))
    first, second = (image["id"] for image in coco.images)
    assert [each["image_id"] for each in coco.annotations] == [first, second, second]
    assert coco.annotations[2]["keypoints"] == [50, 40, 2, 0, 0, 0, 0, 0, 0]
    assert len({each["id"] for each in coco.annotations}) == 3


def test_ids_depend_on_names_alone_so_that_two_files_do_not_clash(project):
    points = [(20, 10), (60, 30), (40, 50)]
    both = read_published(project([points, points]))
    (only,) = read_published(project([points])).images
    assert only["id"] == both.images[0]["id"] != both.images[1]["id"]


def test_a_body_part_that_the_project_lists_must_be_there(project):
    path = project([[(20, 10), (60, 30)]], parts=PARTS[:2])
    with pytest.raises(DataError, match=r"CollectedData_Ann.csv: .*'rightear'.*config.yaml"):
        read_published(path)


def test_without_a_project_file_the_header_alone_counts(project):
    path = project([[(20, 10), (60, 30)]], parts=PARTS[:2], config=())
    assert read_published(path).keypoint_names() == ("nose", "leftear")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("leftear,leftear", "leftear,left", "'leftear'.*found no y"),
        ("leftear,leftear,rightear", "leftear,leftear,leftear", "one column leftear x, found"),
        (
            "bodyparts",
            "parts",
            r"expected a DeepLabCut CSV .* found a table with the columns 'scor",
        ),
        ("20,10", "20", "line 4: expected 7 cells"),
        ("20,10", "20,ten", r"line 4: expected x and y of 'nose' .* \['20', 'ten'\]"),
        ("20,10", "20,", r"line 4: expected x and y of 'nose'"),
        ("20,10", "inf,10", r"line 4: expected x and y of 'nose'"),
        ("labeled-data/cage/img0.png,20,10,60,30,40,50", "", "expected a row per image"),
    ],
)
def test_a_malformed_file_costs_one_message(project, old, new, message):
    path = project([[(20, 10), (60, 30), (40, 50)]])
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))
    with pytest.raises(DataError, match=f"CollectedData_Ann.csv.*{message}"):
        read_published(path)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"CollectedData_Ann.csv: no such file"):
        read_published(tmp_path / "CollectedData_Ann.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\0")
    with pytest.raises(DataError, match="no readable text"):
        read_published(tmp_path / "binary.csv")


def test_images_without_any_animal_are_a_set_without_annotations(project):
    coco = normalized(project([[NAN] * 3] * 2))
    assert (len(coco.images), coco.annotations) == (2, [])


def test_the_h5_stands_for_the_csv_beside_it(project, caplog):
    path = project([[(20, 10), (60, 30), (40, 50)]])
    table = path.with_suffix(".h5")
    table.write_bytes(b"\x89HDF\r\n\x1a\n")
    assert len(read_published(table).annotations) == 1
    assert "CollectedData_Ann.h5: CollectedData_Ann.csv beside it is read instead" in caplog.text
    path.unlink()
    with pytest.raises(
        DataError,
        match=r"Ann.h5: expected CollectedData_Ann.csv .*\.to_csv\('Coll.*; if it is SLEAP's, ",
    ):
        read_published(table)
    table.unlink()
    with pytest.raises(DataError, match=r"Ann.h5: no such file"):
        read_published(table)


def test_a_project_is_all_of_its_videos(project, tmp_path):
    first = project([[(20, 10), (60, 30), (40, 50)]])
    (tmp_path / "labeled-data/arena").mkdir()
    second = tmp_path / "labeled-data/arena/CollectedData_Ann.csv"
    second.write_text(first.read_text().replace("cage", "arena"))
    coco = normalized(tmp_path)
    assert sorted(image["video"] for image in coco.images) == ["arena", "cage"]
    assert len(coco.annotations) == 2
    assert [image["video"] for image in read_published(first.parent).images] == ["cage"]
    second.write_text(second.read_text().replace("leftear", "ear"))
    with pytest.raises(DataError, match=r"CollectedData_Ann.csv: expected body parts|'leftear'"):
        read_published(tmp_path)


def test_a_table_without_rows_is_left_out_of_a_project(project, tmp_path, caplog):
    first = project([[(20, 10), (60, 30), (40, 50)]])
    second = tmp_path / "labeled-data/arena/CollectedData_Ann.csv"
    second.parent.mkdir()
    second.write_text("".join(first.read_text().splitlines(keepends=True)[:3]))
    assert [image["video"] for image in read_published(tmp_path).images] == ["cage"]
    assert f"tables without rows are left out: 1 of 2, such as {second}" in caplog.text
    first.unlink()
    with pytest.raises(DataError, match="expected a row per image, found none"):
        read_published(tmp_path)


def test_the_same_image_by_two_scorers_is_a_choice_that_people_make(project, tmp_path):
    path = project([[(20, 10), (60, 30), (40, 50)]])
    path.with_name("CollectedData_Bob.csv").write_text(path.read_text())
    with pytest.raises(DataError, match=r"img0.png is in .*Ann.csv and .*Bob.csv; name one"):
        read_published(tmp_path)
    with pytest.raises(DataError, match=r"found CollectedData_Ann.csv, CollectedData_Bob.csv"):
        read_published(path.parent)


def test_the_csv_of_lightning_pose_lies_beside_labeled_data(project, tmp_path):
    path = project([[(20, 10), (60, 30), (40, 50)]])
    path.rename(tmp_path / "CollectedData.csv")
    for named in (tmp_path / "CollectedData.csv", tmp_path):
        (image,) = read_published(named).images
        assert (image["width"], image["height"], image["video"]) == (80, 60, "cage")


def test_points_of_no_individual_are_left_out(project, caplog):
    path = project([[(20, 10), (30, 10), (5, 5)]], parts=["nose", "tail", "corner"], config=())
    rows = path.read_text().splitlines()
    rows.insert(1, "individuals,m1,m1,m1,m1,single,single")
    path.write_text("\n".join(rows))
    (animal,) = read_published(path).annotations
    assert animal["keypoints"] == [20, 10, 2, 30, 10, 2]
    assert "corner belong to no individual" in caplog.text


def test_predictions_for_a_video_are_no_labels(project):
    path = project([[(20, 10), (60, 30), (40, 50)]])
    path.write_text(path.read_text().replace("labeled-data/cage/img0.png", "0"))
    with pytest.raises(DataError, match=r"CollectedData_Ann.csv: .* frames in a video, by number"):
        read_published(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.slp", "\x89HDF"),
        ("labels.analysis.h5", "\x89HDF"),
        ("labels.csv", "track,frame_idx,instance.score,nose.x,nose.y,nose.score\nm,0,1,2,3,1\n"),
    ],
)
def test_files_of_sleap_are_named_with_the_way_out(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(
        DataError, match=rf"{name}: .* SLEAP's, .*`sio convert labels.slp -o FOLDER"
    ):
        read_published(tmp_path / name)
