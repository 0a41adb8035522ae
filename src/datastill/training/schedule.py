"""Learning-rate schedule (section 4): linear warm-up, then a tenth at 70 % and at 90 %."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Step decay: `base_lr` times `factor` for each of the `milestones` passed.

    warmup      iterations of linear warm-up
    milestones  shares of all iterations
    """

    iterations: int
    base_lr: float
    warmup: int
    milestones: tuple[float, ...] = (0.7, 0.9)
    factor: float = 0.1

    def rate(self, iteration: int) -> float:
        """Return the learning rate of `iteration`, the first being 0."""
        passed = sum(iteration >= round(share * self.iterations) for share in self.milestones)
        ramp = min(1.0, (iteration + 1) / max(1, self.warmup))
        return self.base_lr * ramp * self.factor**passed
