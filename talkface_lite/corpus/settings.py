"""What the clips of a corpus are like, and which side of the split a name is on, once and for all."""

import hashlib
from dataclasses import dataclass, field
from typing import Literal, get_args

from talkface_lite.clip import CROP_SIZE, FRAMING_OF, SIDES
from talkface_lite.errors import InputError

Split = Literal["train", "test"]
SPLITS: tuple[str, ...] = get_args(Split)
TEST_SHARE = 5
"""One in this many names is held out."""
N_IDENTITIES = 1_000_000
"""People are numbered below this; two clips seldom show the same one."""
View = Literal["crop", "head", "camera"]


@dataclass(frozen=True, kw_only=True)
class CorpusSettings:
    """What the clips of a corpus are like.

    Parameters
    ----------
    still_head:
        Hold pose, gaze and eyelids.
    text:
        What everyone says; None draws sentences of GRID's grammar.
    split:
        ``"train"`` or ``"test"``: the side of which identity, voice and sentence are all drawn; where neither
        is named, they are of both.
    paint:
        False leaves the pictures out: the clips have no ``frames``.
    nods:
        Heads nod on stressed syllables, before or after them by a lag of the person's own, see
        :mod:`talkface_lite.corpus.nods`; otherwise they move without regard to what is said.
    view:
        ``"crop"``: the aligned face. ``"head"``: the whole head in a frame that is fixed for the clip, see
        :mod:`talkface_lite.framing`. ``"camera"``: head and shoulders as the camera sees them, 256x256.
        Landmarks are in pixels of the view; of crop and head in pixels of 128x128, whatever the size.
    size:
        Side of the pictures of crop and head, pixels: 128 or 256.
    clean:
        Leaves out the noise, the room and the microphone that most clips have.
    varied:
        False draws voices near the synthesiser's own, in pink noise and rooms alone.
    person:
        Everyone is this one, 0 to 999,999, with one voice at one pace; room, microphone and throat are drawn
        for each clip as ever; None draws someone for each.
    """

    still_head: bool = False
    text: str | None = None
    split: Split | None = None
    paint: bool = field(default=True, metadata={"flag": "frames"})
    nods: bool = False
    view: View = "crop"
    size: Literal[128, 256] = CROP_SIZE
    clean: bool = False
    varied: bool = True
    person: int | None = None

    def __post_init__(self) -> None:
        if self.split not in (None, *SPLITS):
            raise InputError("split", repr(self.split), "'train', 'test' or None")
        if self.nods and self.still_head:
            raise InputError("nods", "of still heads", "heads that move")
        if self.view not in FRAMING_OF:
            raise InputError("view", repr(self.view), " or ".join(map(repr, FRAMING_OF)))
        if self.size not in SIDES:
            raise InputError("size", self.size, " or ".join(map(str, SIDES)))
        if self.view == "camera" and self.size != CROP_SIZE:
            raise InputError("size", f"{self.size} of a camera's view", "none: it is 256x256")
        if self.text is not None and not self.text.strip():
            raise InputError("text", repr(self.text), "something to say")
        if self.person is not None and not 0 <= self.person < N_IDENTITIES:
            raise InputError("person", self.person, f"0 to {N_IDENTITIES - 1:,}")
        if self.person is not None and self.split not in (
            None,
            side := split_of("identity", name_of(self.person)),
        ):
            raise InputError(
                "person", f"{self.person}, of the side {side!r}", f"one of the side {self.split!r}"
            )


def split_of(kind: str, name: str) -> str:
    """``"train"`` or ``"test"``: on which side a name of a kind lies, for ever.

    Parameters
    ----------
    kind:
        ``"identity"``, ``"voice"`` or ``"sentence"``.
    name:
        Such as ``"drawn-000123"``, ``"arthur"``, ``"place blue by u two please"``.
    """
    digest = hashlib.sha256(f"{kind}:{name}".encode()).digest()
    return "test" if int.from_bytes(digest[:8], "big") % TEST_SHARE == 0 else "train"


def name_of(person: int) -> str:
    """What the drawn person of a number is called, without drawing them."""
    return f"drawn-{person:06d}"
