"""The miniature's body: a ResNet of four basic blocks."""

from itertools import pairwise

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock


class SmallResNet(nn.Module):
    """A ResNet of four basic blocks, of so many channels each."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        width = widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )
        self.layer1 = BasicBlock(width, width)
        self.layer2, self.layer3, self.layer4 = (
            _halving_block(inputs, outputs) for inputs, outputs in pairwise(widths)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the coarsest features; the pyramid takes each layer's own output."""
        features = self.stem(images)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = layer(features)
        return features


def _halving_block(inputs: int, outputs: int) -> BasicBlock:
    """Return a basic block that halves the resolution."""
    shortcut = nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs)
    )
    return BasicBlock(inputs, outputs, stride=2, downsample=shortcut)
