"""The method's picture, from a table and arrays."""

import numpy as np
import pandas as pd
from PIL import Image

from datastill.coco.format import PERSON
from datastill.coco.metadata import card_metadata
from datastill.page.method_figure import Example, draw_method


def test_the_picture_is_the_same_for_the_same_run(tmp_path):
    views = [np.full((30 * n, 40 * n, 3), 90, np.uint8) for n in (1, 2, 3, 1, 2, 3)]
    points = {"keypoints": [9.0, 9.0, 2] * 17}
    example = Example(
        image=np.full((60, 80, 3), 200, np.uint8),
        views=views,
        by_view=[[points]] * 6,
        annotations=[points | {"bbox": [5.0, 5.0, 20.0, 20.0], "score": 0.9}],
        view_count=18,
        metadata=card_metadata([PERSON], True),
    )
    ends = {"ap_low": 20.0, "ap_high": 24.0, "gain": 3.0, "gain_low": 1.0, "gain_high": 5.0}
    lines = [{"role": role, "ap": 22.0, **ends} for role in ("supervised", "distilled")]
    for name in ("one.png", "two.png"):
        draw_method(example, pd.DataFrame(lines), tmp_path / name)
    one, two = (tmp_path / name for name in ("one.png", "two.png"))
    assert one.read_bytes() == two.read_bytes()
    assert Image.open(one).size == (1950, 450)
    seen = np.asarray(Image.open(one).convert("RGB"))
    assert (seen == 200).all(axis=2).sum() > 50_000  # twice the image
