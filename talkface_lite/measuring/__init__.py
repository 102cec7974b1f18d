"""Systems and clips in, figures out: quality beside baselines, ablations, speed."""
