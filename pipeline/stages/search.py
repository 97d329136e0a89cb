"""search: draw a run's values from the ranges that it names, train each draw, and tell the best as a run to paste."""

import pandas

from pipeline import params
from pipeline.files import replacing, yaml_text
from pipeline.jobs.searching import Search, pasteable
from pipeline.layout import Layout


def main(layout: Layout, name: str, trials: int, all_folds: bool) -> None:
    """Go on until there are so many trials; write artifacts/search/<run>/trials.csv and best.yaml, and print both.

    Killed, it goes on where it was. Started twice, two processes share the trials. Raises PipelineError as `Search`.
    """
    tree = params.read(layout.params)
    search = Search(layout, tree, name, all_folds)
    study = search.open()
    if not study.starts_from_the_run:
        print("The run's own values are not all in its ranges, so no trial has them.")
    while True:
        with study.next(trials) as trial:
            if trial is None:
                break
            told = ", ".join(f"{key} {value}" for key, value in trial.values.items())
            print(f"trial {trial.number} {'goes on' if trial.is_resumed else 'begins'}: {told}", flush=True)
            search.attempt(study, trial)
        row, best = study.rows()[trial.number], study.best()
        print(
            f"trial {row.number} {row.state}"
            + (f", {row.figure:.4f}" if row.figure is not None else "")
            + (f"; the best of {len(study.rows())} is trial {best.number}, {best.figure:.4f}" if best else "")
            + f"; {trials} are asked for",
            flush=True,
        )
    rows = [{**vars(row), **row.values} for row in study.rows()]
    table = pandas.DataFrame(rows).drop(columns="values").sort_values("figure", ascending=False, kind="stable")
    folder = layout.search(name)
    with replacing(folder / "trials.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    print(f"\n{table.to_string(index=False, na_rep='-', float_format=lambda value: f'{value:.4g}')}\n")
    best = study.best()
    if best is None:
        (folder / "best.yaml").unlink(missing_ok=True)  # of an earlier search
        print(f"No trial has ended well. {folder / 'trials.csv'}")
        return
    first, folds = next(iter(study.rows())), " and ".join(map(str, search.folds))
    now = f"; the run as it is: {first.figure:.4f}" if study.starts_from_the_run and first.figure is not None else ""
    said = f"# The best of {len(rows)} trials, on the clips that judge fold {folds}: {best.figure:.4f}{now}\n"
    text = said + yaml_text(pasteable(tree, name, best.values))
    with replacing(folder / "best.yaml") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{text}\n{folder / 'best.yaml'} and trials.csv. Chosen on those clips, so its figure is too kind.")
