"""What a network's parts are given and give, read off a forward pass without numbers.

The network is run once on torch's ``meta`` device, which knows shapes and computes nothing, and every layer
is asked what went in and what came out.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from talkface_lite.errors import InputError

N_BATCH, N_FRAMES = 11, 13
"""Films and frames of the pass that is measured: primes, so that no width is mistaken for one of them."""

LAYERS: tuple[tuple[type[nn.Module], str], ...] = (
    (nn.ConvTranspose2d, "up-conv"),
    (nn.Conv2d, "conv"),
    (nn.Conv3d, "3-D conv"),
    (nn.MaxPool2d, "pool"),
    (nn.Linear, "linear"),
    (nn.Tanh, "tanh"),
    (nn.Sigmoid, "σ"),
)
"""Layers that a diagram names, the narrower class first; normalisation and ReLU go without saying."""


@dataclass(frozen=True)
class Measured:
    """What a forward pass showed of a block.

    Parameters
    ----------
    shape:
        Of what comes out, without films and frames; empty for one number, None where nothing is measured.
    each_frame:
        Whether there is one for every frame, or one for the whole film.
    layers:
        ``(name, how many)`` in the order in which they are passed.
    parameters:
        How many numbers are learned.
    """

    shape: tuple[int, ...] | None
    each_frame: bool = True
    layers: tuple[tuple[str, int], ...] = ()
    parameters: int = 0


def measure(
    network: nn.Module, places: Mapping[str, str], given: Mapping[str, Sequence[int | str]]
) -> dict[str, Measured]:
    """Run the network once and read off what stands at each of some places.

    Parameters
    ----------
    network:
        Left as it is; a copy is run, in evaluation mode.
    places:
        Where to look, by a name of your own. ``"f_img"``: what that attribute of the network gives, the
        largest where it is called more than once. ``"a + b"``: what b gives, with the parameters of both.
        ``"into f_img"``: what it is given. ``"given photo"``: an argument. ``"made 0.frames"``: a result.
        ``""``: nowhere.
    given:
        Shape of each argument of ``network.forward`` by its name, with ``"B"`` for films and ``"T"`` for
        frames, ``"B·T"`` for the frames of all films: ``{"mfcc": ("B", "T", 28, 12), "h_p": ("B", 6)}``.

    Raises
    ------
    InputError
        When a place is none that the network has, or one that it does not call.
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    calls: dict[nn.Module, list[tuple[object, object]]] = {}
    for module in shadow.modules():
        module._forward_hooks.clear()  # somebody's hooks were copied too, and are none of our business
        module._forward_pre_hooks.clear()
        module.register_forward_hook(lambda layer, into, out: calls.setdefault(layer, []).append((into, out)))
    letters = {"B": N_BATCH, "T": N_FRAMES, "B·T": N_BATCH * N_FRAMES}
    arguments = {
        name: torch.empty([letters.get(n, n) for n in shape], device="meta") for name, shape in given.items()
    }
    with torch.no_grad():
        made = shadow(**arguments)

    def look(place: str) -> Measured:
        word, _, rest = place.partition(" ")
        if not place:
            return Measured(None)
        if word == "given":
            if rest not in arguments:
                raise InputError("place", repr(place), f"an argument: {', '.join(arguments)}")
            return Measured(*_without_time(arguments[rest]))
        if word == "made":
            return Measured(*_without_time(_largest([_follow(made, rest)])))
        into = word == "into"
        parts = [_module(shadow, part.strip()) for part in (rest if into else place).split("+")]
        seen = _calls_of(parts[-1], calls, first=into)
        if not seen:
            raise InputError("place", repr(place), "something that the network's forward pass calls")
        shape, each_frame = _without_time(_largest([one[0 if into else 1] for one in seen]))
        layers = tuple(layer for part in parts for layer in _layers(part))
        return Measured(
            shape, each_frame, layers, sum(p.numel() for part in parts for p in part.parameters())
        )

    return {name: look(place) for name, place in places.items()}


def _module(network: nn.Module, path: str) -> nn.Module:
    try:
        return network.get_submodule(path)
    except AttributeError:
        names = ", ".join(name for name, _ in network.named_children())
        raise InputError("place", repr(path), f"an attribute of the network: {names}") from None


def _calls_of(module: nn.Module, calls: dict, *, first: bool) -> list:
    """Calls of a module; where a network takes it apart, those of its first or last layer."""
    children = list(module.children())
    while module not in calls and children:
        module = children[0 if first else -1]
        children = list(module.children())
    return calls.get(module, [])


def _largest(candidates: Sequence[object]) -> Tensor:
    """The first tensor of each, and of those the one that holds most: frames rather than the photograph."""
    tensors = [next(_tensors(one), None) for one in candidates]
    return max((one for one in tensors if one is not None), key=Tensor.numel)


def _tensors(tree: object) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, list | tuple):
        for branch in tree:
            yield from _tensors(branch)


def _follow(tree: object, path: str) -> object:
    try:
        for step in filter(None, path.split(".")):
            tree = tree[int(step)] if step.isdigit() else getattr(tree, step)
    except (AttributeError, IndexError):
        raise InputError("place", repr(f"made {path}"), "something that forward returns") from None
    return tree


def _without_time(tensor: Tensor) -> tuple[tuple[int, ...], bool]:
    shape = tuple(tensor.shape)
    if shape[:2] == (N_BATCH, N_FRAMES):
        return shape[2:], True
    if shape and shape[0] == N_BATCH:
        return shape[1:], False
    if shape and shape[0] in (N_BATCH * (N_FRAMES + more) for more in (0, 1, 2)):
        return shape[1:], True  # the photograph, and a picture before the first, in one pass with the frames
    raise InputError("network", f"a tensor of shape {shape}", "films or frames first")


def _layers(module: nn.Module) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for part in module.modules():
        if isinstance(part, nn.RNNBase):
            counts["layers"] = counts.get("layers", 0) + part.num_layers
        for kind, name in LAYERS:
            if isinstance(part, kind):
                counts[name] = counts.get(name, 0) + 1
                break
    return list(counts.items())
