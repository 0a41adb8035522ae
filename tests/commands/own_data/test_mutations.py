"""Labels that are damaged at random: each makes a profile or costs one message."""

import json
import random
import shutil

import pytest
from mutations import COUNT, FIRST_SEED, mutated
from own_files import labels, write, write_images

from datastill.coco.lint import lint
from datastill.coco.normalize import read_labels
from datastill.commands.own_data import new
from datastill.commands.own_data.autoconfig import measure
from datastill.commands.own_data.inputs import Division, Inputs, usable_labels
from datastill.commands.own_data.inspect import inspect
from datastill.commands.own_data.new import PIPELINES
from datastill.commands.own_data.summary import describe
from datastill.errors import DatastillError

IMAGES = 5


@pytest.mark.slow
def test_damaged_labels_make_a_profile_or_cost_one_message(project):
    folder = project.mine / "few"
    write_images(folder, range(IMAGES))
    hand = {"id": 7, "name": "hand", "keypoints": ["l_tip", "r_tip"], "skeleton": [[1, 2]]}
    sound = labels(range(IMAGES), [hand, {"id": 9, "name": "cell"}])
    for number, annotation in enumerate(sound["annotations"]):
        annotation |= {"area": 576, "segmentation": [[9, 10, 25, 10, 25, 46]]}
        if "keypoints" in annotation:
            annotation |= {"keypoints": [12, 13, 2, 20, 30 + number, 1], "num_keypoints": 2}
    path = project.mine / "few.json"
    outcomes = {True: 0, False: 0}
    for seed in range(FIRST_SEED, FIRST_SEED + 2 * COUNT):
        rng = random.Random(seed)
        text = json.dumps(mutated(rng, sound))
        write(path, text[: rng.randrange(len(text))] if seed % 50 == 0 else text)
        division = Division(None, 1, 2, 0)
        task = rng.choice((None, "boxes"))
        outcomes[succeeds(Inputs(path, folder, None, None, None, division, task), seed)] += 1
    print(f"labels: {2 * COUNT} mutations, {outcomes}")
    assert min(outcomes.values()) > 0.3 * COUNT, outcomes


def succeeds(inputs, seed):
    """Return whether `new` makes a profile of `inputs`; anything but its own errors is a fault."""
    try:
        if seed % 40 == 1:
            new.run("own", inputs)
        elif seed % 4 == 1:
            assert [*describe(inspect(inputs))]
        else:  # without the images, which take most of the time
            content = read_labels(inputs.labelled)
            task = inputs.task or ("keypoints" if content.keypoint_names() else "boxes")
            usable = usable_labels(inputs.labelled, content, task, inputs.images)
            assert measure(usable, task)
            assert lint(usable) is not None
    except DatastillError as error:
        if [*PIPELINES.iterdir()] or not str(error).strip():
            raise AssertionError(f"seed {seed}: left something, or says nothing") from error
        return False
    except Exception as error:
        raise AssertionError(f"seed {seed}") from error
    shutil.rmtree(PIPELINES / "own", ignore_errors=True)
    return True
