import numpy as np

from pipeline.examples.task import Task
from pipeline.reporting.page import suspects
from pipeline.reporting.page.evidence import JudgedRun
from pipeline.scoring.probabilities import Probabilities
from tests.judged_clips import corpus_of

WORDS = ["yes", "no", "cat", "dog"]


def test_clips_whose_labels_were_exchanged_are_found_the_surest_first(tmp_path):
    rng = np.random.default_rng(0)
    said = [WORDS[number % 4] for number in range(200)] + ["_silence_"] * 40
    spoken = list(said)
    for place in (2, 7, 201):
        spoken[place] = "no" if said[place] != "no" else "yes"  # what the nets hear; 201 is made, and has no label
    clips = [
        {"clip": f"{number}.wav", "word": word, "speaker": f"s{number}", "fold": 0} for number, word in enumerate(said)
    ]
    learnt = [{"clip": f"t/{word}", "word": word, "speaker": "t"} for word in [*WORDS, "_silence_"]]
    corpus = corpus_of(tmp_path, [*clips, *learnt], ("yes", "no"))
    labels = corpus.vocabulary.labels("words")
    logits = rng.normal(size=(240, len(labels)))
    logits[np.arange(240), [labels.index(word.strip("_")) for word in spoken]] += 6
    logits[[2, 7, 201], labels.index("no")] += 4  # surer of it than of most
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    fine = Probabilities([clip["clip"] for clip in clips], labels, values, "words", corpus.fingerprint)
    truth = np.zeros(240, np.int64)
    evidence = JudgedRun("words", ["yes"], truth, truth, values[:, :1], fine, np.arange(240), ["s"] * 240)
    found = suspects.find(evidence, corpus, Task(vocabulary="words"), 5)
    assert {each["place"] for each in found} == {2, 7}
    assert {(each["given"], each["heard"]) for each in found} == {("cat", "no"), ("dog", "no")}
    assert all(each["probability"] < 0.1 for each in found)
    assert len(suspects.find(evidence, corpus, Task(vocabulary="words"), 1)) == 1
