"""`python -m pipeline`: which stage modules are verbs."""

import subprocess
import sys

import pytest

VERB = (sys.executable, "-m", "pipeline")


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


def test_of_several_processes_only_the_first_runs_a_stage_that_shares_nothing_out(clone, tiny_params, tmp_path):
    project = clone(tmp_path / "project", tiny_params)
    assert project.run(*VERB, "resolve", RANK="1", WORLD_SIZE="2") == ""
    assert not project.layout.resolved.exists()
    project.run(*VERB, "resolve", RANK="0", WORLD_SIZE="2")
    assert project.layout.resolved.exists()


# A folder that nobody may write to, for root neither; where mounting is not allowed, it cannot be tried.
READ_ONLY = "mount --bind . . && mount -o remount,bind,ro . && cd $PWD && exec "


def test_a_read_only_folder_ends_with_a_message(clone, tiny_params, tmp_path):
    project = clone(tmp_path / "project", tiny_params)
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*command, READ_ONLY + "true"], cwd=project.root, capture_output=True, check=False).returncode:
        pytest.skip("needs a mount of its own")
    output, status = project.outcome(*command, f"{READ_ONLY}{' '.join(VERB)} resolve")
    assert status == 1
    assert output.startswith("error: The file system is read-only: ")
    assert "Traceback" not in output
