import numpy as np
import pytest

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.scoring import decision
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.settings import Decide, Rule
from tests.judged_clips import COMMANDS, LABELS, SILENCE, UNKNOWN, simulated, table

LABELS_OF_YES = np.array(["yes", "unknown", "silence"])


def fit(rule, probabilities, truth, speakers=None, commands=("yes",), **options):
    truth = np.asarray(truth, dtype=np.int64)
    speakers = speakers or [str(number) for number in range(len(truth))]
    rng = np.random.default_rng(0)
    return decision.fit_rule(Rule(**rule), probabilities, truth, speakers, commands, rng, **options)


def decided(rule, probabilities, truth=None):
    truth = np.zeros(len(probabilities.clips)) if truth is None else truth
    return LABELS_OF_YES[fit(rule, probabilities, truth).decide(probabilities)].tolist()


def test_none_takes_the_likeliest_label_after_other_words_are_summed_into_unknown():
    rows = [[0.5, 0.3, 0.2, 0.0], [0.4, 0.3, 0.3, 0.0], [0.2, 0.1, 0.6, 0.1], [0.1, 0.1, 0.1, 0.7]]
    probabilities = table(rows, ["yes", "cat", "dog", "silence"])
    assert decided({"rule": "none"}, probabilities) == ["yes", "unknown", "unknown", "silence"]
    assert decision.argmax(probabilities, ["yes"]).tolist() == [0, 1, 1, 2]


def test_published_rule_looks_at_the_best_score():
    rows = [[0.5, 0.25, 0.25, 0.0], [0.49, 0.26, 0.25, 0.0], [0.28, 0.24, 0.24, 0.24], [0.1, 0.9, 0.0, 0.0]]
    probabilities = table(rows, ["yes", "cat", "dog", "silence"])
    assert decided({"rule": "published"}, probabilities) == ["yes", "unknown", "silence", "unknown"]
    lower = {"rule": "published", "unknown_below": 0.3, "silence_below": 0.25}
    assert decided(lower, probabilities) == ["yes", "yes", "unknown", "unknown"]


def test_tuned_calls_unsure_clips_of_a_net_without_unknown_unknown():
    rows = [[0.45, 0.05, 0.5 / 8] + [0.5 / 8] * 7 + [0.0]] * 60  # ten commands, no unknown, silence
    rows += [[0.9] + [0.1 / 9] * 9 + [0.0]] * 60 + [[0.0] * 10 + [1.0]] * 60
    rows = [[value / sum(row) for value in row] for row in rows]
    probabilities = table(rows, [*COMMANDS, "silence"])
    truth = np.repeat([UNKNOWN, 0, SILENCE], 60)
    assert decision.argmax(probabilities, COMMANDS)[:60].tolist() == [0] * 60
    fitted = fit({}, probabilities, truth, commands=COMMANDS)
    assert fitted.decide(probabilities).tolist() == truth.tolist()


def test_a_run_as_good_as_it_gets_keeps_the_argmax():
    probabilities, truth, speakers = simulated(1, 30, separation=50.0)
    fitted = fit({}, probabilities, truth, speakers, COMMANDS)
    assert fitted.rule == "tuned"
    assert fitted.thresholds == {"silence_from": None, "unknown_from": None}
    assert fitted.decide(probabilities).tolist() == decision.argmax(probabilities, COMMANDS).tolist()


def test_the_prior_moves_the_thresholds():
    often = {"unknown": 0.6, **dict.fromkeys([*COMMANDS, "silence"], 0.4 / 11)}
    judged, truth, _ = simulated(3, 600, separation=3.0)
    few = fit({"rule": "none"}, *simulated(2, 100, separation=3.0), COMMANDS)
    many = fit({"prior": often}, *simulated(2, 100, separation=3.0), COMMANDS)
    assert many.thresholds["unknown_from"] < 0.4

    def under_prior(fitted):
        right = fitted.decide(judged) == truth
        return sum(share * right[truth == LABELS.index(label)].mean() for label, share in often.items())

    assert under_prior(many) > under_prior(few) + 0.03


def test_clips_of_unknown_truth_do_not_count():
    probabilities, truth, speakers = simulated(5, 60, bias=(-2.0, 0.0))
    strange, _, _ = simulated(6, 30)
    both = Probabilities(
        [*probabilities.clips, *(f"{clip} strange" for clip in strange.clips)],
        LABELS,
        np.concatenate([probabilities.values, strange.values]),
    )
    more = np.concatenate([truth, np.full(len(strange.clips), -1)])
    without = fit({}, probabilities, truth, speakers, COMMANDS)
    assert without.thresholds["unknown_from"] < 0.45
    assert fit({}, both, more, [*speakers, *strange.clips], COMMANDS).thresholds == without.thresholds


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


def test_a_prior_without_clips_is_refused():
    probabilities = table([[0.9, 0.1, 0.0]], ["yes", "unknown", "silence"])
    with pytest.raises(PipelineError, match=r"decide\.prior"):
        decided({"prior": {"silence": 1.0}}, probabilities, [0])
