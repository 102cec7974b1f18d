"""The painter: a face's geometry to pictures, layer by layer."""

from talkface_lite.corpus.painter.layers import paint, paint_clip

__all__ = ["paint", "paint_clip"]
