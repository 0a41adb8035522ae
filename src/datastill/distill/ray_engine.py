"""The Ray engine: the same shards, written by a pool of actors on a cluster."""

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from datastill.distill.candidates import Teacher, annotate_shard, load
from datastill.distill.shards import Shard
from datastill.errors import DataError, ParamsError
from datastill.inference.predictor import load_on_device
from datastill.inference.views import Inference

_MAX_BLOCKS = 2000  # Ray's units of work: a shard each, or several if there are more shards


@dataclass(frozen=True)
class ActorSpec:
    """What every actor needs to start; both paths must be valid on all machines."""

    weights: Path
    root: Path
    inference: Inference
    threads: int


class Annotator:
    """An actor: a teacher that stays in memory and annotates one shard after another."""

    def __init__(self, spec: ActorSpec) -> None:
        torch.set_num_threads(spec.threads)
        detector, _ = load_on_device(spec.weights)
        self._teacher, self._root = Teacher(detector, spec.inference), spec.root

    def __call__(self, task: dict[str, Any]) -> dict[str, Any]:
        """Write a shard; return its number of images, or an error."""
        shard = Shard(json.loads(task["images"]), Path(task["path"]))
        try:
            if not shard.is_done:  # Ray repeats the task of an actor that died
                annotate_shard(self._teacher, shard, load(shard, self._root))
        except DataError as error:
            return {"images": 0, "error": str(error)}
        return {"images": len(shard.images), "error": ""}


def find_on_cluster(
    spec: ActorSpec, shards: Sequence[Shard], advance: Callable[[int], None]
) -> None:
    """Write the candidates of every shard that has none yet, on the cluster at RAY_ADDRESS.

    Without that variable a cluster of only this machine is started. It has one actor per GPU or,
    without GPUs, per `spec.threads` CPUs of a machine; another actor takes over the shards of one
    that dies. The bytes equal those of the local engine if machines and threads are alike.
    Raises ParamsError if Ray is not installed, DataError if a shard cannot be written.
    """
    tasks = [
        {"path": str(shard.path.absolute()), "images": json.dumps([*shard.images])}
        for shard in shards
        if not shard.is_done
    ]
    if not tasks:  # another row with this teacher has written them
        return
    ray = _connect()
    needs, actors = pool([each["Resources"] for each in ray.nodes() if each["Alive"]], spec.threads)
    try:
        results = ray.data.from_items(tasks, override_num_blocks=min(len(tasks), _MAX_BLOCKS)).map(
            Annotator,
            fn_constructor_args=(spec,),
            compute=ray.data.ActorPoolStrategy(size=min(len(tasks), actors)),
            **needs,
        )
        for done in results.iter_rows():
            if done["error"]:
                raise DataError(done["error"])
            advance(int(done["images"]))
    finally:
        ray.shutdown()


def pool(nodes: Sequence[Mapping[str, float]], threads: int) -> tuple[dict[str, int], int]:
    """Return an actor's resources, which some node has, and how many actors fit on `nodes`."""
    if gpus := sum(int(node.get("GPU", 0)) for node in nodes):
        return {"num_gpus": 1}, gpus
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    share = max(1, min(threads, max(cpus)))
    return {"num_cpus": share}, max(1, sum(each // share for each in cpus))


def _connect() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Under `uv run` Ray would send this folder, including work/, to every worker.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        raise ParamsError(
            "machine.engine: ray needs Ray: `uv pip install datastill[ray]`, or engine: local"
        ) from None
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray
