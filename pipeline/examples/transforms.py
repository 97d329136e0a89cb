"""Our own transforms, in the shape of audiomentations': each class here can be named in `augmentation`."""

import math
import random
from collections.abc import Sequence

import numpy as np
import scipy.fft
from audiomentations.core.transforms_interface import BaseWaveformTransform
from numpy.typing import NDArray

from pipeline.clips.waveform import CLIP_SAMPLES
from pipeline.examples.training_data import as_float

SLOWEST, FASTEST = 0.5, 2.0
LOWEST_HZ, HIGHEST_HZ = 20.0, 8000.0
OCTAVES_HZ = 62.5 * 2.0 ** np.arange(8)  # to 8 kHz
CUT_DB_PER_OCTAVE = 24.0
LONGEST_RT60_S = 2.0


class Speed(BaseWaveformTransform):
    """Play a clip faster or slower (pitch moves along), about its middle; the length stays.

    Raises ValueError for speeds outside of 0.5 to 2, or in the wrong order.
    """

    def __init__(self, min_speed: float = 0.9, max_speed: float = 1.1, p: float = 0.5) -> None:
        super().__init__(p)
        if not SLOWEST <= min_speed <= max_speed <= FASTEST:
            raise ValueError(f"{SLOWEST} <= min_speed <= max_speed <= {FASTEST} does not hold")
        self.min_speed = min_speed
        self.max_speed = max_speed

    def randomize_parameters(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        super().randomize_parameters(samples, sample_rate)
        if self.parameters["should_apply"]:
            self.parameters["speed"] = random.uniform(self.min_speed, self.max_speed)

    def apply(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        middle = len(samples) / 2
        places = np.arange(len(samples), dtype=np.float64)
        at = (places - middle) * self.parameters["speed"] + middle
        # Linear interpolation: the aliasing it leaves at these ratios lies far under the noise added later.
        return np.interp(at, places, samples, left=0, right=0).astype(np.float32)


class MicrophoneResponse(BaseWaveformTransform):
    """Colour a clip as another microphone would: a smooth response over frequency, and a narrower band.

    The gain at each octave from 62.5 Hz to 8 kHz is drawn from -max_gain_db to max_gain_db, and linear in dB over log
    frequency between them (FilterAugment: Nam, Kim and Park, ICASSP 2022, on waveforms and not on filter banks).
    Half of the clips lose what is above a frequency drawn from min_high_cut_hz to 8 kHz, half what is below one drawn
    from 20 Hz to max_low_cut_hz, at 24 dB an octave. The phase stays.
    Raises ValueError for a negative gain and for cuts outside of 20 Hz to 8 kHz or in the wrong order.
    """

    def __init__(
        self,
        max_gain_db: float = 8.0,
        max_low_cut_hz: float = 300.0,
        min_high_cut_hz: float = 1500.0,
        p: float = 0.5,
    ) -> None:
        super().__init__(p)
        if max_gain_db < 0:
            raise ValueError("max_gain_db >= 0 does not hold")
        if not LOWEST_HZ <= max_low_cut_hz <= min_high_cut_hz <= HIGHEST_HZ:
            raise ValueError(f"{LOWEST_HZ} <= max_low_cut_hz <= min_high_cut_hz <= {HIGHEST_HZ} does not hold")
        self.max_gain_db = max_gain_db
        self.max_low_cut_hz = max_low_cut_hz
        self.min_high_cut_hz = min_high_cut_hz

    def randomize_parameters(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        super().randomize_parameters(samples, sample_rate)
        if self.parameters["should_apply"]:
            self.parameters["gains_db"] = [random.uniform(-self.max_gain_db, self.max_gain_db) for _ in OCTAVES_HZ]
            low, high = LOWEST_HZ, HIGHEST_HZ
            if random.random() < 0.5:
                low = math.exp(random.uniform(math.log(LOWEST_HZ), math.log(self.max_low_cut_hz)))
            if random.random() < 0.5:
                high = math.exp(random.uniform(math.log(self.min_high_cut_hz), math.log(HIGHEST_HZ)))
            self.parameters["band_hz"] = low, high

    def apply(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        spectrum = scipy.fft.rfft(samples)
        octaves = np.log2(np.maximum(scipy.fft.rfftfreq(len(samples), 1 / sample_rate), LOWEST_HZ))
        low, high = np.log2(self.parameters["band_hz"])
        gain_db = np.interp(octaves, np.log2(OCTAVES_HZ), self.parameters["gains_db"])
        gain_db -= CUT_DB_PER_OCTAVE * (np.maximum(low - octaves, 0) + np.maximum(octaves - high, 0))
        spectrum *= (10 ** (gain_db / 20)).astype(np.float32)
        return scipy.fft.irfft(spectrum, n=len(samples)).astype(np.float32, copy=False)


class Room(BaseWaveformTransform):
    """Let a clip sound in a room: the direct sound, and after it a decaying tail of noise (Polack's model).

    The time in which the tail falls by 60 dB is drawn from min_rt60_s to max_rt60_s, the direct sound's level over the
    tail's from min_direct_db to max_direct_db. The level of the clip stays.
    Raises ValueError for times that are not above 0 or are above 2 s, and for limits in the wrong order.
    """

    def __init__(
        self,
        min_rt60_s: float = 0.1,
        max_rt60_s: float = 0.6,
        min_direct_db: float = -3.0,
        max_direct_db: float = 15.0,
        p: float = 0.3,
    ) -> None:
        super().__init__(p)
        if not 0 < min_rt60_s <= max_rt60_s <= LONGEST_RT60_S:
            raise ValueError(f"0 < min_rt60_s <= max_rt60_s <= {LONGEST_RT60_S} does not hold")
        if min_direct_db > max_direct_db:
            raise ValueError("min_direct_db <= max_direct_db does not hold")
        self.min_rt60_s, self.max_rt60_s = min_rt60_s, max_rt60_s
        self.min_direct_db, self.max_direct_db = min_direct_db, max_direct_db

    def randomize_parameters(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        super().randomize_parameters(samples, sample_rate)
        if self.parameters["should_apply"]:
            self.parameters["rt60_s"] = random.uniform(self.min_rt60_s, self.max_rt60_s)
            self.parameters["direct_db"] = random.uniform(self.min_direct_db, self.max_direct_db)
            self.parameters["seed"] = random.getrandbits(32)

    def apply(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        rt60 = self.parameters["rt60_s"] * sample_rate
        tail = np.random.default_rng(self.parameters["seed"]).standard_normal(int(rt60), dtype=np.float32)
        tail *= np.exp(np.arange(len(tail), dtype=np.float32) * np.float32(-math.log(1000) / rt60))
        direct = 10 ** (self.parameters["direct_db"] / 20)
        response = np.concatenate([np.ones(1, np.float32), tail / np.float32(np.linalg.norm(tail) * direct)])
        size = scipy.fft.next_fast_len(len(samples) + len(response) - 1, real=True)
        heard = scipy.fft.irfft(scipy.fft.rfft(samples, size) * scipy.fft.rfft(response, size), size)[: len(samples)]
        power, was = float(np.mean(heard**2)), float(np.mean(samples**2))
        return heard * np.float32(math.sqrt(was / power)) if power else samples


class AddNoise(BaseWaveformTransform):
    """Add a random stretch of a background recording at a random signal-to-noise ratio.

    audiomentations' AddBackgroundNoise reads files; here the recordings are already in memory, and only their training
    stretches are given: int16 [samples] each. Those shorter than a second are not used.
    Raises ValueError for ratios in the wrong order.
    """

    def __init__(
        self,
        noises: Sequence[NDArray[np.int16]],
        min_snr_db: float = -5.0,
        max_snr_db: float = 30.0,
        p: float = 0.5,
    ) -> None:
        super().__init__(p)
        if min_snr_db > max_snr_db:
            raise ValueError("min_snr_db <= max_snr_db does not hold")
        self.noises = [noise for noise in noises if len(noise) >= CLIP_SAMPLES]
        self.min_snr_db = min_snr_db
        self.max_snr_db = max_snr_db

    def randomize_parameters(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        super().randomize_parameters(samples, sample_rate)
        if self.parameters["should_apply"] and self.noises:
            self.parameters["noise"] = random.randrange(len(self.noises))
            spare = len(self.noises[self.parameters["noise"]]) - len(samples)
            self.parameters["start"] = random.randint(0, max(0, spare))
            self.parameters["snr_db"] = random.uniform(self.min_snr_db, self.max_snr_db)

    def apply(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        if not self.noises:
            return samples
        start = self.parameters["start"]
        recording = self.noises[self.parameters["noise"]]
        stretch = recording[start : start + len(samples)]
        if len(stretch) < len(samples):
            # A transform before this one has made the clip longer than the recording: it goes round.
            stretch = np.take(recording, np.arange(start, start + len(samples)), mode="wrap")
        return _with_noise(samples, as_float(stretch), self.parameters["snr_db"])


class AddBabble(BaseWaveformTransform):
    """Add a crowd: other training clips of words, equally loud and each turned by a time of its own, at a random ratio.

    The ratio is that of the clip to the whole crowd. Three to seven talkers are the babble of Snyder et al. (x-vectors,
    ICASSP 2018). `speech` is int16 [samples] each. Raises ValueError for ratios or talkers in the wrong order, and for
    less than one talker.
    """

    def __init__(
        self,
        speech: Sequence[NDArray[np.int16]],
        min_talkers: int = 3,
        max_talkers: int = 7,
        min_snr_db: float = 5.0,
        max_snr_db: float = 20.0,
        p: float = 0.5,
    ) -> None:
        super().__init__(p)
        if not 1 <= min_talkers <= max_talkers:
            raise ValueError("1 <= min_talkers <= max_talkers does not hold")
        if min_snr_db > max_snr_db:
            raise ValueError("min_snr_db <= max_snr_db does not hold")
        self.speech = speech
        self.min_talkers, self.max_talkers = min_talkers, max_talkers
        self.min_snr_db, self.max_snr_db = min_snr_db, max_snr_db

    def randomize_parameters(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        super().randomize_parameters(samples, sample_rate)
        if self.parameters["should_apply"] and len(self.speech):
            talkers = random.randint(self.min_talkers, self.max_talkers)
            self.parameters["talkers"] = [random.randrange(len(self.speech)) for _ in range(talkers)]
            self.parameters["turns"] = [random.random() for _ in range(talkers)]
            self.parameters["snr_db"] = random.uniform(self.min_snr_db, self.max_snr_db)

    def apply(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        crowd = np.zeros(len(samples), np.float32)
        for talker, turn in zip(self.parameters.get("talkers", []), self.parameters.get("turns", []), strict=True):
            said = np.asarray(self.speech[talker], np.float32)
            loudness = float(np.sqrt(np.mean(said**2)))
            if loudness:
                crowd += np.resize(np.roll(said, int(turn * len(said))), len(samples)) / np.float32(loudness)
        return _with_noise(samples, crowd, self.parameters["snr_db"]) if crowd.any() else samples


def _with_noise(samples: NDArray[np.float32], noise: NDArray[np.float32], snr_db: float) -> NDArray[np.float32]:
    """Return the sum of both, float32 [samples], the noise at `snr_db` under the samples."""
    signal_rms = float(np.sqrt(np.mean(samples**2)))
    noise_rms = float(np.sqrt(np.mean(noise**2)))
    if signal_rms == 0 or noise_rms == 0:  # digital silence stays what it is: there is no ratio to it
        return samples
    return samples + noise * np.float32(signal_rms / noise_rms * 10 ** (-snr_db / 20))
