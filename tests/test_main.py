"""`python -m pipeline`: which stage modules are verbs."""

import sys


def test_a_stage_module_whose_main_takes_the_layout_alone_is_a_verb_that_is_imported_when_called(
    clone, tiny_params, tmp_path
):
    project = clone(tmp_path / "project", tiny_params)
    for name, content in {
        "plain": '"""plain: says so."""\n\nimport nowhere\n\n\ndef main(layout):\n    pass\n',
        "of_a_run": '"""Takes more."""\n\n\ndef main(layout, run):\n    pass\n',
        "_part": '"""A part of others."""\n\n\ndef main(layout):\n    pass\n',
    }.items():
        (project.root / "pipeline" / "stages" / f"{name}.py").write_text(content)
    listed = project.run(sys.executable, "-m", "pipeline", "--help")
    assert " plain " in listed
    assert " Says so." in listed
    assert not [name for name in ("of_a_run", "_part", "access") if f" {name} " in listed]
    output, status = project.outcome(sys.executable, "-m", "pipeline", "plain")
    assert status == 1
    assert "No module named 'nowhere'" in output
