"""What DVC only logs: the errors behind its counts of files that did not come or go."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager

_FULL = {errno.ENOSPC, errno.EDQUOT}


class DvcWarnings(logging.Handler):
    """Collects the warnings of DVC and its libraries."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.errors: list[BaseException] = []
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self.errors.append(error)
        self.said.append(record.getMessage() + (f": {error}" if error is not None else ""))

    def clear(self) -> None:
        """Forget what an earlier attempt said."""
        self.errors.clear()
        self.said.clear()

    def disk_full(self, error: BaseException | None = None) -> OSError | None:
        """Return the error that says that the disk is full, if there is one."""
        for each in (*self.errors, *([error] if error else [])):
            if isinstance(each, OSError) and each.errno in _FULL:
                return each
        return None


@contextmanager
def collected() -> Iterator[DvcWarnings]:
    """Collect what DVC logs in the block, in the place of printing it. It draws no progress bars then either."""
    warnings = DvcWarnings()
    loggers = [logging.getLogger(name) for name in ("dvc", "dvc_data", "dvc_objects")]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [warnings], False
        logger.setLevel(logging.WARNING)
    try:
        yield warnings
    finally:
        for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
