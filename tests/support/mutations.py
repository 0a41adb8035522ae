"""Damage at random, by a seed: of the values in JSON or YAML, and of a file's bytes.

DATASTILL_MUTATIONS=300 makes more than 5,000 in all; `pytest -rP` lists what came of them.
DATASTILL_SEED=1 makes others.
"""

import json
import os
import random
from copy import deepcopy

from datastill.errors import DatastillError

COUNT = int(os.environ.get("DATASTILL_MUTATIONS", "60"))  # of most kinds of file
FIRST_SEED = 1_000_000 * int(os.environ.get("DATASTILL_SEED", "0"))
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
    if places := [each for each in nodes(content) if isinstance(each[0], list)]:
        container, key = rng.choice(places)
        container.insert(key, deepcopy(container[key]))


def swap(rng, content):
    (one, key), (other, place) = rng.sample([*nodes(content)], 2)
    one[key], other[place] = deepcopy(other[place]), deepcopy(one[key])


def truncate(rng, content):
    if places := [n for n in nodes(content) if isinstance(n[0][n[1]], str | list)]:
        container, key = rng.choice(places)
        container[key] = container[key][: rng.randrange(len(container[key]) + 1)]


MUTATIONS = (drop, retype, duplicate, swap, truncate)


def mutated(rng, content):
    """Return a copy of `content` with one or two values damaged."""
    copied = deepcopy(content)
    for mutate in rng.choices(MUTATIONS, k=rng.choice((1, 1, 2))):
        mutate(rng, copied)
    return copied


def damaged(rng, content):
    """Return the bytes `content` cut short, or with some of them changed or left out."""
    start = rng.randrange(len(content))
    kind = rng.choice(("cut", "change", "leave out"))
    if kind == "cut":
        return content[:start]
    end = start + rng.choice((1, 1, 8, 100))
    return (
        content[:start] + (rng.randbytes(end - start) if kind == "change" else b"") + content[end:]
    )


def survive(read, path, content, count=COUNT, damage=damaged):
    """Call `read` for a whole file at `path`, of bytes or JSON, and for damaged versions of it.

    It returns what it makes of the file, or raises one of our errors. Returns how often it made
    something else of a damaged file than of the whole one.
    """
    whole = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(whole)
    sound, outcomes = read(path), {"error": 0, "same": 0, "other": 0}
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        rng = random.Random(seed)
        as_bytes = isinstance(content, bytes) or seed % 4 == 0
        changed = damage(rng, whole) if as_bytes else json.dumps(mutated(rng, content)).encode()
        path.write_bytes(changed)
        message = "no error"
        try:
            outcome = "same" if read(path) == sound else "other"
        except DatastillError as error:
            outcome, message = "error", str(error).strip()
        except Exception as error:
            raise AssertionError(f"seed {seed} of {path.name}: {changed[:2000]!r}") from error
        assert 0 < len(message) < 3000, seed
        outcomes[outcome] += 1
    path.write_bytes(whole)
    print(f"{path.name}: {count} mutations, {outcomes}")
    assert outcomes["error"] or count < 20, "too little damage to be noticed"
    return outcomes["other"]
