import numpy as np
import pytest

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.scoring import decision
from pipeline.scoring.decision import Decide, Rule
from pipeline.scoring.probabilities import Probabilities

COMMANDS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]
LABELS = [*COMMANDS, "unknown", "silence"]
UNKNOWN, SILENCE = 10, 11


def table(rows, labels):
    return Probabilities([f"{number}.wav" for number in range(len(rows))], labels, np.array(rows))


def decided(rule, judged, validation=None, truth=()):
    rng = np.random.default_rng(0)
    return decision.prepare(Rule(**rule), validation or judged, truth, ["yes"], rng).labels_of(judged).tolist()


def simulated(seed, clips_per_label, separation=4.0, bias=(0.0, 0.0), without_unknown=False):
    """Posteriors of a model whose logits for unknown and silence are off by `bias`, and the true labels."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(12), clips_per_label)
    logits = rng.normal(size=(len(truth), 12))
    logits[np.arange(len(truth)), truth] += separation * rng.lognormal(0, 0.5, len(truth))
    logits[:, UNKNOWN:] += bias
    if without_unknown:
        logits = np.delete(logits, UNKNOWN, axis=1)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    labels = [label for label in LABELS if label != "unknown" or not without_unknown]
    return table(exponentials / exponentials.sum(axis=1, keepdims=True), labels), [LABELS[place] for place in truth]


def accuracy(decider, judged, truth):
    return float(np.mean(decider.labels_of(judged) == np.array(truth)))


def gain(seed, prior="uniform", **kind):
    """Accuracy on 7,200 other clips that tuning on 360 adds to the argmax."""
    validation, truth = simulated(seed, 30, **kind)
    judged, answers = simulated(seed + 1000, 600, **kind)
    rng = np.random.default_rng(seed)
    tuned = decision.prepare(Rule(prior=prior), validation, truth, COMMANDS, rng)
    plain = decision.prepare(Rule(rule="none"), validation, truth, COMMANDS, rng)
    assert accuracy(tuned, validation, truth) >= accuracy(plain, validation, truth)
    return accuracy(tuned, judged, answers) - accuracy(plain, judged, answers)


def test_none_takes_the_likeliest_and_calls_other_words_unknown():
    judged = table([[0.4, 0.3, 0.3, 0.0], [0.2, 0.1, 0.6, 0.1], [0.1, 0.1, 0.1, 0.7]], ["yes", "cat", "dog", "silence"])
    assert decided({"rule": "none"}, judged) == ["yes", "unknown", "silence"]


def test_published_rule_looks_at_the_best_score():
    rows = [[0.5, 0.25, 0.25, 0.0], [0.49, 0.26, 0.25, 0.0], [0.28, 0.24, 0.24, 0.24], [0.1, 0.9, 0.0, 0.0]]
    judged = table(rows, ["yes", "cat", "dog", "silence"])
    assert decided({"rule": "published"}, judged) == ["yes", "unknown", "silence", "unknown"]
    lower = {"rule": "published", "unknown_below": 0.3, "silence_below": 0.25}
    assert decided(lower, judged) == ["yes", "yes", "unknown", "unknown"]


def test_tuned_sums_the_words_before_it_decides():
    # Each clip says "yes" by its best score, though most of its mass lies on other words.
    rows = [[0.4, 0.3, 0.3, 0.0]] * 40 + [[0.9, 0.05, 0.05, 0.0]] * 40 + [[0.0, 0.0, 0.1, 0.9]] * 40
    judged = table(rows, ["yes", "cat", "dog", "silence"])
    truth = ["unknown"] * 40 + ["yes"] * 40 + ["silence"] * 40
    assert decided({"rule": "none"}, judged)[:40] == ["yes"] * 40
    assert decided({"rule": "tuned"}, judged, judged, truth) == truth


@pytest.mark.parametrize(
    ("kind", "at_least"),
    [
        ({"bias": (2.0, 0.0)}, 0.05),
        ({"bias": (-2.0, 1.0)}, 0.02),
        ({"separation": 7.0, "bias": (2.0, -1.5)}, 0.015),
        ({"separation": 5.0, "without_unknown": True}, 0.015),
    ],
)
def test_tuning_helps_where_scores_are_off(kind, at_least):
    assert np.mean([gain(seed, **kind) for seed in range(4)]) > at_least


@pytest.mark.parametrize("separation", [4.0, 7.0])
def test_tuning_changes_little_where_there_is_nothing_to_gain(separation):
    gains = [gain(seed, separation=separation) for seed in range(10)]
    assert np.mean(gains) > -0.002
    assert min(gains) > -0.01


def test_a_run_as_good_as_it_gets_keeps_the_argmax():
    judged, truth = simulated(1, 30, separation=50.0)
    decider = decision.prepare(Rule(), judged, truth, COMMANDS, np.random.default_rng(0))
    assert decider.rule == "tuned"
    assert decider.thresholds == {"silence_from": None, "unknown_from": None}


def test_the_prior_moves_the_thresholds():
    judged, truth = simulated(2, 100, separation=3.0)
    often = {"unknown": 0.6, **dict.fromkeys([*COMMANDS, "silence"], 0.4 / 11)}
    answers = simulated(3, 600, separation=3.0)
    few = decision.prepare(Rule(rule="none"), judged, truth, COMMANDS, np.random.default_rng(0))
    many = decision.prepare(Rule(prior=often), judged, truth, COMMANDS, np.random.default_rng(0))
    assert many.thresholds["unknown_from"] < 0.4

    def under_prior(decider):
        right = decider.labels_of(answers[0]) == np.array(answers[1])
        return sum(often[label] * right[np.array(answers[1]) == label].mean() for label in LABELS)

    assert under_prior(many) > under_prior(few) + 0.03


def test_the_surface_of_accuracies_is_that_of_the_thresholds_themselves():
    judged, truth = simulated(4, 8, separation=2.0)
    evidence = decision._Evidence.of(judged, COMMANDS)
    wanted = np.array([LABELS.index(label) for label in truth])
    weight = np.random.default_rng(0).random(len(truth))
    surface = decision._Cells.of(evidence, wanted, 10).accuracies(weight)
    for row, column in [(0, 0), (32, 32), (64, 64), (20, 40), (45, 12), (64, 0)]:
        right = decision._threshold(evidence, decision.GRID[row], decision.GRID[column], COMMANDS) == np.array(truth)
        assert surface[row, column] == pytest.approx(weight[right].sum())


def test_equal_seeds_give_equal_thresholds():
    judged, truth = simulated(5, 30, bias=(2.0, 0.0))
    first, second = (decision.prepare(Rule(), judged, truth, COMMANDS, np.random.default_rng(7)) for _ in range(2))
    assert first.thresholds == second.thresholds
    assert first.thresholds["unknown_from"] > 0.6


def test_overrides_change_one_run_only():
    decide = params.section(
        {"decide": {"unknown_below": 0.6, "overrides": {"words": {"rule": "published"}}}}, "decide", Decide
    )
    assert decide.for_run("words") == Rule(rule="published", unknown_below=0.6)
    assert decide.for_run("ast") == Rule(rule="tuned", unknown_below=0.6)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"overrides": {"words": {"rul": "none"}}}, r"overrides.words.rul: unknown key"),
        ({"overrides": {"words": {"unknown_below": 1.5}}}, "less than or equal to 1"),
        ({"rule": "best"}, "'none', 'published' or 'tuned'"),
        ({"prior": {"yes": 0.5, "no": 0.4}}, "sum to 0.9"),
        ({"prior": {True: 0.5, False: 0.5}}, "put them in quotes"),
        ({"prior": "equal"}, "uniform"),
    ],
)
def test_bad_parameters_are_refused(section, message):
    with pytest.raises(PipelineError, match=message):
        params.section({"decide": section}, "decide", Decide)


def test_a_prior_over_labels_that_do_not_exist_is_refused():
    with pytest.raises(PipelineError, match="cat is no label"):
        decision.shares_of({"cat": 1.0}, LABELS)


def test_a_prior_without_validation_clips_is_refused():
    judged = table([[0.9, 0.1, 0.0]], ["yes", "unknown", "silence"])
    with pytest.raises(PipelineError, match=r"decide\.prior"):
        decided({"prior": {"silence": 1.0}}, judged, judged, ["yes"])
