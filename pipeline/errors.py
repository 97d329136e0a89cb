"""The one exception that a user is meant to read."""


class PipelineError(Exception):
    """Something the user can mend. The message says what was found, where, and what to do.

    The verbs print it without a traceback and exit with status 1.
    """


class DivergedError(PipelineError):
    """A training whose network gives values that are no numbers."""


class HeldError(PipelineError):
    """Another process does what only one may do at a time."""


class UnreadableJsonError(PipelineError, ValueError):
    """A file of ours that does not hold what was written."""
