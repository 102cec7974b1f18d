"""One training loop for every part (Lightning Fabric): seeds, precision, several devices, resumable.

Imports neither the sound nor the face libraries: where clips are already MFCC and landmarks, torch is enough.
"""

from talkface_lite.systems.training_settings import PRECISIONS, SCHEDULES, TrainingSettings
from talkface_lite.training.loop import TrainingResult, train

__all__ = ["PRECISIONS", "SCHEDULES", "TrainingResult", "TrainingSettings", "train"]
