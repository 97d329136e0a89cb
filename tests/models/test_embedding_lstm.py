import pytest
import torch

from pipeline.models import embedding_lstm

LABELS = ["other", "speech"]


@pytest.mark.parametrize("kind", ["embeddings", "samples"])
def test_it_learns_both_kinds_of_clips(frame_net, kind):
    assert frame_net(embedding_lstm).accuracy_on(kind, epochs=10, hidden=32) > 0.8


def test_marks_stand_before_and_after_the_clip_and_the_last_step_predicts(frame_net, embeddings):
    net = frame_net(embedding_lstm).build(embeddings(8, 0), LABELS, {}).model.eval()
    seen = []
    net.lstm.register_forward_hook(lambda module, inputs, outputs: seen.append((inputs[0], outputs[0])))
    frames = torch.linspace(0, 255, 1_280).reshape(1, 10, 128)
    logits = net(frames)
    (heard, outputs), *_ = seen
    assert heard.shape == (1, 12, 128)
    assert (heard[0, 0] == -1).all()
    assert (heard[0, -1] == -2).all()
    assert heard[0, 1:-1].min() == pytest.approx(-2)
    assert heard[0, 1:-1].max() == pytest.approx(2)
    assert torch.equal(logits, net.head(outputs[:, -1]))
