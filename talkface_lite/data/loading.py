"""Batches made by several processes: in order, and with an error that stays one line on its way."""

import re
from collections.abc import Callable, Iterator
from typing import Self

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from talkface_lite.data.needs import Batch
from talkface_lite.errors import InputError

_NAMED = re.compile(rf"{re.escape(InputError.__module__)}\.InputError: |{re.escape(__name__)}\.StreamError: ")
"""How the last line of a traceback begins that is about bad input."""


class StreamError(InputError):
    """An :class:`~talkface_lite.errors.InputError` that happened in another process, with the same line.

    A ``DataLoader`` raises a worker's error again by calling its type with one text, the worker's whole
    traceback; its last line is the message. So does a trainer on several devices.
    """

    def __init__(self, text: str) -> None:
        line = _NAMED.sub("", text.strip().splitlines()[-1])
        what, _, rest = line.partition(": got ")
        got, _, expected = rest.rpartition(", expected ")
        super().__init__(what, got, expected)
        self.line = line

    def __str__(self) -> str:
        return self.line

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.line,)

    @classmethod
    def found_in(cls, text: str) -> Self | None:
        """The error that a traceback ends with, where it is one of bad input."""
        return cls(text) if _NAMED.match((text.strip().splitlines() or [""])[-1]) else None


def loaded(source: IterableDataset, workers: int) -> Iterator[Batch]:
    """The batches of a source, read ahead by so many processes; by this one where there are none."""
    if workers == 0:
        return iter(source)
    own = torch.Generator()  # or the loader would draw a number from the stream that networks draw from
    return iter(DataLoader(source, batch_size=None, num_workers=workers, generator=own))


class InTurns(IterableDataset):
    """Batches by their number: of several workers each makes every so-manyth, and a loader takes turns.

    So the batches and their order do not depend on how many workers there are.

    Parameters
    ----------
    make:
        Number of a batch → the batch.
    first:
        The number to begin with; there is no last.
    """

    def __init__(self, make: Callable[[int], Batch], first: int) -> None:
        self.make, self.first = make, first

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        number, stride = (self.first, 1) if info is None else (self.first + info.id, info.num_workers)
        try:
            while True:
                yield self.make(number)
                number += stride
        except InputError as error:
            if info is None:
                raise
            raise StreamError(str(error)) from None
