import pytest
from pydantic import ValidationError

from pipeline.examples.task import Presence, Task

SPEECH = Presence(name="speech")


@pytest.mark.parametrize(
    ("task", "is_submitted", "exclusive"),
    [
        (Task(), True, True),
        (Task(vocabulary="words"), True, True),
        (Task(target="speaker"), False, True),
        (Task(target="tags"), False, False),
        (Task(presence=SPEECH), False, True),
        (Task(target="tags", presence=SPEECH), False, True),
    ],
)
def test_a_task_says_whether_it_is_submitted_and_whether_its_labels_are_exclusive(task, is_submitted, exclusive):
    assert (task.is_submitted, task.exclusive) == (is_submitted, exclusive)


def test_thirty_words_and_ten_commands_are_one_question():
    assert Task().question == Task(vocabulary="words").question
    others = [Task(target="speaker"), Task(presence=SPEECH), Task(presence=Presence(name="speech", of=["Speech"]))]
    assert len({task.question for task in [Task(), *others]}) == 4


@pytest.mark.parametrize(
    "values", [{"vocabulary": "letters"}, {"presence": {"name": "it", "of": []}}, {"presence": {}}, {"target": 3}]
)
def test_what_is_no_task_is_refused(values):
    with pytest.raises(ValidationError):
        Task(**values)
