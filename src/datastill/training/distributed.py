"""One training process, or several that `torchrun` started, one per device."""

import os

from lightning_fabric import Fabric

from datastill.errors import TrainingError
from datastill.model.precision import Choice, resolve_precision


def launch(precision: Choice) -> Fabric:
    """Return the Fabric of this process, connected to the others of its run, if any.

    The loss of a batch is the same for any number of processes; batch normalisation, if a
    backbone has it, keeps the running statistics of the first one.
    """
    world, local = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    fabric = Fabric(
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision=resolve_precision(precision),
    )
    fabric.launch()
    return fabric


def check_shares(batch: int, micro_batch_size: int, processes: int) -> None:
    """Raise TrainingError unless a batch splits into equally many whole passes per process."""
    if batch % (micro_batch_size * processes):
        raise TrainingError(
            f"a batch of {batch} images does not split into equal passes of {micro_batch_size} for "
            f"{processes} processes: change train.batch, train.micro_batch_size or "
            "machine.processes"
        )
