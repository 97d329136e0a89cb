import pytest
import torch

from pipeline.features.code_masking import CodeMasking


@pytest.mark.parametrize("share", [0.0, 0.35, 0.9])
def test_the_share_is_missing_and_the_rest_is_as_it_was(share: float) -> None:
    torch.manual_seed(0)
    masked = CodeMasking(share)(torch.full((200, 1024), 7.0))
    assert set(masked.unique().tolist()) <= {0.0, 7.0}
    assert float((masked == 0).float().mean()) == pytest.approx(share, abs=0.005)
    # Each clip and each feature misses its own.
    assert float((masked == 0).float().mean(dim=0).std()) == pytest.approx((share * (1 - share) / 200) ** 0.5, rel=0.2)


def test_the_seed_decides_and_nothing_is_masked_when_judging() -> None:
    feature_augment, features = CodeMasking(0.5), torch.ones(4, 64)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(feature_augment(features))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(feature_augment.eval()(features), features)
