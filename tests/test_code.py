"""The digests that DVC watches in place of code: each covers what is really imported, and nothing else."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import code, models, sources
from pipeline.jobs.resolving import resolved

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pipeline"

# Notes which module of ours imports which while all of them are imported, once.
IMPORT = """
import builtins, importlib, json, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
really, found = builtins.__import__, {}

def noting(name, globals=None, locals=None, fromlist=(), level=0):
    module = really(name, globals, locals, fromlist, level)
    by = (globals or {}).get("__name__", "")
    if by.startswith("pipeline."):
        each = [name, *(f"{name}.{part}" for part in fromlist or ())]
        found.setdefault(by, set()).update(e for e in each if e.startswith("pipeline.") and e in sys.modules)
    return module

builtins.__import__ = noting
for name in json.loads(sys.argv[2]):
    importlib.import_module(f"pipeline.{name}")
print(json.dumps({by: sorted(imported) for by, imported in found.items()}))
"""
FOUND_BY_NAME = [*(f"models.{name}" for name in models.names()), *(f"sources.{name}" for name in sources.names())]
NAMES = [*(f"stages.{stage}" for stage in code.stages()), *FOUND_BY_NAME]


def test_the_closure_covers_what_is_really_imported():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(ROOT), json.dumps(NAMES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    imports = json.loads(done.stdout.splitlines()[-1])
    for name in NAMES:
        really, left = set(), [f"pipeline.{name}"]
        while left:
            module = left.pop()
            if module not in really:
                really.add(module)
                left += imports.get(module, [])
        assert really <= {f"pipeline.{each}" for each in [*code.closure([name]), *code.PLUMBING]}, name
    assert "pipeline.clips.corpus" in imports["pipeline.stages.predict"]


def test_the_closure_sees_all_ways_of_importing():
    """Relative imports are not used, and a module is imported by a name that is only known later in one place."""
    by_name = set()
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            assert not (isinstance(node, ast.ImportFrom) and (node.level or node.names[0].name == "*")), path
        if "import_module" in text or "__import__" in text:
            by_name.add(path.relative_to(PACKAGE).as_posix())
    assert by_name == {"modules.py"}
    # What the package's own file says is in no digest: nothing.
    assert len(ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")).body) == 1


def imported_by_the_grammar(path):
    """Return all modules of the package, and names in them, that a file imports: the slow way."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def test_no_import_is_overlooked_by_searching_lines():
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")
        ours = {
            each.removeprefix("pipeline.") for each in imported_by_the_grammar(path) if each.startswith("pipeline.")
        }
        there = {each for each in ours if code._path(each).exists()}
        assert there <= set(code._imported(name)), path


def test_plumbing_shapes_no_result():
    """Plumbing imports nothing but plumbing, so nothing that shapes a result hides behind it."""
    for name in code.PLUMBING:
        assert {each for each in code._imported(name) if each not in code.PLUMBING} == set(), name


TREE = {
    "seed": 1,
    "download": {"source": "demo"},
    "runs": {
        "net": {"model": "convs2s", "training": {"epochs": 3}, "reported": "0.9"},
        "with-detector": {"model": "gru", "detector": {"model": "linear"}},
        "probe": {"model": "probes"},
    },
    "students": {"pupil": {"like": "net", "pseudo_labels": {"minimum": 0.5}}},
    "second_students": {"heir": {"like": "pupil"}},
}


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """`edited("clips/noise.py")`: the keys of the resolved parameters that differ after an edit of that file."""
    copied = tmp_path / "pipeline"
    shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "ROOT", copied)

    def now():
        code._source.cache_clear()
        code._data.cache_clear()
        code._imported.cache_clear()
        return flat(resolved(TREE))

    before = now()

    def edited(file):
        path = copied / file
        text = path.read_bytes()
        path.write_bytes(text + b"\n# edited\n")
        after = now()
        path.write_bytes(text)
        return {key for key in before if after[key] != before[key]}

    yield edited
    code._source.cache_clear()
    code._data.cache_clear()
    code._imported.cache_clear()


def flat(values, at=()):
    if isinstance(values, dict) and values:
        return {key: value for name, inside in values.items() for key, value in flat(inside, (*at, name)).items()}
    return {".".join(at): values}


TRAININGS = {"runs.net", "runs.with-detector", "runs.probe", "students.pupil.training"}
TRAININGS |= {"second_students.heir.training"}
PREDICTIONS = {f"code_of_predict.{name}" for name in ("net", "with-detector", "probe", "pupil", "heir")}
# All that a stage of the graph depends on: params of dvc.yaml.
BESIDE_THE_GRAPH = {
    f"code.{verb}"
    for verb in ("access", "bench", "compare", "export", "gate", "kernel", "listen", "prune", "resolve", "search")
}
BESIDE_THE_GRAPH |= {"code.fleet", "code.submissions", "code.submit", "code.validate", "code.watch"}
# Watched by the digests of runs and code_of_predict, with the models; these two stand for no stage of the graph.
BESIDE_THE_GRAPH |= {"code.train", "code.predict"}


def watched(keys):
    return keys - BESIDE_THE_GRAPH


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("reporting/confusion.py", "code.decide"),
        ("scoring/submission.py", "code.decide"),
        ("scoring/settings.py", "code.decide"),
        ("scoring/ensemble.py", "code.ensemble"),
    ],
)
def test_a_report_concerns_no_training(edited, file, stage):
    concerned = edited(file)
    assert not watched(concerned) & TRAININGS
    assert stage in concerned


def test_how_runs_vote_concerns_no_decision_of_one(edited):
    assert watched(edited("scoring/ensemble.py")) == {"code.vote", "code.ensemble"}


@pytest.mark.parametrize(
    "file", ["reporting/page/errors.py", "reporting/page/page.css", "reporting/page/charts/loss.json"]
)
def test_the_page_concerns_no_other_stage(edited, file):
    assert watched(edited(file)) == {"code.report"}


def test_the_trainer_concerns_networks_and_no_probe_decision_or_corpus(edited):
    changed = watched(edited("learners/trainer.py"))
    assert {"runs.net", "runs.with-detector", "code_of_predict.net"} <= changed
    assert not changed & {"code.prepare", "code.download", "code.decide", "code.ensemble", "code.score", "code.vote"}


def test_the_corpus_concerns_all_that_read_it(edited):
    changed = edited("clips/corpus.py")
    assert TRAININGS | PREDICTIONS | {"code.prepare", "code.decide"} <= changed
    assert "code.download" not in changed


def test_making_the_corpus_concerns_stage_prepare_alone(edited):
    for file in ("clips/preparation.py", "clips/splits.py", "clips/silence.py", "clips/intake.py"):
        assert watched(edited(file)) <= {"code.prepare", "code.check"}, file


@pytest.mark.parametrize("file", [f"{name}.py" for name in code.PLUMBING])
def test_plumbing_concerns_nothing(edited, file):
    assert edited(file) == set()


def test_another_model_is_told_to_the_stage_that_notes_what_each_run_reads():
    """Also where other runs have both models, so that the stage's code is the same."""
    assert resolved(TREE)["models"] == {
        "net": ["convs2s"],
        "with-detector": ["gru", "linear"],
        "probe": ["probes"],
        "pupil": ["convs2s"],
        "heir": ["convs2s"],
    }


def test_the_vote_watches_the_prior_that_it_reads():
    assert resolved(TREE)["prior"] == "uniform"
    own = {"overrides": {"ensemble": {"prior": {"yes": 1.0}}, "net": {"prior": {"no": 1.0}}}}
    assert resolved({**TREE, "decide": own})["prior"] == {"yes": 1.0}
