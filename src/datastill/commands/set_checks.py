"""Checks of labelled image sets before a stage runs."""

from collections.abc import Iterator, Mapping

from datastill.coco.format import Coco, Task
from datastill.coco.subsets import trainable
from datastill.project.image_sets import VAL
from datastill.project.schema import Params


def without_objects(params: Params, sets: Mapping[str, Coco]) -> Iterator[str]:
    """Yield the fault of val and of each labelled set of a row that has nothing of the task."""
    for name in dict.fromkeys([VAL, *(row.labelled for row in params.rows().values())]):
        if name in sets and (fault := lacking(sets[name], params.task)):
            yield f"{name}: {fault}; label more"


def lacking(coco: Coco, task: Task) -> str | None:
    """Return what a set lacks that has nothing to learn from or to score; crowds do not count."""
    if trainable(coco, task).images:
        return None
    crowds = sum(a["iscrowd"] for a in coco.annotations)
    but = f" but {crowds:,} crowds (iscrowd 1)" if crowds else ""
    return f"expected {task} on its images, found none on {len(coco.images):,}{but}"
