"""What an ablation keeps of the runs it compares."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from ablate import curve_of  # noqa: E402

LOG = """step,loss,alpha,held_out_mouth
100,0.5,,
200,0.25,0.125,0.75
300,0.123456789,,0.5
400,0.0625,0.25,0.25
"""


def test_a_curve_has_the_rows_in_which_every_column_has_a_value(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(LOG)
    assert curve_of(log, ("step", "alpha", "held_out_mouth")) == {
        "step": [200, 400],
        "alpha": [0.125, 0.25],
        "held_out_mouth": [0.75, 0.25],
    }
    assert curve_of(log, ("step", "held_out_mouth"))["step"] == [200, 300, 400]
    assert curve_of(log, ("step", "loss")) == {
        "step": [100, 200, 300, 400],
        "loss": [0.5, 0.25, 0.12345679, 0.0625],
    }


def test_a_log_without_a_full_row_has_no_curve(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("step,loss,alpha\n1,0.5,\n2,,0.5\n")
    assert curve_of(log, ("step", "loss", "alpha")) == {"step": [], "loss": [], "alpha": []}
