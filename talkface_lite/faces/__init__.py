"""Where a face is in a picture, and its 68 points."""
