"""Protection against pseudo-labels that lose a class.

A network that learns from its own predictions can unlearn a class: the pixels that pseudo-labels miss are
trained as background, and the next pseudo-labels miss more. Here the share of each class among the pixels of
pseudo-labels is compared with its share among labelled pixels. If a class has vanished, the pixels that most
probably belong to it get no pseudo-label until the class is back.
"""

import torch
from torch import Tensor, nn

from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.ignore import one_hot


class VanishedClasses(nn.Module):
    """Moving averages of the shares of classes in labels and in pseudo-labels.

    Attributes:
        labelled: [K] share of each class in the labels; the average begins at 0.
        predicted: [K] share of each class in the pseudo-labels, likewise.
        steps: number of updates.
        vanished_steps: [K] number of updates after which a class had vanished.
    """

    labelled: Tensor
    predicted: Tensor
    steps: Tensor
    vanished_steps: Tensor

    def __init__(self, classes: int, lowest: float = 0.1, momentum: float = 0.98) -> None:
        """Start without any observation.

        Args:
            classes: K, with the background.
            lowest: a class has vanished if its share in pseudo-labels is below this part of its share in
                labels.
            momentum: of the moving averages.
        """
        super().__init__()
        self.lowest, self.momentum = lowest, momentum
        self.register_buffer("labelled", torch.zeros(classes))
        self.register_buffer("predicted", torch.zeros(classes))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("vanished_steps", torch.zeros(classes, dtype=torch.int64))

    @torch.no_grad()
    def update(self, labels: Tensor, pseudo_labels: Tensor) -> None:
        """Add the shares of one batch.

        Args:
            labels: [L, ...] int64 class codes or ``IGNORE_INDEX``.
            pseudo_labels: [U, ...] int64.
        """
        for average, codes in ((self.labelled, labels), (self.predicted, pseudo_labels)):
            counts = one_hot(codes, len(average)).transpose(0, 1).flatten(1).sum(1)
            shares = counts / counts.sum().clamp(min=1)
            average.lerp_(shares.to(average.dtype), 1 - self.momentum)
        self.steps += 1
        self.vanished_steps += self.vanished()

    def vanished(self) -> Tensor:
        """Return [K] bool: the classes, without the background, that pseudo-labels have lost."""
        found = self.predicted < self.lowest * self.labelled
        found[0] = False
        return found

    def usable(self) -> Tensor:
        """Return 0 if pseudo-labels have lost every class that labels have, else 1; a scalar."""
        known = self.labelled > 0
        known[0] = False
        return (known & ~self.vanished()).any().float()

    @torch.no_grad()
    def ignore(self, pseudo_labels: Tensor, probabilities: Tensor) -> Tensor:
        """Ignore the pixels that most probably belong to a vanished class.

        These are twice as many as the labels suggest, among all pixels of the batch.

        Args:
            pseudo_labels: [U, ...] int64.
            probabilities: [U, K, ...] of the same network.

        Returns:
            The pseudo-labels, with ``IGNORE_INDEX`` at these pixels.
        """
        vanished = self.vanished()
        if vanished.device.type == "cpu" and not bool(vanished.any()):  # elsewhere it would wait
            return pseudo_labels
        of_class = probabilities.transpose(0, 1).flatten(1)  # [K, pixels]
        pixels = of_class.shape[1]
        shares = self.labelled / (1 - self.momentum**self.steps)  # without the initial zeros
        count = (2 * shares * pixels).round().long().clamp(1, pixels)
        highest = of_class.sort(1, descending=True).values
        least = highest.gather(1, (count - 1)[:, None])  # [K, 1], the lowest of the highest
        likely = (of_class >= least) & vanished[:, None]
        shape = (len(pseudo_labels), *pseudo_labels.shape[1:])
        return pseudo_labels.masked_fill(likely.any(0).view(shape), IGNORE_INDEX)
