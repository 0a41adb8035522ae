"""The same val images by truth, teacher, control and student: where it gained and lost most."""

from collections.abc import Sequence

from datastill.evaluation.image_pairs import NEAR, ImagePairs, matched_threshold
from datastill.page.blocks import Entry, Gallery, Group, Picture, Section, Text
from datastill.page.finished_run import SETTINGS, FinishedRun, Setting
from datastill.page.pictures import thumbnail, window

_SHOWN = 6  # images of most gain, and of most loss
_FALSE = 0.5  # what a false detection takes from the score of an image, in objects


def side_by_side_section(run: FinishedRun) -> Section:
    """Return galleries of val images, a group per setting."""
    groups = [
        Group(setting.title, _galleries(run, setting), open=number == 0, id=f"images-{setting.key}")
        for number, setting in enumerate(run.settings[:SETTINGS])
        if "student" in setting.roles and len(setting.roles) > 1
    ]
    intro = (
        "The val images on which the student gained and lost most. An image's score is the mean "
        f"{'OKS' if run.metadata.sigmas else 'IoU'} of its objects with their detections, 0 for "
        "a missed one; a false detection takes off half an object. Each model is shown with its "
        "surest detections, as many as val has objects."
    )
    return Section("images", "The same images", intro, groups)


def counted_pairs(run: FinishedRun, row: str) -> list[ImagePairs]:
    """Return the pairs of `row` with only its surest detections: as many as val has objects."""
    everything = run.pairs(row)
    detections = [each for pairs in everything for each in pairs.detections]
    threshold = matched_threshold(detections, sum(len(pairs.truths) for pairs in everything))
    return [above(pairs, threshold) for pairs in everything]


def above(pairs: ImagePairs, threshold: float) -> ImagePairs:
    """Return `pairs` with only the detections that score at least `threshold`."""
    kept = sum(detection["score"] >= threshold for detection in pairs.detections)
    return ImagePairs(
        pairs.image,
        pairs.truths,
        pairs.detections[:kept],
        pairs.similarity[:kept],
        pairs.same[:kept],
    )


def image_score(pairs: ImagePairs) -> float:
    """Return the mean similarity of the objects and their detections, less _FALSE for others."""
    partners = pairs.partners(NEAR)
    right = [pairs.similarity[index, truth] for index, truth in enumerate(partners) if truth >= 0]
    false = len(partners) - len(right)
    return float(sum(right) - _FALSE * false) / max(1, len(pairs.truths))


def _galleries(run: FinishedRun, setting: Setting) -> list[Gallery | Text]:
    by_role = {role: counted_pairs(run, row) for role, row in setting.roles.items()}
    scores = {role: [*map(image_score, pairs)] for role, pairs in by_role.items()}
    before, after = ([*scores.values()][index] for index in (-2, -1))
    gains = [new - old for old, new in zip(before, after, strict=True)]
    order = sorted(range(len(gains)), key=lambda index: gains[index])
    lost = [index for index in order[:_SHOWN] if gains[index] < 0]
    gained = [index for index in order[::-1][:_SHOWN] if gains[index] > 0]
    name = [*by_role][-2]
    rows = ", ".join(f"{role} {row}" for role, row in setting.roles.items())
    blocks: list[Gallery | Text] = [Text(f"Shown: {rows}.", tone="note")]
    for title, chosen in (("Gained most", gained), ("Lost most", lost)):
        entries = [
            Entry(
                _panels(run, [pairs[index] for pairs in by_role.values()], [*by_role]),
                f"{gains[index]:+.2f}: student {after[index]:z.2f}, {name} {before[index]:z.2f}",
                by_role["student"][index].image["file_name"],
            )
            for index in chosen
        ]
        if entries:
            blocks.append(Gallery(title, "", entries))
    return blocks


def _panels(run: FinishedRun, pairs: Sequence[ImagePairs], roles: Sequence[str]) -> list[Picture]:
    image, truths = pairs[0].image, pairs[0].truths
    objects = [*truths, *(record for each in pairs for record in each.detections)]
    part = window(image, objects, run.metadata)
    panels = [("truth", truths), *zip(roles, (each.detections for each in pairs), strict=True)]
    return [
        Picture(thumbnail(run.files.images, image, records, run.metadata, part), label)
        for label, records in panels
    ]
