import pytest
import torch
from pydantic import ValidationError

from pipeline.learners.training import OPTIMIZERS
from pipeline.models import linear

LABELS = ["other", "speech"]


@pytest.mark.parametrize("kind", ["embeddings", "samples"])
def test_it_learns_both_kinds_of_clips(frame_net, kind):
    assert frame_net(linear).accuracy_on(kind, epochs=6, hidden=32) > 0.8


def test_it_is_two_layers_over_all_seconds(frame_net, embeddings):
    net = frame_net(linear).build(embeddings(8, 0), LABELS, {}, hidden=48).model
    assert [tuple(layer.weight.shape) for layer in net.modules() if isinstance(layer, torch.nn.Linear)] == [
        (48, 1_280),
        (2, 48),
    ]


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "adagrad"])
def test_the_published_optimisers_lower_the_loss(frame_net, embeddings, optimizer):
    # As published: a batch of 16 and 1e-4, of which a single step must help already.
    examples = embeddings(64, 1)
    classifier = frame_net(linear).build(examples, LABELS, {"optimizer": optimizer, "learning_rate": 1e-4})
    steps = OPTIMIZERS[optimizer](classifier.model.parameters(), lr=1e-4)
    inputs, targets = torch.from_numpy(examples.read(examples.rows)).float(), torch.from_numpy(examples.targets)
    losses = []
    for _ in range(5):
        loss = torch.nn.functional.cross_entropy(classifier.model(classifier.front_end(inputs)), targets)
        steps.zero_grad()
        loss.backward()
        steps.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("bad", [{"hidden": 0}, {"frames": 99}, {"embedding_augment": {"shift_share": 2}}], ids=str)
def test_bad_parameters_are_refused(bad):
    with pytest.raises(ValidationError):
        linear.Params(**bad)
