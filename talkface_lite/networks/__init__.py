"""The networks, one a file, in the order of their paper's equations."""
