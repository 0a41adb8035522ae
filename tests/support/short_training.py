"""A training run of seconds: a real small detector, tiny images, a handful of iterations."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from datastill.coco.format import PERSON, PERSON_KEYPOINTS, Coco
from datastill.coco.skeleton import infer_flip_indices
from datastill.model.detector import build_detector
from datastill.training.dataset import Augmentation, Minibatches
from datastill.training.distributed import launch
from datastill.training.loop import Settings
from datastill.training.sampler import MixedSampler
from datastill.training.schedule import Schedule

WIDTH, HEIGHT = 96, 72


def draw_set(root, first_id, images, shift=0.0):
    """A set of noisy images with one bright person each, keypoints `shift` pixels off."""
    records, annotations = [], []
    root.mkdir(parents=True, exist_ok=True)
    for image_id in range(first_id, first_id + images):
        rng = np.random.default_rng(image_id)
        x, y = rng.integers(5, 50), rng.integers(5, 25)
        pixels = rng.integers(0, 90, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        pixels[y : y + 40, x : x + 30] += 120
        name = f"{image_id}.png"
        Image.fromarray(pixels).save(root / name)
        records.append({"id": image_id, "file_name": name, "width": WIDTH, "height": HEIGHT})
        points = np.column_stack([rng.random((17, 2)) * [30, 40] + [x, y] + shift, np.full(17, 2)])
        annotations.append(
            {
                "id": image_id,
                "image_id": image_id,
                "category_id": 1,
                "bbox": [float(x), float(y), 30.0, 40.0],
                "area": 900.0,
                "iscrowd": 0,
                "keypoints": points.ravel().tolist(),
                "num_keypoints": 17,
            }
        )
    return Coco(records, annotations, [PERSON])


def prepare_training(folder, iterations=8, sets=((1, 6),), initial=0, batch=2, **changes):
    """The arguments of `train`: `sets` are those of `draw_set`, `initial` seeds the weights.

    State and metrics log go to `folder`, images to its `images`; `changes` go to the settings.
    """
    root = folder / "images"
    content = [draw_set(root, *span) for span in sets]
    fabric = launch("32-true")
    settings = Settings(
        **{
            "schedule": Schedule(iterations, changes.pop("base_lr", 0.01), warmup=3),
            "folder": folder,
            "fingerprint": "this one",
            "seed": 5,
            "micro_batch_size": 2,
            "momentum": 0.9,
            "weight_decay": 1e-4,
            "checkpoint_every": 3,
            "log_every": 3,
            "workers": 0,
            **changes,
        }
    )
    sizes = tuple(len(coco.images) for coco in content)
    sampler = MixedSampler(sizes, 0.6, iterations, batch, settings.seed)
    sampler = sampler.part(fabric.global_rank, fabric.world_size)
    augmentation = Augmentation((60, 80), 120, infer_flip_indices(PERSON_KEYPOINTS))
    torch.manual_seed(initial)
    return SimpleNamespace(
        fabric=fabric,
        detector=build_detector("small", 17),
        minibatches=Minibatches(content, root, sampler, augmentation),
        settings=settings,
    )


@pytest.fixture(scope="session")
def prepare():
    return prepare_training
