"""Checks of labelled image sets before a stage runs."""

from collections.abc import Iterable, Iterator, Mapping

from datastill.coco.format import Coco, Task
from datastill.coco.subsets import trainable
from datastill.project.image_sets import VAL
from datastill.project.schema import Params
from datastill.sources.files import AnnotatedFiles, FileSet


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


def unused_labels(specs: Iterable[FileSet], counts: Mapping[str, int]) -> Iterator[str]:
    """Yield a note for each file whose last images are after the blocks of all its sets.

    `counts` has the number of images of each set before its part is taken.
    """
    by_file: dict[str, list[tuple[int, str]]] = {}
    for spec in specs:
        if isinstance(spec, AnnotatedFiles) and (count := counts.get(spec.name)):
            block = spec.part.block if spec.part else None
            ends = by_file.setdefault(spec.annotations, [])
            ends.append((block[1] if block else count, spec.name))
    for path, ends in by_file.items():
        end, name = max(ends)
        if (unused := counts[name] - end) > 0:
            key = "data.val" if name == VAL else f"data.sets.{name}"
            text = f"{unused:,} of {counts[name]:,} images of {path} are in no set"
            yield f"{text}; {key}.part.block ends at {end:,}: change the blocks to use them"
