"""Facts about a row from its evaluation on val."""

from collections import Counter, defaultdict

from datastill.coco.format import read_coco
from datastill.coco.results import read_results
from datastill.project.profile import Profile
from datastill.tracking.run_record import current_metrics


def match_thresholds(profile: Profile, row: str) -> dict[str, float]:
    """Return by category the score from which on `row` has as many detections on val as there are
    objects; without categories that have neither, and {} if it is not evaluated here.
    """
    results, truth = profile.detections(row), profile.image_set("val")
    if not (current_metrics(profile, row) and results.is_file() and truth.is_file()):
        return {}
    val, scores = read_coco(truth), defaultdict[int, list[float]](list)
    for detection in read_results(results, f"run `datastill evaluate {row}{profile.option}` again"):
        scores[detection["category_id"]].append(detection["score"])
    objects = [a for a in val.annotations if not a["iscrowd"]]
    if profile.params.task == "keypoints":
        objects = [a for a in objects if a["num_keypoints"]]
    counts = Counter(a["category_id"] for a in objects)
    return {
        category["name"]: sorted(ranked, reverse=True)[: counts[category["id"]]][-1]
        for category in val.categories
        if counts[category["id"]] and (ranked := scores[category["id"]])
    }
