import csv
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.files import read_json, sha256_of
from pipeline.reporting import competition_report
from pipeline.scoring.nested import OutOfFold, blocks_by_clip
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.settings import Rule
from tests.judged_clips import COMMANDS, LABELS, corpus_of, mean_recall, simulated


def name_of(number, truth):
    return f"{LABELS[truth]}/{number}.wav"


def corpus_of_truth(folder, truth, speakers):
    """The clips judged out of fold, one holdout clip of each command, and clips to learn from."""
    words = [*COMMANDS, "cat", "_silence_"]
    clips = [
        {"clip": name_of(number, label), "word": words[label], "speaker": f"s{speaker}", "fold": int(speaker) % 3}
        for number, (label, speaker) in enumerate(zip(truth, speakers, strict=True))
    ]
    held_out = [{"clip": f"h/{word}", "word": word, "speaker": "h", "split": "holdout"} for word in COMMANDS]
    learnt = [{"clip": f"t/{word}", "word": word, "speaker": "t"} for word in words]
    return corpus_of(folder, [*clips, *held_out, *learnt], tuple(COMMANDS), source="archives")


def out_of_fold_of(corpus, table, truth, speakers, nested=None):
    names = [name_of(number, label) for number, label in enumerate(truth)]
    block_of = blocks_by_clip(corpus)
    blocks = np.array([block_of[name] for name in names])

    def named(one):
        return Probabilities(names, one.labels, one.values, "gru", corpus.fingerprint)

    tables = {block: named(one) for block, one in (nested or {}).items()}
    return OutOfFold(named(table), [f"s{speaker}" for speaker in speakers], blocks, tables)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    table, truth, speakers = simulated(3, 60, bias=(-2.0, 0.0))
    corpus = corpus_of_truth(tmp_path_factory.mktemp("prepare"), truth, speakers)
    return SimpleNamespace(corpus=corpus, table=table, truth=truth, speakers=speakers)


def publish(judged, folder, rule=None, nested=None, holdout=True):
    corpus = judged.corpus
    test = Probabilities(["a.wav", "b.wav"], LABELS, np.eye(12)[[0, 11]], "gru", corpus.fingerprint)
    rows = np.full((10, 12), 0.0)
    rows[np.arange(10), np.arange(10)] = 1
    rows[0] = np.eye(12)[1]  # a yes that is taken for a no
    held_out = Probabilities([f"h/{word}" for word in COMMANDS], LABELS, rows, "gru", corpus.fingerprint)
    return competition_report.publish(
        folder,
        rule or Rule(),
        corpus,
        ["a.wav", "b.wav"],
        out_of_fold_of(corpus, judged.table, judged.truth, judged.speakers, nested),
        test,
        held_out if holdout else None,
        np.random.default_rng(0),
        {"target": "word", "presence": None},
        "c0ffee",
        "ab" * 32,
    )


def test_the_metrics_tell_the_estimate_from_what_was_selected(judged, tmp_path):
    figures = publish(judged, tmp_path / "gru")
    made = {"sha256": sha256_of(tmp_path / "gru" / "submission.csv"), "commit": "c0ffee", "params": "ab" * 32}
    assert read_json(tmp_path / "gru" / "metrics.json") == {**figures, "provenance": made}
    assert list(figures) == [
        *("run", "target", "presence", "rule", "thresholds", "prior", "predicted_on_test"),
        *("estimate", "selected", "holdout"),
    ]
    assert figures["thresholds"]["unknown_from"] < 0.45
    assert figures["predicted_on_test"]["yes"] == figures["predicted_on_test"]["silence"] == 1
    estimate, selected = figures["estimate"], figures["selected"]
    assert set(estimate) == {*selected, "argmax_prior_accuracy"}
    assert estimate["clips"] == selected["clips"] == 720
    assert estimate["prior_accuracy_low"] < estimate["prior_accuracy"] < estimate["prior_accuracy_high"]
    # The net calls too little unknown: thresholds gain, chosen on other speakers too.
    assert estimate["argmax_prior_accuracy"] == pytest.approx(
        mean_recall(judged.truth, judged.table.values.argmax(axis=1)), abs=1e-5
    )
    assert selected["prior_accuracy"] > estimate["argmax_prior_accuracy"] + 0.01
    assert estimate["prior_accuracy"] > estimate["argmax_prior_accuracy"]
    assert figures["holdout"]["accuracy"] == 0.9
    assert (tmp_path / "gru" / "submission.csv").read_text() == "fname,label\na.wav,yes\nb.wav,silence\n"


def test_an_epoch_that_was_chosen_on_the_clips_is_not_what_judges_them(judged, tmp_path):
    # The final net is perfect on the clips that chose it; the nets that were chosen without a block are not.
    perfect = Probabilities(judged.table.clips, LABELS, np.eye(12)[judged.truth])
    chosen = SimpleNamespace(**{**vars(judged), "table": perfect})
    nested = dict.fromkeys(range(5), judged.table)
    figures = publish(chosen, tmp_path / "gru", Rule(rule="none"), nested, holdout=False)
    assert figures["selected"]["accuracy"] == 1.0
    expected = mean_recall(judged.truth, judged.table.values.argmax(axis=1))
    assert figures["estimate"]["prior_accuracy"] == pytest.approx(expected, abs=1e-5)
    assert figures["estimate"]["argmax_prior_accuracy"] == pytest.approx(expected, abs=1e-5)
    assert figures["holdout"] is None
    with (tmp_path / "gru" / "confusion.csv").open() as file:
        counts = np.array([row[1:] for row in list(csv.reader(file))[1:]], int)
    assert counts.trace() == round(expected * 720)
    assert (tmp_path / "gru" / "confusion.png").stat().st_size > 5_000


def test_clips_of_one_speaker_are_judged_by_the_argmax(tmp_path):
    table, truth, _ = simulated(4, 3)
    one = SimpleNamespace(
        corpus=corpus_of_truth(tmp_path / "prepare", truth, ["1"] * 36), table=table, truth=truth, speakers=["1"] * 36
    )
    figures = publish(one, tmp_path / "gru")
    assert figures["estimate"]["prior_accuracy"] == figures["estimate"]["argmax_prior_accuracy"]


def test_pictures_say_what_was_judged(judged):
    figures = {"prior_accuracy_low": 0.8, "prior_accuracy_high": 0.9}
    caption = competition_report.caption_of_estimate(judged.corpus, figures)
    assert caption == "95 % interval 0.800 to 0.900  ·  out of fold, judged by choices made on other speakers"


def test_only_the_demo_is_called_synthetic(tmp_path):
    clips = [{"clip": "a", "word": "yes"}]
    demo, archives = (corpus_of(tmp_path / source, clips, source=source) for source in ("demo", "archives"))
    assert competition_report.caption_of(demo) == "synthetic speech: says nothing of the leaderboard"
    assert competition_report.caption_of(archives) == ""


def test_the_estimate_is_by_rules_that_were_fitted_without_the_clips(judged, tmp_path, monkeypatch):
    fitted_on, fit_rule = [], competition_report.decision.fit_rule
    monkeypatch.setattr(
        competition_report.decision,
        "fit_rule",
        lambda rule, table, *more: fitted_on.append(set(table.clips)) or fit_rule(rule, table, *more),
    )
    publish(judged, tmp_path / "gru")
    block_of = blocks_by_clip(judged.corpus)
    others = [{clip for clip in block_of if block_of[clip] != block} for block in range(5)]
    assert fitted_on == [set(block_of), *others]


def test_the_figures_are_those_of_the_prior(judged, tmp_path):
    figures = publish(judged, tmp_path / "gru", Rule(rule="none", prior={"yes": 0.25, "unknown": 0.75}))
    right = judged.table.values.argmax(axis=1) == judged.truth
    expected = 0.25 * right[judged.truth == 0].mean() + 0.75 * right[judged.truth == 10].mean()
    assert figures["estimate"]["prior_accuracy"] == pytest.approx(expected, abs=1e-5)
    assert figures["selected"]["prior_accuracy"] == pytest.approx(expected, abs=1e-5)
