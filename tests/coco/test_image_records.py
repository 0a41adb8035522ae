import tracemalloc
from itertools import islice

import pytest

from datastill.coco.image_records import ImageRecords, image_ids

RECORDS = [
    {"id": 7 * i, "file_name": f"ä/{i:06}.jpg", "width": 640, "height": 480 + i % 3}
    | ({"video": f"v{i % 5}"} if i % 2 else {})
    for i in range(20_000)
]


@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 1000])
def test_records_come_back_as_they_were_with_keys_in_their_order(count):
    images = ImageRecords(iter(RECORDS[:count]))
    assert len(images) == count
    assert [[*image.items()] for image in images] == [[*r.items()] for r in RECORDS[:count]]
    assert image_ids(images).tolist() == [record["id"] for record in RECORDS[:count]]


@pytest.mark.parametrize(
    "part", [slice(0, 0), slice(3), slice(120, 300), slice(None, None, 77), slice(-5, None)]
)
def test_a_slice_has_the_records_of_a_lists_slice(part):
    images = ImageRecords(RECORDS[:1000])
    assert [*images[part]] == RECORDS[:1000][part]
    assert [*images[100:900][part]] == RECORDS[100:900][part]
    assert [images[100:900][i] for i in (0, -1, 130)] == [RECORDS[i] for i in (100, 899, 230)]
    with pytest.raises(IndexError):
        images[1000]


def test_a_record_takes_a_tenth_of_what_a_dict_does():
    tracemalloc.start()
    images = ImageRecords(islice(RECORDS, None))
    shards = [images[start : start + 32] for start in range(0, len(images), 32)]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(shards) == 625
    assert taken / len(images) < 40  # bytes; 440 of a dict
