"""Earthquake catalogues out of the temporal ETAS model, and what it knows of the time to come.

In an epidemic-type aftershock sequence (Ogata, Journal of the American Statistical Association 83,
1988; Zhuang, Harte, Werner, Hainzl and Zhou, Community Online Resource for Statistical Seismicity
Analysis, 2012) events of the background come at a constant rate, and every event, whatever its
origin, triggers events of its own: the more the larger it is (productivity law), ever fewer as
time goes by (Omori-Utsu law). All draw their magnitudes from one distribution (Gutenberg-Richter
law). The rate at time t, in events per day, is ::

    background + sum of k(m_i) g(t - t_i) over the events i before t
    k(m) = branching_ratio 10^(alpha m) / (mean of 10^(alpha m) over all magnitudes)
    g(t) = (p - 1) / c (1 + t / c)^-p, which integrates to 1

Here magnitudes are multiples of 0.01, as catalogues write them, by their very distribution: nothing
is lost by rounding, and a threshold means the same to a reading and to a probability.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma

from foreshock._files import file_hash, write_atomic
from foreshock._json import decode, decode_document, encode_document
from foreshock._time import parse_time
from foreshock.readings.catalog import Catalog

MAX_EVENTS = 5_000_000
_DAY = 864 * 10**8  # microseconds
_SPACING = 0.4  # of the exponentials' rates, in their logarithm
_NODES = 512  # of the grid in time, per stretch
_BLOCK = 4096

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class EtasConfig:
    """A temporal ETAS model of earthquakes, and what to simulate of it.

    The defaults look like the catalogue of Northern California, 1968 to 2003, in hourly readings:
    the means of several seeds are within 15 % of its yearly numbers of events of at least
    magnitude 2, 3, 4 and 5, within 0.02 of its share of empty hours (0.78), within 30 % of the
    mean rate in each of six stretches from 1 hour to 100 days after a mainshock, within 25 % of
    the number of mainshocks, and within 10 and 15 % of the median and the upper tenth of the
    active hours in 512. benchmarks/etas.py prints these numbers and fits the parameters to them.
    """

    background: float = 1.5
    """Events per day that no other event triggered."""

    branching_ratio: float = 0.895
    """Mean number of events that an event triggers directly."""

    alpha: float = 0.59
    """Growth of aftershocks with magnitude: 10^alpha times as many per unit."""

    c: float = 0.009
    """Days before the rate of aftershocks starts to fall."""

    p: float = 1.17
    """Exponent of the fall of the aftershock rate: (1 + t / c)^-p."""

    b: float = 1.0
    """Gutenberg-Richter b: 10^b times fewer events per unit of magnitude."""

    bend: float = 3.0
    """Magnitude below which b_small replaces b, as in catalogues that miss small events."""

    b_small: float = 0.61
    """Gutenberg-Richter b below the bend."""

    min_magnitude: float = 2.0
    """Smallest magnitude."""

    max_magnitude: float = 7.5
    """Largest magnitude."""

    start: str = "1967-12-01"
    """Time of the start, with no events before it."""

    years: float = 36.0
    """Length in years of 365.25 days."""

    seed: int = 0
    """Seed of the random numbers."""

    def __post_init__(self) -> None:
        parse_time(self.start)
        for name in ("background", "c", "years"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}.")
        for name in ("alpha", "b", "b_small"):
            if not 0 <= getattr(self, name) <= 5:
                raise ValueError(f"{name} must be from 0 to 5, got {getattr(self, name)}.")
        if not 0 <= self.branching_ratio < 1:
            raise ValueError(
                f"branching_ratio must be at least 0 and below 1, got {self.branching_ratio}:"
                " above, the number of events grows without end."
            )
        if not 1 < self.p <= 3:
            raise ValueError(
                f"p must be above 1, or aftershocks never end, and at most 3, got {self.p}."
            )
        for name in ("min_magnitude", "max_magnitude", "bend"):
            value = getattr(self, name)
            if not (0 <= value <= 10 and abs(value * 100 - round(value * 100)) < 1e-6):
                raise ValueError(
                    f"{name} must be a multiple of 0.01 from 0 to 10, got {value}; round it."
                )
        if self.min_magnitude >= self.max_magnitude:
            raise ValueError(
                "min_magnitude must be below max_magnitude, got"
                f" {self.min_magnitude} and {self.max_magnitude}."
            )
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}.")


DEFAULT = EtasConfig()


def simulate(config: EtasConfig = DEFAULT) -> Catalog:
    """Simulate a catalogue, generation after generation of aftershocks.

    The process begins at `start` with nothing before it, so that the catalogue is its whole past,
    which `probability` asks for. Its rate is therefore low at first: with the default parameters,
    which were fitted so, 0.7 of the mean of the 36 years in the first year, 0.9 in the fifth; the
    next 36 years have a tenth more. To leave the beginning out, make `years` longer and read the
    catalogue from a later time (`CatalogConfig.since`).

    Parameters
    ----------
    config
        The model. The same configuration gives the same catalogue.

    Returns
    -------
    Catalog
        Its times are in whole milliseconds, its magnitudes multiples of 0.01; the events are of
        the kind "eq" and without a place.

    Raises
    ------
    ValueError
        There are no events, or more than `MAX_EVENTS`.
    """
    random = np.random.default_rng(config.seed)
    days = config.years * 365.25
    magnitudes, shares = _distribution(config)
    _refuse_more(config.background * days, config)
    born: Floats = random.uniform(0, days, random.poisson(config.background * days))
    times, sizes = [born], []
    while True:
        size = random.choice(magnitudes, len(born), p=shares)
        sizes.append(size)
        # children after the end are never drawn: each parent's own share of g lies before it
        within = -np.expm1((1 - config.p) * np.log1p(np.maximum(days - born, 0) / config.c))
        children = random.poisson(_productivity(config, size) * within)
        _refuse_more(sum(map(len, times)) + int(children.sum()), config)
        if not children.any():
            break
        part = random.uniform(size=children.sum()) * np.repeat(within, children)
        delay = config.c * np.expm1(np.log1p(-part) / (1 - config.p))
        born = np.repeat(born, children) + delay
        times.append(born)
    since = np.floor(np.concatenate(times) * (_DAY // 1000)).astype(np.int64)  # milliseconds
    order = np.argsort(since, kind="stable")
    if not len(order):
        raise ValueError(f"no event happened in {config.years:g} years; raise years or background.")
    nowhere = np.full(len(order), np.nan)
    return Catalog(
        time=parse_time(config.start) + since[order] * np.timedelta64(1000, "us"),
        magnitude=np.concatenate(sizes)[order],
        latitude=nowhere,
        longitude=nowhere,
        depth=nowhere,
        kind=np.full(len(order), "eq"),
        id=np.char.add("etas-", np.arange(1, len(order) + 1).astype("U7")),
    )


def probability(
    catalog: Catalog,
    config: EtasConfig,
    times: NDArray[np.datetime64],
    *,
    step: np.timedelta64,
    lead: int,
    horizon: int,
    event_above: float,
) -> Floats:
    """Return the true probability, given the whole past, that an event falls into a target.

    The target of a window that ends at t is the time from t + lead * step to t + (lead + horizon)
    * step. Events between t and its end that are not known at t, and what they trigger, are
    accounted for. No forecast from the past ranks targets better, on average. Cases are another
    matter: under a rule whose quiet stretch binds positives only, a window that holds an event
    cannot be a positive, so the best score is 0 there.

    Parameters
    ----------
    catalog
        Every event since the process began; times to the millisecond are exact enough, as c is
        minutes.
    config
        The model that it comes from. `start`, `years` and `seed` do not matter.
    times
        (n_windows,), datetime64, when the last reading of each window is complete. Events before
        it are known, those at it or later are not.
    step
        Time from one reading to the next.
    lead, horizon
        Readings between a window and its target, and of the target.
    event_above
        Smallest magnitude that counts.

    Returns
    -------
    NDArray[np.float64]
        (n_windows,), to some parts in 100,000: the grid in time is that fine.

    Raises
    ------
    ValueError
        An event has no magnitude, or one below the model's smallest.

    Notes
    -----
    Events after t that known events, or the background, trigger directly come as a Poisson process
    with a known rate, and each starts a cluster of its own. With R(s) the probability that the
    cluster of an event at t + s reaches the target, none does with probability ::

        exp(-integral over s of rate(t + s) R(s))

    R does not depend on the past: see `_reach`. With g as a sum of exponentials, w_j exp(-x_j t),
    the integral over one exponential of an event's aftershocks is its decayed size at t times a
    constant, and the sizes of all events are summed from one time to the next by recursion.
    """
    if not (catalog.magnitude > config.min_magnitude - 0.005).all():
        raise ValueError(
            f"each event must have a magnitude of at least {config.min_magnitude:g}, the model's"
            " min_magnitude; leave the others out."
        )
    known = catalog.time.astype("datetime64[us]").astype(np.int64)
    asked = times.astype("datetime64[us]").astype(np.int64)
    micro = int(step.astype("timedelta64[us]").astype(np.int64))
    gap, length = lead * micro / _DAY, horizon * micro / _DAY
    moments = np.concatenate([asked, known])
    span = float(np.ptp(moments)) / _DAY + gap + length
    rates, weights = exponentials(config, span)
    reached, total = _reach(config, rates, weights, gap, length, event_above)
    order = np.argsort(moments, kind="stable")  # at one time, what is asked precedes what happens
    size = np.concatenate([np.zeros(len(asked)), _productivity(config, catalog.magnitude)])
    expected = np.full(len(moments), config.background * total)
    for block, states in decayed(moments[order] / _DAY, size[order], rates):
        expected[order[block]] += states @ (weights * reached)
    chance: Floats = -np.expm1(-expected[: len(asked)])
    return chance


def exponentials(config: EtasConfig, span: float) -> tuple[Floats, Floats]:
    """Write g as a sum of exponentials, to 1e-7 of its value up to `span` days.

    The integral (t + c)^-p = 1 / Gamma(p) * integral of x^(p - 1) exp(-x (t + c)) over x, by the
    trapezoidal rule in log x, whose error falls exponentially with the spacing.

    Returns
    -------
    rates, weights
        (n_exponentials,) each: per day.
    """
    low = np.log(1e-9 / (span + config.c)) - 1 / config.p
    rates = np.exp(np.arange(low, np.log(40 / config.c), _SPACING))
    scale = (config.p - 1) / config.c * _SPACING / gamma(config.p)
    return rates, scale * (rates * config.c) ** config.p * np.exp(-rates * config.c)


def decayed(days: Floats, sizes: Floats, rates: Floats) -> Iterator[tuple[slice, Floats]]:
    """Sum the exponentially decayed sizes of all earlier events at each event, block by block.

    Parameters
    ----------
    days, sizes
        (n_events,), in the order of time.
    rates
        (n_exponentials,), per day.

    Yields
    ------
    block, states
        Which events, and (n_block, n_exponentials), the sums right before each of them.
    """
    state = np.zeros(len(rates))
    since = np.diff(days, prepend=days[:1])
    for begin in range(0, len(days), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        states = np.exp(-since[block, None] * rates)
        for row, size in zip(states, sizes[block].tolist(), strict=True):
            row *= state
            np.add(row, size, out=state)
        yield block, states


def _reach(
    config: EtasConfig,
    rates: Floats,
    weights: Floats,
    gap: float,
    length: float,
    event_above: float,
) -> tuple[Floats, float]:
    """Integrate R(s), the probability that the cluster of an event at s reaches the target.

    No event of a cluster is in the target if the first is not and the clusters of its children,
    which are a Poisson process, are not either ::

        1 - R(s) = sum over m of share(m) [not (m counts and s is in the target)]
                   exp(-k(m) integral of g(v - s) R(v) over v from s to the end)

    which is solved backwards from the end of the target, R being linear between points that are
    dense where g is steep: right before its end and right before its beginning.

    Returns
    -------
    reached, total
        (n_exponentials,), integrals of exp(-x_j s) R(s), and that of R(s), from 0 to the end.
    """
    magnitudes, shares = _distribution(config)
    productivity = _productivity(config, magnitudes)
    below = np.where(magnitudes < event_above - 1e-6, shares, 0.0)
    rates, weights = np.append(rates, 0.0), np.append(weights, 0.0)
    integrals = np.zeros(len(rates))  # of exp(-x_j (v - s)) R(v) over v from s to the end
    for stretch, missing in ((length, below), (gap, shares)):
        if not stretch:
            continue
        ahead = config.c * np.expm1(np.linspace(0, np.log1p(stretch / config.c), _NODES))
        steps = np.diff(ahead)[:, None]
        z = steps * rates
        small = z < 1e-2
        safe = np.where(small, 1.0, z)
        # the weights of R at both ends of a step, under exp(-x_j v) and a straight line
        series = 1 / 2 - z / 6 + z**2 / 24 - z**3 / 120
        near = np.where(small, series, (1 + np.expm1(-safe) / safe) / safe)
        far = 1 - near - z * near
        reach = 1 - missing @ np.exp(-productivity * (weights @ integrals))
        for decay, here, there in zip(np.exp(-z), steps * near, steps * far, strict=True):
            integrals = decay * integrals + there * reach
            known, own = weights @ integrals, weights @ here
            previous = -1.0
            while abs(reach - previous) > 1e-14:  # contracts by at most the branching ratio
                previous = reach
                reach = 1 - missing @ np.exp(-productivity * (known + own * reach))
            integrals += here * reach
    return integrals[:-1], float(integrals[-1])


def _distribution(config: EtasConfig) -> tuple[Floats, Floats]:
    """Return all magnitudes and the share of each, (n_magnitudes,)."""
    low, high = round(config.min_magnitude * 100), round(config.max_magnitude * 100)
    magnitudes = np.arange(low, high + 1) / 100
    above = np.maximum(magnitudes - config.bend, 0)
    shares = 10 ** -(config.b * above + config.b_small * np.minimum(magnitudes - config.bend, 0))
    return magnitudes, shares / shares.sum()


def _productivity(config: EtasConfig, magnitude: Floats) -> Floats:
    """Return the mean number of aftershocks that events of these magnitudes trigger themselves."""
    magnitudes, shares = _distribution(config)
    mean = shares @ 10 ** (config.alpha * magnitudes)
    productivity: Floats = config.branching_ratio / mean * 10 ** (config.alpha * magnitude)
    return productivity


def _refuse_more(number: float, config: EtasConfig) -> None:
    if number > MAX_EVENTS:
        raise ValueError(
            f"the catalogue would have more than {MAX_EVENTS:,} events; lower background"
            f" ({config.background:g}), branching_ratio ({config.branching_ratio:g}) or years"
            f" ({config.years:g})."
        )


def parameters_of(catalog: Path) -> Path:
    """Return the path of the file with the model that a catalogue was simulated by."""
    return catalog.with_name(f"{catalog.stem}.etas.json")


def write_parameters(config: EtasConfig, catalog: Path) -> None:
    """Write by what model a catalogue was simulated."""
    values = {"etas": dataclasses.asdict(config), "sha256": file_hash(catalog)}
    write_atomic(parameters_of(catalog), encode_document(values, digest=True), new=True)


def read_parameters(catalog: Path) -> EtasConfig:
    """Read by what model a catalogue was simulated.

    Raises
    ------
    ValueError
        The file is damaged, or the catalogue is no longer the one that was simulated.
    """
    path = parameters_of(catalog)
    values = decode_document(path.read_bytes(), path, sealed=True, error=ValueError)
    if values.get("sha256") != file_hash(catalog):
        raise ValueError(
            f"{path} belongs to another catalogue than {catalog}: delete it, or simulate again."
        )
    return decode(EtasConfig, values.get("etas", {}), str(path))
