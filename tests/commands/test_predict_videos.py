"""Command `predict` on videos, as a user types it, on drawn hands."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import torch

from datastill.coco.format import read_coco
from datastill.commands.predictors import find_predictor
from datastill.images.load import load_image


@pytest.fixture
def predict(profile, datastill):
    """Run `datastill predict teacher` with these arguments."""
    return lambda *arguments: datastill("predict", "teacher", *arguments)


@pytest.fixture
def frames(profile):
    """Return two images with the surest hands, (h, w, 3), and one without."""
    val = {image["id"]: image for image in read_coco(profile.image_set("val")).images}
    detections = json.loads(profile.detections("teacher").read_text())
    ranked = sorted(detections, key=lambda each: -each["score"])
    surest = [val[n] for n in [*dict.fromkeys(each["image_id"] for each in ranked)][:2]]
    images = [load_image(profile.images, each).permute(1, 2, 0).numpy() for each in surest]
    return [*images, np.full_like(images[0], 90)]


@pytest.fixture
def clip(frames, tmp_path):
    """Return a lossless video of the frames."""
    path = tmp_path / "in/clip.mkv"
    path.parent.mkdir()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def decoded(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_the_best_hand_of_every_frame_is_a_row_as_deeplabcut_has_them(predict, clip, frames):
    answer = predict(clip, "--to", clip.parent / "tables")
    assert answer.returncode == 0, answer.stderr
    path = clip.parent / "tables/clip.csv"
    assert f"{path}: 3 frames, 2 with an object" in answer.stdout
    table = pd.read_csv(path, header=[0, 1, 2], index_col=0)
    assert table.columns.names == ["scorer", "bodyparts", "coords"]
    assert [*table.index] == [0, 1, 2]
    predictor = find_predictor("teacher", "miniature")
    names = predictor.model.metadata.skeleton.names
    assert [*dict.fromkeys(table.columns.get_level_values("bodyparts"))] == [*names]
    tensors = [torch.from_numpy(frame).permute(2, 0, 1) for frame in frames]
    for row, objects in zip(table.to_numpy()[:2], predictor.predict(tensors), strict=False):
        assert row.tolist() == objects[0]["keypoints"]
    assert table.loc[2].isna().all()


def test_the_drawn_video_shows_as_many_frames_and_marks_the_hands(predict, clip, frames):
    to, drawn = clip.parent / "tables", clip.parent / "drawn"
    assert predict(clip, "--to", to, "--draw", drawn).returncode == 0
    shown = decoded(drawn / "clip.mp4")
    assert [frame.shape for frame in shown] == [frame.shape for frame in frames]
    changed = [np.abs(a.astype(int) - b).max() > 100 for a, b in zip(shown, frames, strict=True)]
    assert changed == [True, True, False]


def test_videos_that_differ_in_their_suffix_alone_keep_it(predict, clip):
    shutil.copy(clip, clip.with_suffix(".mov"))
    answer = predict(clip.parent, "--to", clip.parent / "tables")
    assert answer.returncode == 0, answer.stderr
    written = sorted(path.name for path in (clip.parent / "tables").iterdir())
    assert written == ["clip.mkv.csv", "clip.mov.csv"]


def test_rows_are_empty_below_the_score_asked_for(predict, clip):
    predict(clip, "--to", clip.parent, "--min-score", "1")
    table = pd.read_csv(clip.parent / "clip.csv", header=[0, 1, 2], index_col=0)
    assert table.isna().all(axis=None)


def test_a_video_that_ends_early_has_the_rows_of_its_frames(predict, clip):
    content = clip.read_bytes()
    clip.write_bytes(content[: len(content) * 3 // 4])
    answer = predict(clip, "--to", clip.parent)
    assert answer.returncode == 0, answer.stderr
    rows = pd.read_csv(clip.parent / "clip.csv", header=[0, 1, 2], index_col=0)
    assert len(rows) == len(decoded_until_damage(clip)) == 1


def decoded_until_damage(path):
    frames = []
    with av.open(str(path)) as container, suppress(av.FFmpegError):
        frames.extend(container.decode(video=0))
    return frames


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clip.mkv"], "a folder as --to for their tables"),
        (["clip.mkv", "{hand}", "--to", "t"], "expected only images, or only videos"),
        (["clip.mkv", "again/clip.mkv", "--to", "t"], "two videos are named clip.mkv"),
        (["text.mp4", "--to", "t"], "text.mp4: expected a video, found nothing that FFmpeg reads"),
        (["gone.mp4", "--to", "t"], "gone.mp4: no such video"),
    ],
)
def test_what_cannot_be_done_is_one_message_and_nothing_is_written(
    profile, predict, clip, arguments, message
):
    folder, hand = clip.parent, next(Path("hands/val").glob("*.jpg"))
    (folder / "again").mkdir()
    (folder / "again/clip.mkv").write_bytes(clip.read_bytes())
    (folder / "text.mp4").write_text("no video")
    paths = [a if a[:2] in ("--", "{h") else str(folder / a) for a in arguments]
    answer = predict(*(path.format(hand=hand) for path in paths))
    assert answer.returncode == 1
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not [*folder.rglob("*.csv*")]


def test_a_folder_of_videos_becomes_a_table_each(predict, clip):
    clip.with_name("other.mkv").write_bytes(clip.read_bytes())
    to = clip.parent / "tables"
    assert predict(clip.parent, "--to", to).returncode == 0
    tables = [path.read_text() for path in sorted(to.iterdir())]
    assert [path.name for path in sorted(to.iterdir())] == ["clip.csv", "other.csv"]
    assert tables[0] == tables[1]
    assert json.dumps(tables[0]).count("datastill") == 15
