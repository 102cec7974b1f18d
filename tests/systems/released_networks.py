"""The released networks, written out from the names in their checkpoints, and checkpoints to fill them."""

import math
from collections import OrderedDict

import torch
from torch.nn import functional as F

BN = {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}


def at_net_shapes():
    """Name → shape, as the released AT-net has them."""
    shapes = {}
    for name, n_in, n_out in (("lmark_encoder.0", 6, 256), ("lmark_encoder.2", 256, 512)):
        shapes |= {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}
    for index, n_in, n_out in ((0, 1, 64), (1, 64, 128), (3, 128, 256), (4, 256, 256), (5, 256, 512)):
        shapes[f"audio_eocder.{index}.0.weight"] = (n_out, n_in, 3, 3)
        shapes |= {f"audio_eocder.{index}.1.{field}": (n_out,) for field in BN}
    for name, n_in, n_out in (("audio_eocder_fc.0", 12288, 2048), ("audio_eocder_fc.2", 2048, 256)):
        shapes |= {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}
    for layer, n_in in ((0, 768), (1, 256), (2, 256)):
        shapes |= {f"lstm.weight_ih_l{layer}": (1024, n_in), f"lstm.weight_hh_l{layer}": (1024, 256)}
        shapes |= {f"lstm.bias_ih_l{layer}": (1024,), f"lstm.bias_hh_l{layer}": (1024,)}
    return shapes | {"lstm_fc.0.weight": (6, 256), "lstm_fc.0.bias": (6,)}


def vg_net_shapes():
    """Name → shape, as the released VG-net has them."""
    shapes = {}

    def convolution(name, shape, bias=None, bn=None):
        shapes[f"{name}.weight"] = shape
        if bias:
            shapes[f"{name}.bias"] = (bias,)
        if bn:
            before, _, last = name.rpartition(".")
            shapes.update({f"{before}.{int(last) + 1}.{field}": (bn,) for field in BN})

    convolution("image_encoder1.1.0", (64, 3, 7, 7), bn=64)
    convolution("image_encoder1.2.0", (64, 64, 3, 3), bn=64)
    convolution("image_encoder1.3.0", (128, 64, 3, 3), bn=128)
    convolution("image_encoder2.0.0", (256, 128, 3, 3), bn=256)
    convolution("image_encoder2.1.0", (512, 256, 3, 3), bn=512)
    convolution("landmark_encoder.0", (64, 136), bias=64)
    convolution("landmark_encoder_stage2.0.0", (256, 1, 3, 3), bn=256)
    convolution("lmark_att.0", (512, 256, 3, 3), bias=256, bn=256)
    convolution("lmark_att.3", (256, 128, 3, 3), bias=128, bn=128)
    convolution("lmark_att.6.0", (1, 128, 3, 3), bias=1)
    convolution("lmark_feature.0.0", (512, 256, 3, 3), bn=512)
    for block in range(9):
        convolution(f"generator1.{block}.conv_block.0", (512, 512, 3, 3), bn=512)
        convolution(f"generator1.{block}.conv_block.4", (512, 512, 3, 3), bn=512)
    convolution("generator1.9", (512, 256, 3, 3), bn=256)
    convolution("generator1.12", (256, 128, 3, 3), bn=128)
    convolution("base.0", (128, 64, 3, 3), bn=64)
    convolution("base.3", (64, 32, 3, 3), bn=32)
    convolution("generator_color.0", (3, 32, 7, 7), bias=3)
    convolution("generator_attention.0", (1, 32, 7, 7), bias=1)
    convolution("bottle_neck.0.0", (128, 1024, 3, 3), bn=128)
    for name, n_in in (("ih", 128), ("hh", 512)):
        shapes |= {f"convGRU.weight_{name}_l0": (1536, n_in, 3, 3), f"convGRU.bias_{name}_l0": (1536,)}
    return shapes


def random_state(shapes, seed):
    """Weights under which nothing saturates and everything matters; BN's statistics are random as well."""
    generator = torch.Generator().manual_seed(seed)
    state = OrderedDict()
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        if name.endswith("running_var"):
            state[name] = 1 + 0.5 * noise.tanh()
        elif len(shape) == 1:
            state[name] = 0.2 * noise + (name.endswith("weight"))
        else:
            state[name] = noise / math.sqrt(math.prod(shape[1:]))
    return state


def cheap_state(shapes):
    """A checkpoint of the right shapes in a few kB: each tensor is one number, repeated without copies."""
    return OrderedDict(
        (name, torch.tensor(0.5 + i).expand(shape)) for i, (name, shape) in enumerate(shapes.items())
    )


def batch_norm(state, name, x):
    mean, var, weight, bias = (
        state[f"{name}.{f}"] for f in ("running_mean", "running_var", "weight", "bias")
    )
    return F.batch_norm(x, mean, var, weight, bias, training=False)


def conv_bn_relu(state, name, x, **options):
    return F.relu(batch_norm(state, f"{name}.1", F.conv2d(x, state[f"{name}.0.weight"], **options)))


def up_bn_relu(state, before, index, x):
    weight, bias = state[f"{before}.{index}.weight"], state.get(f"{before}.{index}.bias")
    x = F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)
    return F.relu(batch_norm(state, f"{before}.{index + 1}", x))


def linear(state, name, x):
    return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


@torch.inference_mode()
def reference_at_net(state, h_p, mfcc):
    """The released AT-net, ``(B, 6)`` and ``(B, T, 28, 12)`` → ``(B, T, 6)``, one window after the other."""
    face = F.relu(linear(state, "lmark_encoder.2", F.relu(linear(state, "lmark_encoder.0", h_p))))
    hidden = [mfcc.new_zeros(len(mfcc), 256) for _ in range(3)]
    cell = [mfcc.new_zeros(len(mfcc), 256) for _ in range(3)]
    said = []
    for t in range(mfcc.shape[1]):
        x = mfcc[:, t][:, None]
        for index in (0, 1):
            x = conv_bn_relu(state, f"audio_eocder.{index}", x, padding=1)
        x = F.max_pool2d(x, 3, stride=(1, 2))
        for index in (3, 4, 5):
            x = conv_bn_relu(state, f"audio_eocder.{index}", x, padding=1)
        x = F.max_pool2d(x, 3, stride=(2, 2)).flatten(1)
        x = F.relu(linear(state, "audio_eocder_fc.2", F.relu(linear(state, "audio_eocder_fc.0", x))))
        x = torch.cat([face, x], 1)
        for layer in range(3):
            gates = F.linear(x, state[f"lstm.weight_ih_l{layer}"], state[f"lstm.bias_ih_l{layer}"])
            gates = gates + F.linear(
                hidden[layer], state[f"lstm.weight_hh_l{layer}"], state[f"lstm.bias_hh_l{layer}"]
            )
            enter, keep, new, leave = gates.split(256, 1)
            cell[layer] = keep.sigmoid() * cell[layer] + enter.sigmoid() * new.tanh()
            x = hidden[layer] = leave.sigmoid() * cell[layer].tanh()
        said.append(linear(state, "lstm_fc.0", x))
    return torch.stack(said, 1)


def reference_gru(state, x, h):
    """One step of the released conv-GRU; gates stacked reset, update, new."""
    x = F.conv2d(x, state["convGRU.weight_ih_l0"], state["convGRU.bias_ih_l0"], padding=2, dilation=2)
    u = F.conv2d(h, state["convGRU.weight_hh_l0"], state["convGRU.bias_hh_l0"], padding=2, dilation=2)
    reset = torch.sigmoid(x[:, :512] + u[:, :512])
    update = torch.sigmoid(x[:, 512:1024] + u[:, 512:1024])
    new = torch.tanh(x[:, 1024:] + reset * u[:, 1024:])
    return new + update * (h - new)


@torch.inference_mode()
def reference_vg_net(state, image, landmarks, example):
    """The released VG-net: ``(B, 3, 128, 128)``, ``(B, T, 136)``, ``(B, 136)`` → its four outputs."""
    middle = F.pad(image, (3, 3, 3, 3), mode="reflect")
    middle = conv_bn_relu(state, "image_encoder1.1", middle)
    for index in (2, 3):
        middle = conv_bn_relu(state, f"image_encoder1.{index}", middle, stride=2, padding=1)
    deep = middle
    for index in (0, 1):
        deep = conv_bn_relu(state, f"image_encoder2.{index}", deep, stride=2, padding=1)

    def look_at(points):
        shape = F.relu(linear(state, "landmark_encoder.0", points)).view(-1, 1, 8, 8)
        shape = conv_bn_relu(state, "landmark_encoder_stage2.0", shape, padding=1)
        return shape, conv_bn_relu(state, "lmark_feature.0", shape, padding=1)

    example_shape, example_deep = look_at(example)
    attentions, fused = [], []
    for t in range(landmarks.shape[1]):
        shape, deep_shape = look_at(landmarks[:, t])
        a = up_bn_relu(state, "lmark_att", 0, torch.cat([shape, example_shape], 1))
        a = up_bn_relu(state, "lmark_att", 3, a)
        a = F.conv2d(a, state["lmark_att.6.0.weight"], state["lmark_att.6.0.bias"], padding=1)
        attentions.append(a.sigmoid())
        both = torch.cat([deep, deep_shape - example_deep], 1)
        fused.append(conv_bn_relu(state, "bottle_neck.0", both, padding=1))

    # (B, T, ...) handed to a layer whose first axis is time: sample b continues sample b - 1, per frame
    fused, h, memory = torch.stack(fused, 1), image.new_zeros(landmarks.shape[1], 512, 8, 8), []
    for sample in fused:
        h = reference_gru(state, sample, h)
        memory.append(h)
    memory = torch.stack(memory)

    frames, alphas, colours = [], [], []
    for t, attention in enumerate(attentions):
        x = memory[:, t]
        for block in range(9):
            name = f"generator1.{block}.conv_block"
            y = F.conv2d(x, state[f"{name}.0.weight"], padding=1)
            y = F.relu(batch_norm(state, f"{name}.1", y))
            y = F.conv2d(y, state[f"{name}.4.weight"], padding=1)
            x = x + batch_norm(state, f"{name}.5", y)
        x = up_bn_relu(state, "generator1", 12, up_bn_relu(state, "generator1", 9, x))
        x = middle * (1 - attention) + x * attention
        x = up_bn_relu(state, "base", 3, up_bn_relu(state, "base", 0, x))
        colour = F.conv2d(
            x, state["generator_color.0.weight"], state["generator_color.0.bias"], padding=3
        ).tanh()
        alpha = F.conv2d(
            x, state["generator_attention.0.weight"], state["generator_attention.0.bias"], padding=3
        )
        alpha = alpha.sigmoid()
        frames.append(alpha * colour + (1 - alpha) * image)
        alphas.append(alpha)
        colours.append(colour)
    return [torch.stack(maps, 1) for maps in (frames, alphas, colours, attentions)]
