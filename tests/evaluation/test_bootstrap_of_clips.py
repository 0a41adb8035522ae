"""Images of one family, such as the frames of a clip, are drawn together."""

from dataclasses import replace

import numpy as np
import pytest

from datastill.coco.format import PERSON, Coco
from datastill.errors import DataError
from datastill.evaluation import bootstrap as intervals
from datastill.evaluation.bootstrap import (
    Matches,
    average_precision,
    bootstrap,
    interval,
    match,
    paired_interval,
)
from datastill.synthetic import keypoint_scenes

CLIPS, FRAMES = 300, (1, 4, 7, 10)  # of 12 in a clip


def in_families(truth, families):
    """`truth` with the family of every image, None for one on its own."""
    images = [
        {**image, **({} if family is None else {"family": family})}
        for image, family in zip(truth.images, families, strict=True)
    ]
    return Coco(images, truth.annotations, truth.categories)


def drawn(matches, resamples, seed=0):
    return np.concatenate(list(intervals._draws([matches], resamples, seed)))


def test_images_on_their_own_are_drawn_as_if_there_were_no_families(scene):
    truth, detections = scene(1)
    generator, picks = np.random.default_rng(0), []
    for _ in range(300):
        picks.append(np.bincount(generator.integers(0, 30, 30), minlength=30))
    alone = [[None] * 30, list(range(30))]  # a family may also have one image
    for families in alone:
        matches = match(in_families(truth, families), detections, "boxes")
        assert matches.families == 30
        found = drawn(matches, 300)
        assert found.dtype == np.int32
        assert (found == picks).all()


def test_a_clip_of_two_and_an_image_give_three_values_one_to_two_to_one(coco, person):
    """People found on both frames: AP 1 on the clip, 67 recalls of 101 on both, 0 on the image."""
    people = [person(number, number=number) for number in (1, 2, 3)]
    truth = in_families(coco(3, people), [None, 3, 3])
    names = ("image_id", "category_id", "keypoints")
    detections = [{**{name: p[name] for name in names}, "score": 0.9} for p in people[1:]]
    matches = match(truth, detections, "keypoints")
    assert matches.family.tolist() == [0, 1, 1]
    values, counts = np.unique(bootstrap(matches, 4000, seed=3).round(6), return_counts=True)
    assert values == pytest.approx([0, 100 * 67 / 101, 100], abs=1e-5)
    assert counts / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_drawing_families_is_copying_whole_clips(scene, pycocotools):
    """One by one: pick clips, copy all their images with all they hold, ask pycocotools."""
    truth, detections = scene(21, ties=False, crowd_of=0)
    families = [None if n % 7 == 0 else n % 4 for n in range(30)]  # 4 clips, interleaved; 5 alone
    truth = in_families(truth, families)
    matches = match(truth, detections, "keypoints")
    assert matches.families == 9
    clips = {}
    for image, family in zip(truth.images, families, strict=True):
        clips.setdefault(image["id"] if family is None else f"clip {family}", []).append(image)
    clips, generator = list(clips.values()), np.random.default_rng(4)
    for ap in bootstrap(matches, 8, seed=4):
        images, people, found = [], [], []
        copies = sorted(i["id"] for pick in generator.integers(0, 9, 9) for i in clips[pick])
        for number, image in enumerate(copies, start=1):  # in the order of their ids, as COCO's
            images.append({**truth.images[0], "id": number})
            for a in (a for a in truth.annotations if a["image_id"] == image):
                people.append({**a, "image_id": number, "id": len(people) + 1})
            found += [{**d, "image_id": number} for d in detections if d["image_id"] == image]
        copied = Coco(images, people, truth.categories)
        assert ap == pytest.approx(pycocotools(copied, found, "keypoints")["ap"], abs=1e-9)


def test_both_sides_must_have_the_same_families(scene):
    truth, detections = scene(2)
    alone, clips = (
        match(in_families(truth, families), detections, "boxes")
        for families in ([None] * 30, [n // 2 for n in range(30)])
    )
    with pytest.raises(DataError, match="the same families on both sides, found 30 and 15"):
        paired_interval(alone, clips, 10)


class Clock(np.random.Generator):
    """Draws what its Generator would, but shows `frame` of the clip."""

    frame = 0

    def integers(self, low, *arguments, **more):
        if low == keypoint_scenes.FRAMES_IN_CLIP:
            return self.frame
        return super().integers(low, *arguments, **more)


def draw_clips(monkeypatch):
    """Four frames of each of `CLIPS` drawn clips of sport, and their people."""
    images, people, unpatched = [], [], keypoint_scenes.scene_rng
    for number in range(CLIPS * len(FRAMES)):
        clip, frame = divmod(number, len(FRAMES))

        def scene_rng(*scene, shown=FRAMES[frame]):
            clock = Clock(unpatched(*scene).bit_generator)
            clock.frame = shown
            return clock

        monkeypatch.setattr(keypoint_scenes, "scene_rng", scene_rng)
        drawing = keypoint_scenes.draw_people("clips", clip, 0, "sport", (160, 120))
        images.append({"id": number, "file_name": "", "family": clip * len(FRAMES)})
        for record in drawing.annotations:
            people.append({"id": len(people) + 1, "image_id": number, **record})
    return Coco(images, people, [PERSON])


def detect(truth, seed):
    """Find most people, in hard clips worse ones, and some where nobody is."""
    rng = np.random.default_rng(seed)
    hardness, found = rng.normal(0, 0.6, CLIPS), []
    names = ("image_id", "category_id", "bbox")
    for person in (p for p in truth.annotations if rng.random() < 0.95):
        clip = person["image_id"] // len(FRAMES)
        error = 0.06 * np.exp(hardness[clip] + rng.normal(0, 0.4))
        points = np.reshape(person["keypoints"], (17, 3)).astype(float)
        points[:, :2] += rng.normal(0, error * person["area"] ** 0.5, (17, 2))
        score = rng.normal(-np.log(error), 0.5)
        record = {name: person[name] for name in names}
        found.append({**record, "keypoints": points.ravel().tolist(), "score": float(score)})
    for image in rng.integers(0, len(truth.images), len(truth.images) // 3).tolist():
        found.append({**found[0], "image_id": image, "score": float(rng.normal(2, 0.6))})
    return found


def take_clips(matches, clips):
    """The matches of a val that consists of these `clips`, each a family."""
    ranked, family = matches.ranked[0][0], np.repeat(np.arange(len(clips)), len(FRAMES))
    images = (np.asarray(clips)[:, None] * len(FRAMES) + np.arange(len(FRAMES))).ravel()
    of_image = [np.flatnonzero(ranked.image == image) for image in range(len(matches.image_ids))]
    taken = np.concatenate([of_image[image] for image in images])
    place = np.repeat(np.arange(len(images)), [len(of_image[image]) for image in images])
    order = np.argsort(-ranked.scores[taken], kind="stable")
    best = taken[order]
    some = replace(
        ranked,
        scores=ranked.scores[best],
        image=place[order],
        correct=ranked.correct[:, best],
        ignored=ranked.ignored[:, best],
        truths=ranked.truths[images],
    )
    return Matches(np.arange(len(images)), ("all",), ((some,),), family)


@pytest.mark.slow
def test_intervals_on_drawn_clips_hold_the_true_value_if_clips_are_drawn_whole(monkeypatch):
    """Of 100 clips at a time, from a population of clips of which AP is known."""
    truth = draw_clips(monkeypatch)
    population = [match(truth, detect(truth, seed), "keypoints") for seed in (1, 2)]
    ap, other = (average_precision(matches).ap for matches in population)
    rng, hits = np.random.default_rng(11), ([], [])  # if clips are drawn, if their images are
    for repetition in range(400):
        clips = rng.integers(0, CLIPS, 100)
        sides = [take_clips(matches, clips) for matches in population]
        for kind, family in enumerate((sides[0].family, sides[0].image_ids)):
            if kind and repetition >= 100:  # misses so often that fewer show it
                continue
            a, b = (bootstrap(replace(m, family=family), 200, repetition) for m in sides)
            ends = interval(a, 100), interval(b - a, 100, difference=True)
            hits[kind].append(
                [ends[0][0] <= ap <= ends[0][1], ends[1][0] <= other - ap <= ends[1][1]]
            )
    whole, single = (np.mean(each, axis=0) for each in hits)
    print(f"coverage (AP, gain): {whole} if clips are drawn, {single} if their images are")
    assert ((whole >= 0.93) & (whole <= 0.97)).all()
    assert (single < 0.85).all()
