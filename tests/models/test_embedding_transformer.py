import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pipeline.learners.losses import loss_of
from pipeline.models import embedding_transformer

LABELS = ["other", "speech"]
SMALL = {"layers": 1, "feed_forward": 64}


@pytest.mark.parametrize("kind", ["embeddings", "samples"])
def test_it_learns_both_kinds_of_clips(frame_net, kind):
    assert frame_net(embedding_transformer).accuracy_on(kind, epochs=6, **SMALL) > 0.8


def test_one_logit_for_binary_cross_entropy_and_two_for_cross_entropy(frame_net, embeddings):
    examples = embeddings(8, 0)
    two = frame_net(embedding_transformer).build(examples, LABELS, {}, **SMALL)
    assert two.model.head.out_features == 2
    binary = {"loss": "binary_cross_entropy"}
    one = frame_net(embedding_transformer).build(examples, LABELS, binary, **SMALL)
    assert one.model.head.out_features == 1
    assert (
        frame_net(embedding_transformer).build(examples, ["a", "b", "c"], binary, **SMALL).model.head.out_features == 3
    )

    inputs = torch.from_numpy(examples.read(examples.rows)).float()
    targets = torch.from_numpy(examples.targets)
    one.model.eval()
    logit = one.model(inputs)[:, 1]
    expected = nn.functional.binary_cross_entropy_with_logits(logit, targets.float())
    given = loss_of("binary_cross_entropy", one.model(inputs), nn.functional.one_hot(targets, 2).float())
    assert given.item() == pytest.approx(expected.item(), rel=1e-5)
    # And the probability of the second label is the logit's sigmoid.
    probabilities = one.predict_proba(examples.read(examples.rows))
    np.testing.assert_allclose(probabilities[:, 1], logit.sigmoid().detach().numpy(), rtol=1e-5)


def test_it_has_no_embedding_layer_and_knows_the_order(frame_net, embeddings):
    net = frame_net(embedding_transformer).build(embeddings(8, 0), LABELS, {}, **SMALL).model.eval()
    assert all(name.startswith(("encoder.", "head.")) for name, _ in net.named_parameters())
    frames = torch.rand(2, 10, 128) * 255
    assert not torch.allclose(net(frames), net(frames.flip(1)), atol=1e-4)


def test_heads_that_do_not_divide_the_values_are_refused():
    with pytest.raises(ValidationError):
        embedding_transformer.Params(heads=3)
