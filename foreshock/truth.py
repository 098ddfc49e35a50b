"""What a simulated catalogue knows of the cases that are cut from it: their true probabilities."""

import dataclasses
import logging
from pathlib import Path

import numpy as np

from foreshock._files import file_hash, write_atomic
from foreshock._json import decode, decode_document, encode_document
from foreshock.problems.problem import Problem
from foreshock.readings.catalog import Catalog
from foreshock.readings.etas import EtasConfig, probability

logger = logging.getLogger(__name__)


def parameters_of(catalog: Path) -> Path:
    """Name the file beside a catalogue that says by what model it was simulated."""
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
            f"{path} is of another catalogue than {catalog}: delete it, or simulate again."
        )
    return decode(EtasConfig, values.get("etas", {}), str(path))


def add_chance(problem: Problem, catalog: Catalog, config: EtasConfig) -> Problem:
    """Add the true probability of each case to a problem, where the simulation knows it.

    It is the probability, given all that happened before, of an event in the target; and 0 where
    the rule lets no positive be, because the quiet stretch before the target holds an event by the
    end of the window. No model can rank the cases better, but by chance, as far as the rule's
    choice among the others has nothing to do with what a window holds.

    Parameters
    ----------
    problem
        Cut from the readings of the catalogue.
    catalog, config
        What was simulated, and how.
    """
    rule, readings = problem.rule, problem.readings
    assert rule is not None and readings is not None and problem.ends is not None
    source = readings.source
    if rule.lead and rule.quiet:
        logger.warning("Where quiet reaches over a lead, true probabilities are not known.")
        return problem
    if rule.event_above is None or rule.channel != "maximum" or source is None:
        return problem  # the simulation knows of other events
    event_above = max(rule.event_above, source.catalog.min_magnitude)
    chance = probability(
        catalog,
        config,
        problem.ends + readings.step,
        step=readings.step,
        lead=rule.lead,
        horizon=rule.horizon,
        event_above=event_above,
    )
    watched = readings.values[rule.watched(readings.channels)]
    rule = rule.less(readings.offset, readings.channels)
    events = np.flatnonzero(watched >= np.float32(rule.event_above))
    last = readings.positions(problem.ends)
    first = last + 1 - rule.quiet
    disturbed = np.searchsorted(events, last, side="right") > np.searchsorted(events, first)
    chance[disturbed & (first <= last)] = 0
    return dataclasses.replace(problem, chance=chance.astype(np.float32))
