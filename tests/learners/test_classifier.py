import numpy as np
import pytest

from pipeline.learners.classifier import Examples


def test_every_row_has_a_target():
    with pytest.raises(ValueError, match="3 rows, but 2 targets"):
        Examples(read=lambda rows: rows, rows=np.arange(3), targets=np.arange(2))
