import pandas as pd

from datastill.coco.format import Coco
from datastill.images.families import mark_families

BLANK = "0" * 32


def alike(videos, digests):
    """Blank images, which no likeness joins, with the ids 10, 20, ... and any of `videos`."""
    images = [
        {"id": 10 * n, "file_name": f"{n}.jpg", **({"video": video} if video else {})}
        for n, video in enumerate(videos, start=1)
    ]
    names = [image["file_name"] for image in images]
    manifest = pd.DataFrame({"file_name": names, "digest": digests, "likeness": BLANK})
    # the manifest is of all sets, in any order
    others = pd.DataFrame([{"file_name": "x.jpg", "digest": "a", "likeness": BLANK}])
    return Coco(images, [{"id": 1, "image_id": 10}], []), pd.concat([manifest[::-1], others])


def test_an_image_on_its_own_stays_as_it_is_and_a_family_has_the_id_of_its_first():
    coco, manifest = alike(["v", None, "w", "v", None, None], ["a", "b", "c", "d", "e", "d"])
    marked = mark_families(coco, manifest)
    assert [image.get("family") for image in marked.images] == [10, None, None, 10, None, 10]
    stripped = [{k: v for k, v in i.items() if k != "family"} for i in marked.images]
    assert stripped == coco.images
    assert marked.annotations == coco.annotations
    assert all("family" not in image for image in coco.images), "the argument is not changed"


def test_no_image_is_no_family():
    assert mark_families(*alike([], [])).images == []


def test_a_recording_is_cut_into_blocks_of_time_in_the_natural_order_of_its_names():
    coco, manifest = alike(["v"] * 46, [f"d{n}" for n in range(46)])
    turned = Coco(coco.images[::-1], [], [])
    families = {}
    for image in mark_families(turned, manifest).images:
        number = int(image["file_name"].removesuffix(".jpg"))
        families.setdefault(image["family"], []).append(number)
    blocks = sorted(sorted(block) for block in families.values())
    assert [n for block in blocks for n in block] == list(range(1, 47))
    assert {len(block) for block in blocks} == {3, 4}  # 46^(1/3) is 3.6
    assert len(blocks) == 12


def test_clips_beside_a_recording_stay_whole():
    clips = ["a", "b"] * 3
    coco, manifest = alike(["v"] * 20 + clips, [f"d{n}" for n in range(26)])
    families = [image.get("family") for image in mark_families(coco, manifest).images]
    assert len(set(families[:20])) >= 6
    assert len(set(families[20::2])) == len(set(families[21::2])) == 1


def test_a_few_clips_are_families_whatever_the_order_of_their_names():
    coco, manifest = alike(["a", "b", "c"] * 6, [f"d{n}" for n in range(18)])
    families = [image["family"] for image in mark_families(coco, manifest).images]
    assert families == [10, 20, 30] * 6
