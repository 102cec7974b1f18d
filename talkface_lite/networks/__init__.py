"""The networks, one a file, in the order of their paper's equations."""

from talkface_lite.networks.at_net import ATNet, ATNetConfig

__all__ = ["ATNet", "ATNetConfig"]
