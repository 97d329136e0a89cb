import numpy as np
from onnx import parser

from pipeline.export.runtime import OnnxSteps, session_of

# Its probabilities are the sums of each number so far, times how many steps there were; both are its state.
SUMS = """
<ir_version: 10, opset_import: ["" : 20]>
steps (float[1,2] samples, float[1,2] sums, float[1] steps)
  => (float[1,2] probabilities, float[1,2] new_sums, float[1] new_steps) {
    new_sums = Add(samples, sums)
    one = Constant <value_floats = [1.0]> ()
    new_steps = Add(steps, one)
    probabilities = Mul(new_sums, new_steps)
}
"""


def test_steps_hand_their_state_on_and_keep_what_they_gave() -> None:
    session = session_of(parser.parse_model(SUMS).SerializeToString(), threads=1)
    sound = np.arange(10, dtype=np.float32).reshape(5, 1, 2)
    expected = np.cumsum(sound[:, 0], axis=0) * np.arange(1, 6)[:, None]
    for _ in range(2):  # another begins anew
        steps = OnnxSteps(session)
        np.testing.assert_array_equal(np.stack([steps(samples) for samples in sound]), expected)
