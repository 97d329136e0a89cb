"""The sections that name runs: how each is decided, and who votes."""

import pytest

from pipeline import sections
from pipeline.errors import PipelineError
from pipeline.examples.task import Task

RUNS = {
    "words": {"vocabulary": "words"},
    "net": {},
    "who": {"target": "speaker"},
    "there": {"presence": {"name": "speech"}},
}
TREE = {"runs": RUNS, "students": {"pupil": {}, "listener": {"target": "speaker"}}, "second_students": {"heir": {}}}


def members(section, **tree):
    return sections.voters({**TREE, **tree}, section)[1]


def test_who_answers_the_competition_s_question_votes_each_round_of_students_after_it_has_learnt():
    assert members("vote") == ["words", "net"]
    assert members("second_vote") == ["words", "net", "pupil"]
    assert members("ensemble") == ["words", "net", "pupil", "heir"]


def test_a_list_says_who_votes_and_on_what():
    settings, named, task = sections.voters({**TREE, "ensemble": {"runs": ["who", "listener"]}}, "ensemble")
    assert named == ["who", "listener"]
    assert task == Task(target="speaker")
    assert settings.weights == "best"
    assert members("vote", vote={"runs": ["net"], "weights": {"net": 1}}) == ["net"]


def test_whether_a_checkpoint_has_heard_its_judges_is_read_as_all_truth_values_are():
    """`no` is a word in YAML 1.2."""
    said = {"a": True, "b": "yes", "c": "no", "d": "off", "e": False}
    tree = {"runs": {name: {"model": "linear", "heard_judges": value} for name, value in said.items()}}
    assert sections.heard_judges(tree, tree["runs"]) == ["a", "b"]
    with pytest.raises(PipelineError, match="heard_judges"):
        sections.heard_judges({"runs": {"f": {"heard_judges": "maybe"}}}, ["f"])


def test_where_nobody_answers_it_those_vote_who_answer_the_first_run_s():
    listed = {"a": {"target": "age"}, "b": {"target": "speaker"}, "c": {"target": "age"}}
    assert members("vote", runs=listed, students={}, second_students={}) == ["a", "c"]


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("ensemble", {"runs": ["nett"]}, r"section ensemble: nett is no run that may vote\. Those under 'runs' and"),
        ("ensemble", {"weights": {"nett": 1}}, r"section ensemble: nett is no run that may vote"),
        (
            "ensemble",
            {"runs": ["net"], "weights": {"net": 1, "words": 2}},
            r"`weights` names words, which `runs` leaves",
        ),
        (
            "vote",
            {"runs": ["pupil"]},
            r"section vote: pupil is no run that may vote\. Those under 'runs' may: words, net",
        ),
        (
            "second_vote",
            {"runs": ["heir"]},
            r"section second_vote: heir is no run that may vote\. Those under 'runs' and 'students' may: words, net",
        ),
        ("vote", {"runs": ["net", "who"]}, r"answer one question.*unknown: who"),
        ("vote", {"runs": ["net", "net"]}, r"each once; found \['net', 'net'\]"),
        ("ensemble", {"weights": {"net": 0, "words": 0}}, r"section ensemble: no run that votes has a weight above 0"),
        ("ensemble", {"weights": {"who": 1}}, r"unknown: who|no run that votes has a weight above 0"),
    ],
)
def test_a_vote_that_cannot_be_is_told(section, values, message):
    with pytest.raises(PipelineError, match=message):
        members(section, **{section: values})


@pytest.mark.parametrize("values", [{"weights": "greedy"}, {"weights": "stacking"}, {"temperature": True}])
def test_tags_can_only_be_averaged(values):
    listed = {"sounds": {"target": "tags"}, "more": {"target": "tags"}}
    assert members("ensemble", runs=listed, students={}, second_students={}, ensemble={"weights": "best"}) == [
        "sounds",
        "more",
    ]
    with pytest.raises(PipelineError, match=r"section ensemble.*needs labels that exclude each other"):
        members("ensemble", runs=listed, students={}, second_students={}, ensemble=values)


def test_a_rule_is_that_of_the_section_or_the_run_s_own():
    decide = sections.decide({**TREE, "decide": {"rule": "none", "overrides": {"net": {"rule": "published"}}}})
    assert [decide.for_run(name).rule for name in ("words", "net", "pupil", "ensemble")] == [
        "none",
        "published",
        "none",
        "none",
    ]
    for name in ("pupil", "ensemble"):
        assert sections.decide({**TREE, "decide": {"overrides": {name: {"rule": "none"}}}}).for_run(name).rule == "none"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"overrides": {"nett": {}}}, r"decide\.overrides: nett is no run\. Runs: words, net,"),
        ({"silence_below": 0.6}, r"decide: silence_below \(0\.6\) is above unknown_below \(0\.5\)"),
        ({"overrides": {"net": {"unknown_below": 0.1}}}, r"decide\.overrides\.net: silence_below \(0\.3\) is above"),
    ],
)
def test_a_decision_that_cannot_be_is_told(values, message):
    with pytest.raises(PipelineError, match=message):
        sections.decide({**TREE, "decide": values})


def test_a_prior_speaks_of_the_submission_s_labels():
    good = sections.decide({**TREE, "decide": {"prior": {"yes": 0.5, "silence": 0.5}}})
    sections.check_priors(good, ("yes", "no"))
    with pytest.raises(PipelineError, match=r"decide\.prior: yes is no label.*Labels: up, unknown, silence"):
        sections.check_priors(good, ("up",))
    own = sections.decide({**TREE, "decide": {"overrides": {"ensemble": {"prior": {"cat": 1.0}}}}})
    with pytest.raises(PipelineError, match=r"decide\.overrides\.ensemble\.prior: cat is no label"):
        sections.check_priors(own, ("yes", "no"))


HEARD = {"runs": {**RUNS, "net": {"heard_judges": True}}}


def test_where_a_member_has_heard_the_judges_no_weight_is_fitted():
    assert sections.voters({**TREE, **HEARD}, "vote")[0].weights == "equal"
    told = {"weights": {"net": 1, "words": 2}}
    assert sections.voters({**TREE, **HEARD, "ensemble": told}, "ensemble")[0].weights == told["weights"]
    without = {"runs": ["words", "pupil"], "weights": "stacking"}
    assert sections.voters({**TREE, **HEARD, "ensemble": without}, "ensemble")[0].weights == "stacking"
    for settings in ({"weights": "stacking"}, {"weights": "equal", "temperature": True}):
        with pytest.raises(PipelineError, match=r"section vote: .* the checkpoint of net was trained on"):
            sections.voters({**TREE, **HEARD, "vote": settings}, "vote")


def test_an_estimate_of_probes_says_that_they_chose_on_the_clips_that_judge():
    runs = {"net": {"model": "gru"}, "probe": {"model": "probes"}, "svm": {"like": "probe"}}
    assert sections.note_of({"runs": runs}, "net") == ""
    assert sections.note_of({"runs": runs}, "svm") == sections.OF_PROBES.format("svm")
    assert sections.note_of({"runs": runs}, "ensemble") == sections.OF_PROBES.format("probe, svm")
    heard = {"runs": {**runs, "net": {"model": "gru", "heard_judges": True}}}
    assert sections.note_of(heard, "ensemble").startswith("too high: the checkpoint of net")
    assert sections.note_of(heard, "ensemble").endswith(f"; {sections.OF_PROBES.format('probe, svm')}")


def test_an_estimate_says_what_makes_it_too_high():
    heard = "too high: the checkpoint of net was trained on clips that judge here"
    tree = {**TREE, **HEARD}
    assert sections.note_of(tree, "net") == heard
    assert sections.note_of(tree, "words") == ""
    for run in ("pupil", "heir", "ensemble"):
        assert sections.note_of(tree, run) == f"{heard}; {sections.OF_STUDENTS}"
        assert sections.note_of(TREE, run) == sections.OF_STUDENTS
    assert sections.note_of({**tree, "vote": {"runs": ["words"]}}, "pupil") == sections.OF_STUDENTS
    assert sections.note_of({**tree, "vote": {"weights": {"words": 1, "net": 0}}}, "pupil") == sections.OF_STUDENTS
    assert sections.note_of({**HEARD, "ensemble": {"weights": {"words": 1}}}, "ensemble") == ""
    assert sections.note_of({"runs": RUNS}, "ensemble") == ""
    assert [sections.has_heard_judges(tree, run) for run in ("net", "pupil", "words")] == [True, True, False]
