"""VG-net's part small enough to train in a test, with what surrounds its training."""

from dataclasses import replace

import torch
from small_networks import SMALL_VG_NET

from talkface_lite.networks.regression_discriminator import RegressionDiscriminatorConfig
from talkface_lite.systems.atvg.vg_net import VGNetPart, VGNetPartConfig
from talkface_lite.systems.training_settings import TrainingSettings

VG_NET = replace(SMALL_VG_NET, dropout=0.0)
JUDGE = RegressionDiscriminatorConfig(
    image=(2, 2, 4, 4), features=8, landmark=(4, 8), hidden=8, layers=2, unused_decoder=True
)


def make_part(seed=0, discriminator=JUDGE, **options):
    torch.manual_seed(seed)
    part = VGNetPart(VGNetPartConfig(vg_net=VG_NET, discriminator=discriminator, **options))
    for layer in part.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.05, 0.5)
    return part.eval()


def rates(learning_rate, betas=(0.5, 0.999)):
    return TrainingSettings(learning_rate=learning_rate, betas=betas)


def stand_still(optimizer):
    for group in optimizer.param_groups:
        group["lr"] = 0.0


def parameters(network):
    return {name: value.detach().clone() for name, value in network.named_parameters()}
