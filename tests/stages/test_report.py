"""The page of a small judged competition, whose clips have hostile names: its text, and the page in a real browser."""

import base64
import json
import shutil
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
from pyarrow import parquet

from pipeline.clips.corpus import Corpus
from pipeline.delivery import ledger
from pipeline.jobs.provenance_page import costs
from pipeline.scoring.probabilities import Probabilities
from pipeline.stages import decide, ensemble, report, resolve, score
from tests.browser import Browser
from tests.conftest import page_values
from tests.stages.conftest import JudgedProject

SCRIPT = "</script><script>window.hacked = 1</script>"
IMAGE = '"><img src=x onerror="window.hacked = 1">'
RIGHT_TO_LEFT = "‮שלום‬ 'quoted\" & <b>"
LONG = "x" * 300
SPEAKERS = [SCRIPT, IMAGE, RIGHT_TO_LEFT, LONG]
CURVE = "step\tloss\n1\t2.5\n2\t1.25\n3\t0.9\n"


def made_hostile(project: JudgedProject) -> None:
    """Give clips sound, speakers and unknown words hostile names, a run a hostile claim, and each run its curves."""
    folder = project.layout.prepare
    rows = parquet.read_table(folder / "rows.parquet").to_pandas()
    judged = np.flatnonzero(rows["split"] == "validation")
    renamed = {rows["clip"][row]: f"{name}_{rows['clip'][row]}" for row, name in zip(judged, SPEAKERS, strict=False)}
    rows["clip"] = rows["clip"].replace(renamed)
    rows.loc[judged, "speaker"] = [SPEAKERS[number % 4] for number in range(len(judged))]
    rows.loc[rows["word"] == "dog", "word"] = SCRIPT
    schema = parquet.read_schema(folder / "rows.parquet")
    parquet.write_table(pyarrow.Table.from_pandas(rows, schema, preserve_index=False), folder / "rows.parquet")
    about = json.loads((folder / "corpus.json").read_text())
    about["words"] = [SCRIPT if word == "dog" else word for word in about["words"]]
    (folder / "corpus.json").write_text(json.dumps(about))
    sound = np.random.default_rng(0).normal(0, 3000, (len(rows), 16_000)).astype(np.int16)
    np.save(folder / "audio-00000.npy", sound)
    project.configure(report={"clips": 40})
    project.configure(runs={**project.params["runs"], "ast": {"model": "ast", "reported": f"private 0.85727 {SCRIPT}"}})
    for run in project.params["runs"]:
        path = project.probabilities(run) / "out_of_fold.parquet"
        table = Probabilities.read(path)
        named = [renamed.get(clip, clip) for clip in table.clips]
        labels = [SCRIPT if label == "dog" else label for label in table.labels]
        # So that all runs are wrong about the same clips.
        misheard = np.array([clip.endswith("_0.wav") for clip in table.clips])
        values = np.where(misheard[:, None], np.roll(table.values, 1, axis=1), table.values)
        Probabilities(named, labels, values, run, table.corpus).write(path)
        for name in ("holdout", "test"):
            other = Probabilities.read(project.probabilities(run) / f"{name}.parquet")
            Probabilities(other.clips, labels, other.values, run, other.corpus).write(
                project.probabilities(run) / f"{name}.parquet"
            )
        for part in ("train", "validation"):
            curve = project.layout.run(run).live(0) / "plots" / "metrics" / part / "loss.tsv"
            curve.parent.mkdir(parents=True)
            curve.write_text(CURVE)
    project.corpus = Corpus.open(folder)
    pandas.DataFrame({"part": ["train"], "clip": [IMAGE], "action": ["left out"], "reason": [SCRIPT]}).to_csv(
        folder / "quarantine.csv", index=False
    )


@pytest.fixture(scope="module")
def project(judged_template, tmp_path_factory) -> JudgedProject:
    """The competition, decided, scored and on its page."""
    project = judged_template.copy(tmp_path_factory.mktemp("report"))
    made_hostile(project)
    for run in project.params["runs"]:
        decide.main(project.layout, run)
    for stage in (ensemble, score, report):
        stage.main(project.layout)
    return project


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.driver.quit()


@pytest.fixture
def browser(chromium, project) -> Browser:
    """The page, just opened from the disk, without a network."""
    chromium.console()
    chromium.cdp("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    chromium.cdp("Network.emulateNetworkConditions", offline)
    chromium.open(project.layout.report)
    return chromium


def content(project: JudgedProject, block: str) -> Any:
    """Return one of the page's blocks of values."""
    return page_values(project.layout.report, block)


def test_the_same_inputs_give_the_same_bytes(project):
    before = project.layout.report.read_bytes()
    report.main(project.layout)
    assert project.layout.report.read_bytes() == before


def test_without_audio_the_page_carries_no_sample_and_no_spectrogram(project, tmp_path):
    assert len(content(project, "media")) > 20
    assert "UklGR" in project.layout.report.read_text(encoding="utf-8")  # RIFF
    silent = project.copy(tmp_path)
    silent.configure(report={"audio": False})
    report.main(silent.layout)
    page = silent.layout.report.read_text(encoding="utf-8")
    assert content(silent, "media") == {}
    assert "UklGR" not in page
    assert "iVBORw0KGgo" not in page
    assert "report.audio" in page


def test_as_many_clips_are_carried_as_are_asked_for(project, tmp_path):
    few = project.copy(tmp_path)
    few.configure(report={"clips": 5})
    report.main(few.layout)
    assert len(content(few, "media")) == 5


def test_what_it_tells_is_what_the_stages_say(project):
    told = content(project, "told")
    figures = json.loads((project.layout.submission(told["lead"]) / "metrics.json").read_text())
    run = told["runs"][told["lead"]]
    assert {each["label"]: round(each["value"], 5) for each in run["recalls"]} == figures["estimate"]["recalls"]
    assert sum(map(sum, run["counts"])) == figures["estimate"]["clips"]
    points = {(each["run"], each["kind"]): each["value"] for each in told["standing"]["points"]}
    assert points[told["lead"], "estimate"] == figures["estimate"]["prior_accuracy"]
    assert points["ast", "reported"] == 0.85727
    assert told["runs"]["ast"]["curves"]["loss"][-1] == {"epoch": 3, "value": 0.9, "fold": 0, "part": "validation"}
    assert told["data"]["quarantine"]["clips"] == 1
    page = project.layout.report.read_text(encoding="utf-8")
    judged = (
        "104 of 117 labelled clips were judged out of fold (with <code>prepare.folds</code> above 1, all of them in"
    )
    assert judged in page  # of one fold: the clips of "train" are not, those held out do not count


def test_how_many_changes_are_not_listed_is_told(project, tmp_path):
    many = project.copy(tmp_path)
    for number in range(14):
        row = ledger.Row(
            f"2026-01-{number + 1:02}T00:00:00+00:00", f"old-{number}", ledger.KAGGLE, "0.8", "0.8", "", "", ""
        )
        ledger.append(many.layout.ledger, row)
    report.main(many.layout)
    before, after = (each.layout.report.read_text(encoding="utf-8") for each in (project, many))
    assert "whose scores are older" not in before
    assert after.count(">its first score</td>") == 12
    assert "5 more, whose scores are older, are not listed." in after  # of 14 and of the project's own three


def test_of_many_lines_of_a_leaderboard_the_two_highest_are_named_in_the_chart(project, tmp_path):
    many = project.copy(tmp_path)
    lines = {"a": 0.85, "b": 0.91, "c": 0.9, "d": 0.8}
    many.configure(report={"leaderboard": lines})
    report.main(many.layout)
    drawn = {line["name"]: line["side"] for line in content(many, "told")["standing"]["lines"]}
    assert drawn == {"a": "", "b": "right", "c": "left", "d": ""}


def test_of_the_costs_those_are_named_that_no_cheaper_run_beats():
    def row(run, seconds, value, question="word"):
        return SimpleNamespace(run=run, train_seconds=seconds, question=question, estimate=SimpleNamespace(value=value))

    rows = [row("slow", 90, 0.9), row("good", 20, 0.9), row("quick", 5, 0.7), row("bad", 30, 0.6), row("vote", None, 1)]
    assert all(point["named"] for point in costs(rows))  # few
    worse = [row(f"worse-{number}", 95, 0.2) for number in range(6)]
    points = costs([*rows, *worse, row("other", 50, 0.1, "speaker")])
    assert {point["run"] for point in points if point["named"]} == {"quick", "good", "other"}


def test_a_run_of_which_another_training_is_asked_by_now_is_marked(project, tmp_path):
    other = project.copy(tmp_path)
    resolve.main(other.layout)
    runs = other.params["runs"]
    first = next(iter(runs))
    other.configure(runs={**runs, first: {**runs[first], "seed": 7}})
    report.main(other.layout)
    told = content(other, "told")["runs"]
    assert {run for run, says in told.items() if says.get("edited")} == {first}


def test_without_a_score_it_says_whether_there_will_be_one(project, tmp_path):
    unscored = project.copy(tmp_path)
    unscored.layout.ledger.unlink()
    report.main(unscored.layout)
    assert "No file has a score yet: <code>dvc repro</code> ends with it." in unscored.layout.report.read_text("utf-8")
    (unscored.layout.prepare / "answers.csv").write_text("fname,label,usage\n")  # as of the competition's own clips
    report.main(unscored.layout)
    page = unscored.layout.report.read_text("utf-8")
    assert "No file has a score yet: the answers of this test set are not known here." in page


def test_before_anything_is_made_it_says_so(judged_template, tmp_path, capsys):
    (tmp_path / "params.yaml").write_bytes(judged_template.layout.params.read_bytes())
    report.main(type(judged_template.layout)(tmp_path))
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Nothing is decided yet" in page
    assert "The corpus is not made yet" in page


def test_it_opens_from_the_disk_without_a_network_and_draws_all_charts(browser):
    assert browser.console() == []
    drawn = browser.ask(
        "return [...document.querySelectorAll('.chart')].map((each) =>"
        " [each.dataset.chart || each.dataset.chartIn, each.querySelectorAll('svg path[d], svg line').length])"
    )
    assert {name for name, _ in drawn} >= {"standing", "drift", "rebalanced", "reliability", "thresholds", "bars"}
    assert [name for name, marks in drawn if marks < 3] == []
    asked = browser.ask("return performance.getEntriesByType('resource').map((each) => each.name.slice(0, 5))")
    assert set(asked) <= {"data:", "blob:"}


@pytest.mark.parametrize("width", [1400, 390])
def test_what_runs_say_of_a_clip_is_broken_in_no_figure(width, browser, project):
    browser.open(project.layout.report, width)
    browser.ask("for (const each of document.querySelectorAll('.clip details')) each.open = true")
    said = browser.ask(
        "return [...document.querySelectorAll('.clip dd span')].filter((each) => each.textContent.length < 20)"
        " .map((each) => each.getClientRects()[0].height)"
    )
    assert len(said) > 50
    assert max(said) < 24  # a line each


def test_hostile_names_stay_text(browser):
    assert browser.ask("return window.hacked") is None
    assert browser.ask("return document.querySelectorAll('img[src=x]').length") == 0
    text = browser.ask("return document.body.textContent")
    assert all(name in text for name in SPEAKERS)
    browser.click(".opens[data-run=words]")
    browser.settle()
    assert browser.ask("return window.hacked") is None


def test_the_table_is_sorted_and_searched(browser):
    def names():
        return browser.ask(
            "return [...document.querySelectorAll('tr.run')].filter((row) => !row.hidden).map((row) => row.id)"
        )

    before = names()
    assert len(before) == 3
    browser.click("th button[data-column='0']")
    assert names() == sorted(before)
    assert browser.ask("return document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "ascending"
    browser.click("th button[data-column='0']")
    assert names() == sorted(before, reverse=True)
    search = "const box = document.querySelector('[type=search]'); box.value = arguments[0]; "
    browser.ask(search + "box.dispatchEvent(new Event('input'))", "WAV2VEC2")
    assert names() == ["open-words"]
    assert browser.ask("return document.querySelector('[role=status]').textContent") == "1 of 3"


def test_a_row_opens_and_closes_from_the_keyboard(browser):
    opens = "const button = document.querySelector('.opens[data-run=ast]'); "
    browser.ask(opens + "button.focus(); button.click()")
    browser.settle()
    assert browser.ask(opens + "return button.getAttribute('aria-expanded')") == "true"
    inside = opens + "return button.closest('tr').nextSibling"
    assert browser.ask(inside + ".querySelectorAll('[data-drawn=yes] svg').length") >= 4
    browser.ask(opens + "button.click()")
    assert browser.ask(inside + ".hidden")


def test_a_cell_of_the_matrix_lists_its_clips_and_shares_can_be_shown(browser, project):
    told = content(project, "told")
    run = told["runs"][told["lead"]]
    cell, clips = next((cell, clips) for cell, clips in run["cells"].items() if len(set(cell.split(","))) == 2)
    browser.click(f"[data-cell='{cell}'].wrong")
    heard = browser.ask("return document.querySelector('.heard').textContent")
    assert all(told["clips"][number]["name"] in heard for number, _ in clips)
    truth, decided = map(int, cell.split(","))
    assert f"{run['labels'][truth]} taken for {run['labels'][decided]}" in heard
    text = f"return document.querySelector(\"button[data-cell='{truth},{truth}']\").textContent"
    assert browser.ask(text) == str(run["counts"][truth][truth])
    browser.click(".choice[aria-label^=Unit] button:last-child")
    assert browser.ask(text) == str(round(100 * run["counts"][truth][truth] / sum(run["counts"][truth])))


def test_where_answers_are_known_the_matrix_of_the_test_clips_is_a_click_away(browser, project):
    told = content(project, "told")
    run = told["runs"][told["lead"]]
    scores = json.loads(project.layout.scores.read_text())[told["lead"]]
    counts = np.array(run["test_counts"])
    right = sum((scores[part] or 0) * scores[f"n_{part}"] for part in ("private", "public"))
    assert counts.sum() == scores["n_private"] + scores["n_public"]
    assert np.trace(counts) == pytest.approx(right)
    browser.click("a[data-cell][data-run]")
    seen = "return [...document.querySelectorAll('.matrix')].map((each) => each.checkVisibility())"
    assert browser.ask(seen) == [True, False]
    browser.click(".choice[aria-label^=Clips] button:last-child")
    assert browser.ask(seen) == [False, True]
    shown = [
        each for each in ((row, cell) for row in range(len(counts)) for cell in range(len(counts))) if counts[each]
    ]
    browser.ask("document.querySelectorAll('.matrix')[1].querySelector('button').click()")
    heard = browser.ask("return document.querySelectorAll('.heard')[1].textContent")
    assert f"{counts[shown[0]]} clip" in heard
    assert heard.endswith("The page carries no test clips.")


def test_a_cell_is_shown_though_its_run_was_not_searched_for(browser, project):
    told = content(project, "told")
    other = next(run for run in told["runs"] if run != told["lead"])
    search = "const box = document.querySelector('[type=search]'); box.value = arguments[0]; "
    browser.ask(search + "box.dispatchEvent(new Event('input'))", "WAV2VEC2" if other == "words" else other)
    lead = f"document.getElementById('open-{told['lead']}')"
    assert browser.ask(f"return {lead}.hidden")
    browser.click("a[data-cell][data-run]")
    assert not browser.ask(f"return {lead}.hidden")
    assert browser.ask("return document.querySelector('[type=search]').value") == ""
    assert browser.ask("return document.querySelector('.heard').checkVisibility()")


def test_each_cell_of_the_matrix_can_be_reached_by_arrows(browser):
    """Also one without errors in its row and in its column."""
    press = (
        "const press = (key) =>"
        " document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));"
        "const at = () => document.activeElement.dataset.cell; "
    )
    every = "[...document.querySelector('.matrix').querySelectorAll('button')].map((each) => each.dataset.cell)"
    cells = browser.ask(f"document.querySelector('.matrix button').focus(); return {every}")
    walked = browser.ask(
        press + "const seen = [at()]; for (let n = 1; n < arguments[0]; n++) { press('ArrowRight');"
        "seen.push(at()); } return seen",
        len(cells),
    )
    assert walked == cells
    down = browser.ask(
        press + "document.querySelector('.matrix button').focus(); const seen = [at()];"
        "for (;;) { press('ArrowDown'); if (at() === seen.at(-1)) return seen; seen.push(at()); }"
    )
    rows = list(dict.fromkeys(cell.split(",")[0] for cell in cells))
    assert [cell.split(",")[0] for cell in down] == rows


def test_a_cell_is_heard_though_the_test_clips_were_looked_at(browser):
    browser.click(".choice[aria-label^=Clips] button:last-child")
    browser.click("a[data-cell][data-run]")
    assert browser.ask("return document.querySelector('.heard').checkVisibility()")
    assert browser.ask("return document.activeElement.dataset.cell") is not None


def test_charts_that_were_closed_while_the_window_changed_have_its_width(browser):
    lead = ".opens[aria-expanded=true]"
    browser.ask(f"window.was = document.querySelector('{lead}'); was.click()")
    size = {"width": 900, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.cdp("Emulation.setDeviceMetricsOverride", size)
    browser.ask("was.click()")
    widths = "[...document.querySelectorAll('.detail .chart svg')].map((each) => each.getBoundingClientRect().width)"
    browser.wait(f"return Math.min(...{widths}) > 100")


@pytest.mark.parametrize(
    ("share", "says"),
    [(0, "0 %"), (1, "100 %"), (0.5, "50 %"), (0.9997, "99.97 %"), (0.0004, "0.04 %"), (0.999999, "100.000 %")],
)
def test_a_share_is_all_or_nothing_only_where_it_is(share, says, browser):
    assert browser.ask("return percent(arguments[0])", share) == says


DRAW = (
    "const place = document.createElement('div'); place.style.width = '300px'; document.body.prepend(place);"
    "place.className = 'asked'; window.drawn = draw(place, arguments[0], {points: arguments[1]})"
)
TICKS = "return [...document.querySelectorAll('.asked .role-axis-label text')].map((each) => each.textContent)"


def test_bars_above_one_end_within_their_chart(browser):
    """The weights of a vote by stacking."""
    browser.ask(
        DRAW, "bars", [{"label": "gru", "value": 1.21, "tip": "gru"}, {"label": "ast", "value": 0.65, "tip": "ast"}]
    )
    browser.settle()
    assert max(map(float, filter(lambda text: text[0].isdigit(), browser.ask(TICKS)))) >= 1.2
    box = "const right = (each) => document.querySelector('.asked ' + each).getBoundingClientRect().right; "
    assert browser.ask(box + "return right('.mark-rect') <= right('.background') + 1")


def test_ticks_of_the_learning_rate_say_what_they_are(browser):
    points = [{"epoch": epoch, "value": 0.002 / epoch, "fold": 0, "part": "training"} for epoch in range(1, 9)]
    browser.ask(DRAW, "rate", points)
    browser.settle()
    assert {"0", "5e-4", "1e-3", "1.5e-3", "2e-3"} <= {text.replace("−", "-") for text in browser.ask(TICKS)}


def test_ticks_of_figures_that_lie_close_are_not_alike(browser):
    points = [{"epoch": epoch, "value": 0.965 + epoch / 1000, "fold": 0, "part": "validation"} for epoch in range(4)]
    browser.ask(DRAW, "score", points)
    browser.settle()
    told = browser.ask(TICKS)
    assert len(told) == len(set(told)) > 4


def test_a_player_plays(browser):
    browser.click("[data-clips=worst] .play")
    browser.wait("return playing && playing.audio.currentTime > 0.1")
    assert browser.ask("return playing.audio.duration") == pytest.approx(1, abs=0.01)
    browser.wait("return !playing")


@pytest.mark.parametrize(("scheme", "rules"), [("light", ""), ("dark", "color-contrast")])
def test_axe_finds_nothing_serious(scheme, rules, browser, project):
    """In the dark only the colours differ."""
    browser.open(project.layout.report, scheme=scheme)
    browser.click("[data-cell].wrong")
    assert browser.findings(rules) == []


@pytest.mark.parametrize("width", [320, 900, 1600])
def test_nothing_is_wider_than_the_window(width, browser, project):
    browser.open(project.layout.report, width)
    wider = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
    assert browser.ask(wider) == 0


def test_it_can_be_printed_from_the_dark_on_white_paper(browser, project):
    browser.open(project.layout.report, scheme="light")
    colours = "[...document.querySelectorAll('.matrix button')].map((each) => each.style.background).join()"
    light = browser.ask(f"return {colours}")
    browser.open(project.layout.report, scheme="dark")
    dark = browser.ask(f"addEventListener('beforeprint', () => {{ window.printed = {colours}; }}); return {colours}")
    assert base64.b64decode(browser.cdp("Page.printToPDF", {})["data"]).startswith(b"%PDF")
    assert dark != light
    assert browser.ask("return window.printed") == light
    assert browser.ask(f"return {colours}") == dark


def test_a_copy_elsewhere_is_the_same_page(browser, project, tmp_path):
    """Sent by mail: no file beside it is needed."""
    shutil.copy(project.layout.report, tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    assert browser.console() == []
    assert browser.ask("return document.querySelectorAll('svg.marks').length") > 5
