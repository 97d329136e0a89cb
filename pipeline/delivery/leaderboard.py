"""The place that a score would have on the leaderboard."""

from collections.abc import Sequence


def rank(score: float, board: Sequence[float]) -> int | None:
    """Return the place of `score`, 1 for the best, among `board`, best first; None for an empty board.

    Equal scores share the better place. Whether more is better is what the board's own order says.
    """
    if not board:
        return None
    if board[0] >= board[-1]:
        return 1 + sum(other > score for other in board)
    return 1 + sum(other < score for other in board)
