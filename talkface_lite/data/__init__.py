"""Clips to batches: what a network reads of a clip, in memory or streamed from disk."""
