import os
import signal
import sys
import threading

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from datastill.distill import candidates as candidates_module
from datastill.distill.candidates import Teacher, find_candidates
from datastill.distill.shards import SCHEMA, Candidates, cut, to_matrix
from datastill.distill.thresholds import keypoint_array
from datastill.errors import DataError
from datastill.images.load import read_image
from datastill.inference.agreement import Evidence, Prediction
from datastill.inference.multi_transform import predict
from datastill.inference.views import Inference, View, all_views
from datastill.instances import Instances

DIGESTS = {f"{i}.png": f"digest {i}" for i in range(7)}


@pytest.fixture
def folder(tmp_path):
    """Seven images whose grey value is their number."""
    for i in range(7):
        Image.new("RGB", (40, 30), (i, i, i)).save(tmp_path / f"{i}.png")
    return tmp_path


class Fake:
    """Stands in for `run_views`: image i has i % 3 people, i being its grey value."""

    def __init__(self, fail_at=None):
        self.seen, self.fail_at = [], fail_at

    def __call__(self, detector, images, inference):
        numbers = [int(image[0, 0, 0]) for image in images]
        if self.fail_at in numbers:
            raise RuntimeError("power cut")
        self.seen.append(numbers)
        return [self.people(number) for number in numbers]

    def people(self, number):
        n = number % 3
        scores = torch.tensor([0.9, 0.4][:n]) - number / 100
        points = torch.rand((n, 17, 3), generator=torch.Generator().manual_seed(number))
        boxes = torch.tensor([[1.0, 2.0, 30.0, 20.0]]).expand(n, 4) + number
        agreeing = torch.zeros(n, 17, dtype=torch.int16)
        evidence = Evidence(torch.zeros(n, 17), agreeing, agreeing[:, 0] + 1, torch.zeros(n))
        return Prediction(Instances(boxes, scores, torch.ones(n), points), evidence)


@pytest.fixture
def find(folder, listed, monkeypatch):
    """Find candidates with a fake in seven images, three per shard; the table and the progress."""

    def run(fake, images=None, digests=DIGESTS):
        monkeypatch.setattr(candidates_module, "run_views", fake)
        shards = list(cut(images or listed(7), digests, folder / "shards", 3))
        heard = []
        find_candidates(Teacher(None, None), shards, folder, heard.append)
        return pa.concat_tables(Candidates(shards).tables()), heard

    return run


def test_candidates_are_one_row_each_in_the_order_of_the_images(find):
    fake = Fake()
    found, heard = find(fake)
    assert heard == [3, 3, 1]
    assert fake.seen == [[0, 1, 2], [3, 4, 5], [6]]
    assert found["image_id"].to_pylist() == [101, 102, 102, 104, 105, 105]
    assert found["score"].to_pylist() == pytest.approx([0.89, 0.88, 0.38, 0.86, 0.85, 0.35])
    assert found["box"][3].as_py() == [5, 6, 34, 24]
    points = keypoint_array(found)
    assert points.shape == (6, 17, 3)
    assert points[4:] == pytest.approx(fake.people(5).instances.keypoints.numpy())


def test_candidates_are_the_predictions_of_a_real_detector(
    folder, detector, noise, flip_indices, listed
):
    for i, size in enumerate([(30, 40), (30, 40), (30, 40)]):
        pixels = noise(*size, i).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{i}.png")
    inference = Inference(View(48, 100), all_views([40, 56], 100, flip=True), flip_indices)
    shards = list(cut(listed(3), DIGESTS, folder / "shards"))
    find_candidates(Teacher(detector, inference), shards, folder, lambda done: None)
    (found,) = Candidates(shards).tables()
    images = [read_image(folder / f"{i}.png") for i in range(3)]
    expected = predict(detector, images, inference)
    assert found["image_id"].to_pylist() == [100] * 4 + [101] * 4 + [102] * 4
    assert found["score"].to_pylist() == torch.cat([e.scores for e in expected]).tolist()
    assert found["box"].to_pylist() == torch.cat([e.boxes for e in expected]).tolist()
    points = torch.cat([e.keypoints for e in expected]).tolist()
    assert keypoint_array(found).tolist() == points
    assert to_matrix(found["spread"]).min() >= 0
    assert 0 <= to_matrix(found["agreeing"]).min() <= to_matrix(found["agreeing"]).max() <= 4


def test_a_second_run_predicts_nothing_and_reads_the_same(find):
    first, _ = find(Fake())
    again = Fake()
    second, heard = find(again)
    assert again.seen == []
    assert heard == []
    assert second.equals(first)


def test_an_interrupted_run_resumes_at_the_shard_that_is_missing(find):
    with pytest.raises(RuntimeError, match="power cut"):
        find(Fake(fail_at=4))
    resumed = Fake()
    found, _ = find(resumed)
    assert resumed.seen == [[3, 4, 5], [6]]
    assert found["image_id"].to_pylist() == [101, 102, 102, 104, 105, 105]


def test_an_image_that_changed_has_its_shard_written_again_and_no_other(find):
    find(Fake())
    again = Fake()
    find(again, digests={**DIGESTS, "4.png": "another"})
    assert again.seen == [[3, 4, 5]]


def test_a_shard_without_a_find_changes_no_column(find, listed):
    found, _ = find(Fake(), images=[listed(7)[i] for i in (0, 3, 6, 1, 2, 4)])
    assert found["image_id"].to_pylist() == [101, 102, 102, 104]
    assert found.schema.types == SCHEMA.types
    assert keypoint_array(found).shape == (4, 17, 3)


def test_images_that_cannot_be_read_are_named_and_the_others_done(find, folder, listed):
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:40])
    (folder / "5.png").unlink()
    fake = Fake()
    found, _ = find(fake)
    assert fake.seen == [[0, 2], [3, 4], [6]]
    assert found["image_id"].to_pylist() == [102, 102, 104]
    refused = Candidates(list(cut(listed(7), DIGESTS, folder / "shards", 3))).refused()
    assert [refusal.file_name for refusal in refused] == ["1.png", "5.png"]
    assert "no readable image" in refused[0].reason
    assert "no such image" in refused[1].reason


def test_a_file_name_that_leaves_the_root_is_an_error_not_an_unreadable_image(find, listed):
    images = [{**listed(1)[0], "file_name": "../secret.png"}]
    with pytest.raises(DataError, match="leaves the image folder"):
        find(Fake(), images=images)


def killed(work, lines):
    """Run `work` in a process that dies after so many `lines`; return whether it did."""
    pid = os.fork()
    if not pid:
        left = iter(range(lines))

        def step(frame, event, argument):
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return step

        threading.settrace(step)
        sys.settrace(step)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_killed_twenty_times_and_run_to_the_end_the_bytes_are_those_of_one_run(
    folder, listed, monkeypatch
):
    monkeypatch.setattr(candidates_module, "run_views", Fake())
    images = [{**listed(7)[i % 7], "id": i} for i in range(60)]

    def work(place):
        shards = list(cut(images, DIGESTS, folder / place, 3))
        find_candidates(Teacher(None, None), shards, folder, lambda done: None)

    work("undisturbed")
    rng = np.random.default_rng(0)
    kills = [killed(lambda: work("killed"), int(rng.integers(200, 3000))) for _ in range(20)]
    assert sum(kills) >= 10
    work("killed")
    whole, resumed = (
        {path.name: path.read_bytes() for path in (folder / place).glob("*.parquet")}
        for place in ("undisturbed", "killed")
    )
    assert len(whole) == 20
    assert resumed == whole
