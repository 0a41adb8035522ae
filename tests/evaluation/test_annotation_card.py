"""What the card takes from records and manifest."""

from types import SimpleNamespace

import pyarrow as pa

from datastill.evaluation.annotation_card import _stats


def test_drift_compares_widths_heights_and_brightness_as_the_files_have_them():
    annotated = SimpleNamespace(brightness={"dark.png": "12.5", "light.png": "200.0"})
    images = [
        {"id": 3, "file_name": "dark.png", "width": 40, "height": 90},
        {"id": 8, "file_name": "light.png", "width": 70, "height": 30},
    ]
    table = pa.table({"score": [0.25, 0.75]})
    candidates = SimpleNamespace(tables=lambda *columns: [table.select(list(columns))])
    stats = _stats(annotated, images, [3, 3], candidates, 5)
    assert stats.widths.tolist() == [40, 70]
    assert stats.heights.tolist() == [90, 30]
    assert stats.brightness.tolist() == [12.5, 200]
    assert stats.instances.tolist() == [2, 0]
    assert stats.scores.tolist() == [0.25, 0.75]
    assert stats.inferred == 5
