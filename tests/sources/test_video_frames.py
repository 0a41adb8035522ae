import json
import os
import re
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from places import REAL

from datastill.coco.format import image_id
from datastill.coco.image_header import PixelLimit
from datastill.errors import DataError
from datastill.images.load import Refusal
from datastill.sources.video_decoding import Choice, all_frames, random_frames
from datastill.sources.video_frames import extract_frames, find_videos

VIDEOS = REAL / "videos"
CLIPS = sorted(VIDEOS.iterdir()) if VIDEOS.is_dir() else [VIDEOS / "clips"]
SIZE = (96, 64)
IRREGULAR = [0, 40, 47, 130, 131, 400, 900, 901, 950, 2000, 2040, 5000]  # milliseconds
LATE = [5000 + 40 * index for index in range(12)]
B_FRAMES = {"bf": "2", "g": "5"}
OPEN = {**B_FRAMES, "x264-params": "open-gop=1", "sc_threshold": "0"}
KINDS = [
    ("b.mp4", "libx264", "yuv420p", None, B_FRAMES),
    ("b.mov", "mpeg4", "yuv420p", None, B_FRAMES),
    ("b.avi", "mpeg4", "yuv420p", None, B_FRAMES),
    ("h264.avi", "libx264", "yuv420p", None, B_FRAMES),
    ("mjpeg.avi", "mjpeg", "yuvj420p", None, {}),
    ("open.mp4", "libx264", "yuv420p", None, OPEN),
    ("open.avi", "libx264", "yuv420p", None, OPEN),
    ("open.mts", "libx264", "yuv420p", None, OPEN),
    ("irregular.mkv", "libx264", "yuv420p", IRREGULAR, B_FRAMES),
    ("late.mkv", "libx264", "yuv420p", LATE, B_FRAMES),
    ("old.webm", "libvpx", "yuv420p", None, {"deadline": "realtime", "cpu-used": "8"}),
    ("b.mpg", "mpeg2video", "yuv420p", None, B_FRAMES),
    ("a.wmv", "wmv2", "yuv420p", None, {}),
    ("a.flv", "flv", "yuv420p", None, {}),
    ("fine.mp4", "libx264", "yuv444p", None, B_FRAMES),
    ("deep.mp4", "libx264", "yuv420p10le", None, B_FRAMES),
    ("full.mkv", "libx264", "yuvj420p", None, B_FRAMES),
    ("one.mp4", "libx264", "yuv420p", [0], B_FRAMES),
]
UPRIGHT = (1, 0, 0, 1)
TURNS = [
    UPRIGHT, (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0),
    (-1, 0, 0, 1), (0, 1, 1, 0), (1, 0, 0, -1), (0, -1, -1, 0),
]  # fmt: skip  # a, b, c, d of the display matrix


def picture(index):
    """Return a picture that tells its index: its upper half is as bright, its lower textured."""
    texture = np.random.default_rng(index).integers(0, 256, (4, 12, 1), dtype=np.uint8)
    lower = texture.repeat(8, axis=0).repeat(8, axis=1)
    return np.concatenate([np.full_like(lower, 20 + 18 * index), lower]).repeat(3, axis=2)


def shown_index(image):
    return round((float(image[4:28].mean()) - 20) / 18)


def write_video(path, codec="libx264", pix_fmt="yuv420p", times=None, turn=UPRIGHT, **options):
    times = list(range(0, 480, 40)) if times is None else times
    a, b, c, d = (65536 * value for value in turn)
    with av.open(f"file:{path}", "w", options=options.pop("container", {})) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, pix_fmt
        if path.suffix == ".mkv":
            stream.codec_context.time_base = Fraction(1, 1000)
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        container.start_encoding()
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path, cover=False):
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000, layout="mono")
        if cover:
            stream = container.add_stream("mjpeg", rate=25)
            stream.width, stream.height, stream.pix_fmt = *SIZE, "yuvj420p"
            stream.disposition = av.stream.Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(picture(0), format="rgb24")
            container.mux(stream.encode(frame))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def rewrite(source, path, change):
    """Write the packets of `source` again, each as `change(number, data)` makes it, or not."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            content = change(number, bytes(packet))
            if content is None:
                continue
            changed = av.Packet(content)
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.is_keyframe, changed.stream = packet.is_keyframe, stream
            new.mux(changed)
    return path


def frame_of(path, name, seed):
    ((_, frame),) = random_frames(path, [Choice(name, seed)])
    if isinstance(frame, DataError):
        raise frame
    return frame


def every_frame(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.slow
@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name[-30:])
def test_a_real_clip_gives_the_frame_of_that_index_among_all_its_frames(clip, capfd):
    if not clip.exists():
        pytest.skip(f"needs real videos: {VIDEOS} is absent")
    frames = [frame_of(clip, clip.name, seed) for seed in range(2)]
    with av.open(str(clip)) as container:
        wanted = {}
        for count, shown in enumerate(container.decode(video=0), 1):
            if count - 1 in {frame.index for frame in frames}:
                wanted[count - 1] = shown.to_ndarray(format="rgb24")
    for frame in frames:
        assert frame.count == count
        assert np.array_equal(frame.image, wanted[frame.index])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
def test_every_kind_of_video_gives_its_frames_in_the_order_they_are_shown(tmp_path, kind):
    name, codec, pix_fmt, times, options = kind
    path = write_video(tmp_path / name, codec, pix_fmt, times, **options)
    expected = every_frame(path)
    assert len(expected) == len(times or range(12))
    for seed in range(30):
        frame = frame_of(path, name, seed)
        assert frame.count == len(expected)
        assert np.array_equal(frame.image, expected[frame.index])
        assert shown_index(frame.image) == frame.index


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_or_mirrored_video_comes_out_upright(tmp_path, turn):
    path = write_video(tmp_path / "a.mp4", times=[0, 40, 80], turn=turn)
    frame = frame_of(path, "a.mp4", 0)
    stored = every_frame(path)[frame.index]
    y, x = np.indices(stored.shape[:2])
    a, b, c, d = turn
    right, down = a * x + c * y, b * x + d * y
    expected = np.zeros_like(stored if a else stored.swapaxes(0, 1))
    expected[down - down.min(), right - right.min()] = stored
    assert np.array_equal(frame.image, expected)


def test_a_turn_is_meant_as_ffmpeg_means_it(tmp_path):
    path = write_video(tmp_path / "a.mp4", times=[0], turn=TURNS[1])
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).rotation == -90  # clockwise, as phones are held
    assert np.array_equal(frame_of(path, "", 0).image, np.rot90(every_frame(path)[0], -1))


def test_frames_that_an_edit_list_hides_are_none(tmp_path):
    path = write_video(tmp_path / "a.mp4", **B_FRAMES)
    content = bytearray(path.read_bytes())
    start = content.index(b"elst") + 16
    (first,) = struct.unpack_from(">i", content, start)
    struct.pack_into(">i", content, start, first + 3 * 512)  # three frames, from amid a GOP
    path.write_bytes(content)
    found = [frame_of(path, "a.mp4", seed) for seed in range(40)]
    assert {frame.count for frame in found} == {len(every_frame(path))} == {9}
    assert all(shown_index(frame.image) == frame.index + 3 for frame in found)
    assert {frame.index for frame in found} == set(range(9))


def test_frames_that_vp8_hides_are_none(tmp_path):
    path = write_video(tmp_path / "a.webm", "libvpx", deadline="realtime", g="3")
    shown = [0xFF] * 7 + [0xEF] + [0xFF] * 4  # clears the bit of the eighth frame that shows it
    hidden = rewrite(
        path, tmp_path / "b.webm", lambda number, data: bytes([data[0] & shown[number]]) + data[1:]
    )
    found = [frame_of(hidden, "b.webm", seed) for seed in range(60)]
    assert {frame.count for frame in found} == {11}
    assert {shown_index(frame.image) for frame in found} == {*range(12)} - {7}


@pytest.mark.parametrize("name", ["a.mkv", "a.mts"])
def test_frames_before_the_first_keyframe_are_none(tmp_path, name):
    whole = write_video(tmp_path / f"whole.{name}", **OPEN)
    path = rewrite(whole, tmp_path / name, lambda number, data: data if number > 3 else None)
    found = [frame_of(path, name, seed) for seed in range(40)]
    assert {frame.count for frame in found} == {7}
    assert all(shown_index(frame.image) == frame.index + 5 for frame in found)


def test_damage_is_passed_over_and_does_not_reach_behind_the_next_keyframe(tmp_path):
    whole = write_video(tmp_path / "whole.mkv", **B_FRAMES)
    path = rewrite(
        whole,
        tmp_path / "a.mkv",
        lambda number, content: bytes(len(content)) if 0 < number < 4 else content,
    )
    expected = every_frame(whole)
    found = [frame_of(path, "a.mkv", seed) for seed in range(60)]
    for frame in found:
        assert np.array_equal(frame.image, expected[shown_index(frame.image)])
        assert frame.count < 12 or frame.index == shown_index(frame.image)
    assert {shown_index(frame.image) for frame in found} == {0, *range(4, 12)}
    assert {frame.count for frame in found} == {9, 12}


def test_a_frame_that_decodes_only_in_part_is_none(tmp_path):
    whole = write_video(tmp_path / "whole.mkv", "mpeg4")
    path = rewrite(
        whole,
        tmp_path / "a.mkv",
        lambda number, data: data[:40].ljust(len(data), b"\0") if number == 11 else data,
    )
    expected = every_frame(whole)
    found = [frame_of(path, "a.mkv", seed) for seed in range(60)]
    assert {shown_index(frame.image) for frame in found} == set(range(11))
    assert all(np.array_equal(frame.image, expected[shown_index(frame.image)]) for frame in found)


@pytest.mark.parametrize("last", [5, 8, 11])
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.avi", "mjpeg"), ("b.avi", "mpeg4"), ("a.mkv", "libvpx-vp9")],
)
def test_a_video_that_ends_early_gives_what_decodes(tmp_path, name, codec, last):
    options = {"container": {"movflags": "faststart"}, "g": "5", "cpu-used": "8"}
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(tmp_path / name, codec, pix_fmt, **options)
    expected = every_frame(path)
    with av.open(str(path)) as container:
        torn = [packet for packet in container.demux(video=0) if packet.size][last]
    os.truncate(path, torn.pos + torn.size * 9 // 10)
    found = [frame_of(path, name, seed) for seed in range(20)]
    (count,) = {frame.count for frame in found}
    assert last - 3 <= count <= last
    assert len({frame.index for frame in found}) > count / 2
    for frame in found:
        assert np.array_equal(frame.image, expected[shown_index(frame.image)])


def broken(folder):
    """Write what is no video, and yield the name and the reason that must be given for it."""
    (folder / "empty.mp4").touch()
    yield "empty.mp4", "the file is empty"
    (folder / "text.mp4").write_text("no video at all\n" * 99)
    yield "text.mp4", "expected a video, found nothing that FFmpeg reads"
    Image.fromarray(picture(0)).save(folder / "still.mp4", "PNG")
    yield "still.mp4", "expected a video, found nothing that FFmpeg reads"
    write_video(folder / "seen.mkv", times=[0])
    (folder / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nseen.mkv\n#EXT-X-ENDLIST\n")
    yield "list.mp4", "expected a video, found nothing that FFmpeg reads"
    (folder / "concat.mp4").write_text("ffconcat version 1.0\nfile seen.mkv\n")
    yield "concat.mp4", "expected a video, found nothing that FFmpeg reads"
    write_sound(folder / "sound.mp4")
    yield "sound.mp4", "expected a video stream, found none"
    write_sound(folder / "cover.mp4", cover=True)
    yield "cover.mp4", "expected a video stream, found none"
    content = write_video(folder / "strange.avi", "mpeg4").read_bytes()
    (folder / "strange.avi").write_bytes(content.replace(b"FMP4", b"XYZW"))
    yield "strange.avi", "no decoder"
    write_video(folder / "head.mkv", times=[])
    yield "head.mkv", "expected a video, found nothing that FFmpeg reads"
    rewrite(folder / "seen.mkv", folder / "dark.mkv", lambda _, content: bytes(len(content)))
    yield "dark.mkv", "no frame that decodes"
    yield "absent.mp4", "no such video"


def test_what_is_no_video_is_named_with_a_reason_and_without_chatter(tmp_path, capfd):
    reasons = dict(broken(tmp_path))
    capfd.readouterr()
    for name, reason in reasons.items():
        with pytest.raises(DataError, match=f"^{tmp_path / name}: .*{reason}.*; "):
            frame_of(tmp_path / name, name, 0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["concat:a|b.mp4", "50%d?.mp4", "ü ñ.mp4", "\udcff.mp4"])
def test_a_name_is_a_name_and_nothing_that_ffmpeg_makes_of_it(tmp_path, monkeypatch, name):
    write_video(tmp_path / "a.mp4", times=[0]).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert shown_index(frame_of(Path(name), name, 0).image) == 0


def test_tags_in_another_encoding_do_no_harm(tmp_path):
    path = write_video(tmp_path / "a.mkv", times=[0])
    path.write_bytes(path.read_bytes().replace(b"Lavf", b"caf\xe9"))
    assert frame_of(path, "a.mkv", 0).count == 1


@pytest.mark.parametrize("by", ["seed", "name"])
def test_every_frame_is_as_likely_as_any_other(tmp_path, by):
    path = write_video(tmp_path / "a.mkv", times=range(0, 280, 40), g="1")
    draws = [("a", n) if by == "seed" else (f"{n}", 0) for n in range(420)]
    chosen = [frame_of(path, name, seed).index for name, seed in draws]
    seen = np.bincount(chosen, minlength=7)
    assert ((seen - 60) ** 2 / 60).sum() < 16.8  # chi-square of 6 degrees of freedom: 1 in 100


def test_the_choice_follows_from_name_and_seed_and_not_from_where_the_file_lies(tmp_path):
    first = write_video(tmp_path / "a.mkv", g="1")
    second = Path(tmp_path / "b.mkv")
    second.write_bytes(first.read_bytes())
    for seed in range(9):
        assert frame_of(first, "x", seed).index == frame_of(second, "x", seed).index


@pytest.fixture
def library(tmp_path):
    """A folder of 14 videos, two of them in folders of their own, and one text that is none."""
    root = tmp_path / "videos"
    (root / "sub" / "deep.mp4").mkdir(parents=True)
    source = write_video(tmp_path / "source.mkv", g="1")
    for number in range(12):
        (root / f"{number:02d}.mkv").write_bytes(source.read_bytes() + bytes(number))
    for name in ("sub/A.MKV", "sub/deep.mp4/b.mkv"):
        (root / name).write_bytes(source.read_bytes())
    (root / "text.mp4").write_text("no video")
    (root / "notes.txt").write_text("no video")
    return root


def test_a_folder_is_searched_for_videos_of_any_depth_and_case(library):
    assert find_videos(library) == (
        library,
        [*(f"{n:02d}.mkv" for n in range(12)), "sub/A.MKV", "sub/deep.mp4/b.mkv", "text.mp4"],
    )


def test_every_kind_of_video_is_looked_for(tmp_path):
    more = ["a.m4v", "a.3gp", "a.mpeg", "a.m2ts", "a.ogv"]
    names = sorted([*(kind[0] for kind in KINDS), *more])
    for name in names:
        (tmp_path / name).touch()
    assert find_videos(tmp_path)[1] == names


def test_one_video_is_one_video(library):
    assert find_videos(library / "sub/A.MKV") == (library / "sub", ["A.MKV"])


def test_a_list_names_videos_relative_to_its_folder(library):
    lines = "\ufeff# mine\r\nsub/A.MKV\r\n\r\n  ./01.mkv \r\n01.mkv\r\nfilm.xyz\r\n"
    (library / "list.txt").write_text(lines, encoding="utf-8", newline="")
    assert find_videos(library / "list.txt") == (library, ["01.mkv", "film.xyz", "sub/A.MKV"])


@pytest.mark.parametrize("line", ["../a.mp4", "sub/../../a.mp4", "/etc/a.mp4", "sub/.."])
def test_a_listed_path_that_leaves_the_folder_is_refused(library, line):
    (library / "list.txt").write_text(f"01.mkv\n{line}\n")
    with pytest.raises(DataError, match=rf"list\.txt: '{line}' leaves its folder"):
        find_videos(library / "list.txt")


def test_where_there_is_no_video_the_source_is_named(tmp_path, library):
    (tmp_path / "list.txt").write_text("# nothing\n\n")
    (tmp_path / "none").mkdir()
    for name, found in [("list.txt", "none"), ("none", "none"), ("absent", "nothing there")]:
        with pytest.raises(DataError, match=f"{name}: expected .*videos.*, found {found}"):
            find_videos(tmp_path / name)
    with pytest.raises(DataError, match="found no text"):
        find_videos((tmp_path / "source.mkv").rename(tmp_path / "source.bin"))


@pytest.fixture
def extract(monkeypatch):
    def run(source, folder, seed=0, workers=2, **options):
        monkeypatch.setattr(os, "cpu_count", lambda: workers)
        options = {"advance": lambda _: None, **options}
        return extract_frames(source, folder, seed, **options)

    return run


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_video_gives_an_image_and_what_gives_none_is_refused(tmp_path, library, extract):
    heard, folder = [], tmp_path / "out" / "s1m"
    images, refusals = extract(library, folder, advance=heard.append)
    assert heard == [1] * 15
    (refusal,) = refusals
    assert refusal.file_name == "text.mp4"
    assert refusal.reason.startswith("expected a video, found nothing")
    assert [image["video"] for image in images] == find_videos(library)[1][:-1]
    assert {Path(image["file_name"]).name for image in images} == set(contents(folder))
    for image in images:
        frame = frame_of(library / image["video"], image["video"], 0)
        kept = Image.open(folder.parent / image["file_name"])
        assert np.abs(np.asarray(kept, int) - frame.image).mean() < 2  # JPEG of quality 95
        origin = {"video": image["video"], "frame": frame.index}
        assert json.loads(kept.info["comment"]) == {**origin, "frames": 12}
        named = {"id": image_id(image["file_name"]), "file_name": image["file_name"]}
        assert image == {**named, "width": 96, "height": 64, **origin}


def test_neither_workers_nor_order_change_a_frame(tmp_path, library, extract):
    names = find_videos(library)[1]
    (library / "list.txt").write_text("\n".join(reversed(names)))
    alone = extract(library, tmp_path / "a" / "s1m", workers=1)
    shared = extract(library / "list.txt", tmp_path / "b" / "s1m", workers=3)
    assert alone == shared
    assert contents(tmp_path / "a" / "s1m") == contents(tmp_path / "b" / "s1m")


def test_a_run_goes_on_where_it_was_stopped_and_stores_no_frame_twice(tmp_path, library, extract):
    def stop(_):
        raise KeyboardInterrupt

    whole, folder = tmp_path / "a" / "s1m", tmp_path / "b" / "s1m"
    expected = extract(library, whole)
    with pytest.raises(KeyboardInterrupt):
        extract(library, folder, workers=1, advance=stop)
    for name in sorted(contents(folder))[4:]:  # how much further it came is chance
        (folder / name).unlink()
    kept = {path: path.stat().st_ino for path in folder.iterdir()}
    assert kept
    for image in expected[0]:
        if (stored := folder.parent / image["file_name"]) not in kept:
            Path(f"{stored}.partial").write_bytes(b"a torn image")
    assert extract(library, folder) == expected
    assert {path: path.stat().st_ino for path in kept} == kept
    assert contents(folder) == contents(whole)


def test_another_seed_or_video_of_that_name_gives_another_image(tmp_path, library, extract):
    images, _ = extract(library, tmp_path / "s1m")
    again, _ = extract(library, tmp_path / "s1m", seed=1)
    assert not {i["file_name"] for i in images} & {i["file_name"] for i in again}
    write_video(library / "05.mkv", times=[0])
    changed, _ = extract(library, tmp_path / "s1m")
    assert [a["video"] for a, b in zip(images, changed, strict=True) if a != b] == ["05.mkv"]
    of_one_size = library / "05.mkv"
    content = bytearray(of_one_size.read_bytes())
    content[-1] ^= 1
    of_one_size.write_bytes(content)
    other, _ = extract(library, tmp_path / "s1m")
    assert [a["video"] for a, b in zip(changed, other, strict=True) if a != b] == ["05.mkv"]


def test_a_listed_video_that_is_absent_is_refused(library, tmp_path, extract):
    (library / "list.txt").write_text("none.mp4\n")
    reason = "no such video; correct its name or take it off the list"
    assert extract(library / "list.txt", tmp_path) == ([], [Refusal("none.mp4", reason)])


@pytest.mark.slow
def test_several_frames_of_a_video_are_one_of_every_stretch_of_it(library, tmp_path, extract):
    found = []
    for seed in range(4):
        images, refusals = extract(library, tmp_path / "s1m", seed, per_video=3)
        assert [refusal.file_name for refusal in refusals] == ["text.mp4"]
        videos = [image["video"] for image in images]
        assert videos == [name for name in find_videos(library)[1][:-1] for _ in range(3)]
        stretches = np.array([image["frame"] for image in images]).reshape(-1, 3)
        assert (stretches // 4 == [0, 1, 2]).all()  # all have 12 frames
        found.append(stretches)
    assert set(np.unique(found)) == set(range(12))


def test_a_video_with_fewer_frames_than_asked_for_gives_all_it_has(library, tmp_path, extract):
    (library / "list.txt").write_text("01.mkv\n")
    images, (refusal,) = extract(library / "list.txt", tmp_path / "s1m", per_video=20)
    assert [image["frame"] for image in images] == list(range(12))
    assert refusal == Refusal("01.mkv", "has 12 frames, fewer than the 20 requested")


def test_a_file_that_claims_more_frames_than_bytes_is_refused_before_they_are_listed(tmp_path):
    write_video(path := tmp_path / "a.mp4")
    content = bytearray(path.read_bytes())
    count = content.index(b"stsz") + 8
    content[count : count + 8] = (1).to_bytes(4) + (50_000_000).to_bytes(4)
    path.write_bytes(content)
    reason = r"a\.mp4: claims 50,000,000 frames in [0-9,]+ bytes"
    with pytest.raises(DataError, match=reason):
        next(all_frames(path))
    ((_, refusal),) = random_frames(path, [Choice("a.mp4", 1)])
    assert re.search(reason, str(refusal))


def test_frames_of_too_many_pixels_are_refused(library, tmp_path, extract):
    (library / "list.txt").write_text("01.mkv\n")
    limit = PixelLimit(6143e-6, "the.param")
    images, (refusal,) = extract(library / "list.txt", tmp_path / "s1m", limit=limit)
    assert images == []
    assert refusal.reason == (
        "it has 96 x 64 pixels, more than 6,143; make its frames smaller, or raise the.param"
    )
    limit = PixelLimit(6144e-6)
    assert len(extract(library / "list.txt", tmp_path / "s1m", limit=limit)[0]) == 1
