"""Filmed people to clips: readers list a corpus' videos, and stages make each video a clip or say why not."""
