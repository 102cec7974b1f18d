"""The two sizes that every network has: the paper's, and one for a laptop."""

from typing import Self

from talkface_lite.errors import InputError

SIZES = ("lite", "full")
"""A network's widths by name: those for a laptop, those of the paper."""


class TwoSizes:
    """A configuration with the class methods ``full`` and ``lite``."""

    @classmethod
    def of_size(cls, size: str, **changes: object) -> Self:
        """``full`` or ``lite`` by name.

        Parameters
        ----------
        size:
            One of :data:`SIZES`.
        **changes:
            Of fields that the method of that name takes.

        Raises
        ------
        InputError
            When there is no such size.
        """
        if size not in SIZES:
            raise InputError("size", repr(size), " or ".join(SIZES))
        return getattr(cls, size)(**changes)
