import numpy as np
import pytest

from pipeline.examples.training_data import Examples


def test_every_row_has_a_target():
    with pytest.raises(ValueError, match="3 rows, but 2 targets"):
        Examples(read=lambda rows: rows, rows=np.arange(3), targets=np.arange(2))
