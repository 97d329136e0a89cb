"""Each epoch's probabilities of the validation clips: written once, whole, and in order."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from pipeline.learners import epochs
from tests import vectors


def test_what_is_recorded_is_read_in_the_order_of_the_epochs(tmp_path):
    assert epochs.read(tmp_path) is None
    values = np.random.default_rng(0).random((12, 5, 3))
    for epoch in (2, 1, *range(3, 13)):
        epochs.record(tmp_path, epoch, values[epoch - 1])
    assert sorted(path.name for path in (tmp_path / "epochs").iterdir())[::11] == ["0001.npy", "0012.npy"]
    found = epochs.read(tmp_path)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.astype(np.float32))


def test_with_a_gap_there_is_nothing_to_choose_from(tmp_path):
    for epoch in (1, 3):
        epochs.record(tmp_path, epoch, np.zeros((5, 3), np.float32))
    assert epochs.read(tmp_path) is None


def test_they_are_what_the_classifier_predicted_then(tmp_path):
    classifier = vectors.classifier(epochs=3, mixup_alpha=0.5, label_smoothing=0.1)
    classifier.fit(vectors.data(), tmp_path, tmp_path / "live")
    recorded = epochs.read(tmp_path)
    assert recorded.shape == (3, 30, 3)
    predicted = classifier.predict_proba(vectors.FEATURES[:30])
    assert min(np.abs(values - predicted).max() for values in recorded) < 1e-6


SCRIPT = """
    import os
    import sys
    from pathlib import Path
    import numpy as np
    from tests import vectors

    work = Path(sys.argv[1])
    classifier = vectors.classifier(epochs=1, eval_batch_size=4)
    whole = np.save
    def noted(path, *arguments, **options):
        (work / f"wrote-{os.environ['RANK']}").touch()
        whole(path, *arguments, **options)
    np.save = noted
    # Thirty clips are no multiple of the eight that two processes judge at a time.
    classifier.fit(vectors.data(), work, work / "live")
    if os.environ["RANK"] == "0":
        whole(work / "predicted.npy", classifier.predict_proba(vectors.FEATURES[:30]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="torchrun's rendezvous")
def test_of_two_processes_one_writes_in_the_order_of_the_clips(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [*command, tmp_path / "script.py", tmp_path],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(epochs.read(tmp_path)[0], np.load(tmp_path / "predicted.npy"), atol=1e-6)
    assert [path.name for path in tmp_path.glob("wrote-*")] == ["wrote-0"]
