"""Labels that are damaged at random: each makes a profile or costs one message."""

import json
import random
import shutil
from copy import deepcopy

import pytest
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
VALUES = [
    *(None, True, 0, 1, -1, 7, 2**63, 1.5, 1e30, float("nan"), float("inf"), [], {}),
    *("", "7", "a", "\0", "../x", [1], [[1, 2, 3, 4, 5, 6]], {"size": [48, 64], "counts": "PPYo"}),
    *(
        10**400,
        10**80,
        1e12,
        -1e12,
        "yes",
        "\ud800",
        "\x1b[31mred",
        "x[/bold]",
        "a\nb",
        [[float("nan")] * 6],
    ),
    *([["l_tip", 1]], [[1e9, 0, 1, 0, 1, 1]], {"size": [2**40, 2**40], "counts": [5, 2**40]}),
]


def nodes(value, parents=()):
    """Every (container, key) below `value`."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from nodes(value[key])


def drop(rng, content):
    container, key = rng.choice([*nodes(content)])
    del container[key]


def retype(rng, content):
    container, key = rng.choice([*nodes(content)])
    value = container[key]
    others = [str(value), float(value)] if isinstance(value, int) else [str(value)]
    container[key] = deepcopy(rng.choice([*VALUES, *others, [value], {"a": value}]))


def duplicate(rng, content):
    container, key = rng.choice([each for each in nodes(content) if isinstance(each[0], list)])
    container.insert(key, deepcopy(container[key]))


def swap(rng, content):
    (one, key), (other, place) = rng.sample([*nodes(content)], 2)
    one[key], other[place] = deepcopy(other[place]), deepcopy(one[key])


def truncate(rng, content):
    container, key = rng.choice([n for n in nodes(content) if isinstance(n[0][n[1]], str | list)])
    container[key] = container[key][: rng.randrange(len(container[key]) + 1)]


MUTATIONS = (drop, retype, duplicate, swap, truncate)


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
    for seed in range(2_000):
        rng, content = random.Random(seed), deepcopy(sound)
        for mutate in rng.choices(MUTATIONS, k=rng.choice((1, 1, 2))):
            mutate(rng, content)
        text = json.dumps(content)
        write(path, text[: rng.randrange(len(text))] if seed % 50 == 0 else text)
        division = Division(None, 1, 2, 0)
        task = rng.choice((None, "boxes"))
        outcomes[succeeds(Inputs(path, folder, None, None, None, division, task), seed)] += 1
    assert min(outcomes.values()) > 300, outcomes


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
