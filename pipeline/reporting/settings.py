"""The section `report` of params.yaml."""

from typing import Annotated

from pydantic import Field

from pipeline.clips.labels import COMMANDS
from pipeline.settings import Settings

# The private leaderboard of the TensorFlow Speech Recognition Challenge (1,315 teams): gold went to the first twelve.
LEADERBOARD = {"winner": 0.9106, "10th place, gold": 0.90355}


class Report(Settings):
    """What the page carries. `clips`: how many can be heard, 20 to 30 kB each; `audio: false` leaves out every sample
    and every spectrogram, which could be turned back into speech. `leaderboard`: lines to measure the runs by; None
    takes the challenge's, where its ten commands are learnt.
    """

    clips: int = Field(180, ge=0, le=1000)
    audio: bool = True
    leaderboard: dict[str, Annotated[float, Field(ge=0, le=1)]] | None = None

    def lines(self, commands: tuple[str, ...]) -> dict[str, float]:
        """Return the lines for runs that learn these commands."""
        if self.leaderboard is not None:
            return self.leaderboard
        return LEADERBOARD if set(commands) == set(COMMANDS) else {}
