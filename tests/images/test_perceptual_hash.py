import cv2
import numpy as np
import pytest
from PIL import Image
from places import REAL

from datastill.errors import DataError
from datastill.images.perceptual_hash import MAX_DISTANCE, near_duplicates, repeats
from datastill.images.perceptual_hash import perceptual_hash as hash_of
from datastill.synthetic.keypoint_scenes import draw_people

NOTHING = "0" * 32
COUNT = 40


def jpeg(pixels, quality):
    _, content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(content, cv2.IMREAD_COLOR)


def scaled(pixels, long_side):
    factor = long_side / max(pixels.shape)
    size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if factor < 1 else None)


def toned(pixels, contrast=1.0, brightness=0.0, gamma=1.0):
    levels = 255 * (pixels / 255.0) ** gamma
    return np.clip((levels - 128) * contrast + 128 + brightness, 0, 255).astype(np.uint8)


def cropped(pixels, share):
    rows, columns = (round(side * share) for side in pixels.shape[:2])
    return pixels[rows:-rows, columns:-columns]


CHANGES = {
    "JPEG 95": lambda pixels: jpeg(pixels, 95),
    "JPEG 60": lambda pixels: jpeg(pixels, 60),
    "larger": lambda pixels: scaled(pixels, 500),
    "160 pixels": lambda pixels: scaled(pixels, 160),
    "160 pixels, JPEG 60": lambda pixels: jpeg(scaled(pixels, 160), 60),
    "brighter": lambda pixels: toned(pixels, brightness=20),
    "darker": lambda pixels: toned(pixels, brightness=-20),
    "less contrast": lambda pixels: toned(pixels, contrast=0.8),
    "more contrast": lambda pixels: toned(pixels, contrast=1.2),
    "gamma 0.8": lambda pixels: toned(pixels, gamma=0.8),
    "gamma 1.25": lambda pixels: toned(pixels, gamma=1.25),
    "grey": lambda pixels: np.asarray(Image.fromarray(pixels).convert("L").convert("RGB")),
    "cropped by 1 %": lambda pixels: cropped(pixels, 0.01),
    "mirrored": lambda pixels: pixels[:, ::-1],
    "mirrored, 160 pixels, JPEG 60": lambda pixels: jpeg(scaled(pixels[:, ::-1], 160), 60),
}


def real_folder(name):
    if not (REAL / name).is_dir():
        pytest.skip(f"no real photographs at {REAL / name}")
    return sorted((REAL / name).glob("*.jpg"))


def read(path):
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture(scope="module", params=["drawn", "real"])
def pictures(request):
    if request.param == "real":
        return [read(path) for path in real_folder("people-256/val")[:COUNT]]
    return [draw_people("a set", i, 3, "everyday", (320, 240)).image for i in range(COUNT)]


def test_an_image_has_the_same_32_digits_every_time(pictures):
    digits = hash_of(pictures[0])
    assert len(digits) == 32
    assert int(digits, 16) > 0
    assert digits == hash_of(pictures[0].copy())


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_resembles_its_original_and_nothing_else(pictures, change):
    originals = [hash_of(pixels) for pixels in pictures]
    copies = [hash_of(CHANGES[change](pixels)) for pixels in pictures]
    found = [(i, j) for i, j, _ in near_duplicates(originals, copies)]
    assert found == [(i, i) for i in range(COUNT)]


def test_nearly_all_pictures_survive_a_crop_of_2_percent(pictures):
    originals = [hash_of(pixels) for pixels in pictures]
    copies = [hash_of(cropped(pixels, 0.02)) for pixels in pictures]
    found = [(i, j) for i, j, _ in near_duplicates(originals, copies)]
    assert all(i == j for i, j in found)
    assert len(found) >= 0.9 * COUNT


def test_a_mirrored_copy_is_no_farther_than_the_image_itself(pictures):
    originals = [hash_of(pixels) for pixels in pictures]
    mirrored = [hash_of(pixels[:, ::-1]) for pixels in pictures]
    assert originals != mirrored
    assert [(i, j) for i, j, _ in near_duplicates(originals, mirrored, 1)] == [
        (i, i) for i in range(COUNT)
    ]


def test_a_picture_turned_upside_down_is_another_one(pictures):
    originals = [hash_of(pixels) for pixels in pictures]
    assert [*near_duplicates(originals, [hash_of(pixels[::-1]) for pixels in pictures])] == []


@pytest.mark.parametrize("style", ["everyday", "sport"])
def test_different_drawn_pictures_stay_far_apart(style):
    clip = 12  # frames, of which a set takes one
    drawn = [draw_people("many", clip * i, 5, style, (192, 144)).image for i in range(100)]
    hashes = [hash_of(pixels) for pixels in drawn]
    assert [*near_duplicates(hashes[:50], hashes[50:], MAX_DISTANCE + 6)] == []
    assert NOTHING not in hashes


def test_a_photograph_is_found_at_another_size_in_another_folder():
    first, second = real_folder("coco/val2017"), real_folder("people-256/labelled")
    pairs = [
        *near_duplicates([hash_of(read(p)) for p in first], [hash_of(read(p)) for p in second])
    ]
    names = {path.name: j for j, path in enumerate(second)}
    copies = [(i, names[path.name]) for i, path in enumerate(first) if path.name in names]
    assert len(copies) == 80
    assert [(i, j) for i, j, _ in pairs] == copies


def flat(level):
    return np.full((120, 160, 3), level, np.uint8)


def ramp():
    return np.tile(np.linspace(100, 118, 120).astype(np.uint8)[:, None, None], (1, 160, 3))


def speck():
    return cv2.circle(flat(3), (80, 40), 3, (255, 250, 240), -1)


def sky():
    noise = np.random.default_rng(0).normal(0, 4, (120, 160, 3))
    return np.clip(ramp() + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "pixels", [flat(0), flat(255), flat((200, 30, 90)), flat(7)[:1, :1], ramp(), speck(), sky()]
)
def test_an_image_that_shows_nothing_has_no_digits(pixels):
    assert hash_of(pixels) == NOTHING
    assert hash_of(jpeg(pixels, 60)) == NOTHING
    assert hash_of(pixels[:, ::-1]) == NOTHING


def test_images_that_show_nothing_repeat_each_other_and_prove_no_leak(pictures):
    shown = hash_of(pictures[0])
    hashes = [shown, NOTHING, NOTHING, shown, NOTHING]
    assert repeats(hashes) == [-1, -1, 1, 0, 1]
    assert [*near_duplicates(hashes, hashes, 0)] == [(0, 0, 0), (0, 3, 0), (3, 0, 0), (3, 3, 0)]
    assert [*near_duplicates(hashes, [NOTHING] * 3, 128)] == []
    assert repeats([NOTHING] * 50_000, 128) == [-1, *[0] * 49_999]


def test_a_bright_logo_does_not_make_dim_pictures_alike(pictures):
    dim = [(pixels // 6).astype(np.uint8) for pixels in pictures]
    for pixels in dim:
        pixels[-12:, :12] = 255
    assert [*near_duplicates([hash_of(p) for p in dim[:20]], [hash_of(p) for p in dim[20:]])] == []


def random_hashes(rng, count):
    """Some random hashes, and copies of them with a few bits flipped, mirrored or not."""
    base = rng.integers(0, 2, (max(1, count // 4), 128))
    bits = base[rng.integers(0, len(base), count)]
    bits[:, 64:] ^= rng.integers(0, 2, (count, 1))
    bits ^= rng.random(bits.shape) < rng.choice([0, 0.05, 0.1, 0.2], (count, 1))
    bits[rng.random(count) < 0.2] = 0
    return [np.packbits(row).tobytes().hex() for row in bits]


def apart(one, other):
    """The bits that differ, counted the slow way; None where either shows nothing."""
    if NOTHING in {one, other}:
        return None
    even = (int(one[:16], 16) ^ int(other[:16], 16)).bit_count()
    odd = (int(one[16:], 16) ^ int(other[16:], 16)).bit_count()
    return even + min(odd, 64 - odd)


def within(one, other, distance):
    bits = apart(one, other)
    return bits is not None and bits <= distance


@pytest.mark.parametrize("seed", range(40))
def test_no_pair_is_missed_and_none_is_made_up(seed):
    rng = np.random.default_rng(seed)
    first, second = (random_hashes(rng, count) for count in rng.integers(0, 40, 2))
    distance = int(rng.choice([0, 3, 10, MAX_DISTANCE, 31, 70, 300]))
    assert [*near_duplicates(first, second, distance)] == [
        (i, j, apart(one, other))
        for i, one in enumerate(first)
        for j, other in enumerate(second)
        if within(one, other, distance)
    ]


@pytest.mark.parametrize("seed", range(40))
def test_a_repeat_names_the_first_kept_image_that_it_resembles(seed):
    rng = np.random.default_rng(seed)
    hashes = random_hashes(rng, int(rng.integers(0, 60)))
    distance = int(rng.choice([0, 3, 10, MAX_DISTANCE, 31]))
    expected: list[int] = []
    for i, one in enumerate(hashes):
        kept = [j for j in range(i) if expected[j] < 0]
        same = (j for j in kept if within(one, hashes[j], distance) or one == hashes[j] == NOTHING)
        expected.append(next(same, -1))
    assert repeats(hashes, distance) == expected


def test_a_slow_pan_is_thinned_and_not_lost():
    scene = draw_people("a pan", 1, 3, "everyday", (640, 240)).image
    frames = [hash_of(scene[:, 2 * i : 2 * i + 320]) for i in range(160)]
    steps = [
        bits for i in range(159) for _, _, bits in near_duplicates([frames[i]], [frames[i + 1]])
    ]
    assert len(steps) == 159, "every frame resembles the next"
    kept = [i for i, repeated in enumerate(repeats(frames)) if repeated < 0]
    assert 5 < len(kept) < 80
    assert max(np.diff([*kept, 160])) < 40


@pytest.mark.parametrize(
    "wrong", ["", "0" * 31, "0" * 33, "g" * 32, "F" * 32, "0" * 30 + "\n ", float("nan"), 0, None]
)
def test_a_hash_that_is_none_is_named(wrong):
    hashes = ["1" * 32, wrong]
    for search in (
        lambda: [*near_duplicates(hashes, [])],
        lambda: [*near_duplicates([], hashes)],
        lambda: repeats(hashes),
    ):
        with pytest.raises(DataError, match="hash 1: expected 32 hexadecimal digits, found"):
            search()
