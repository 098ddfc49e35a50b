"""Draw a week of forecasts with their threshold, the alarms and what came: README's first picture.

python benchmarks/week.py RUN PROBLEM FROM -o docs/week.png

RUN is trained on PROBLEM, cut from readings of one unit, whose event is a channel above a value.
FROM is the first day.
"""

import argparse
from pathlib import Path

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np

import foreshock
from foreshock.reporting.run_data import read_run

BLUE, ORANGE, GRAY = "#1f6fb2", "#d9741c", "#9aa3ad"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("problem", type=Path)
    parser.add_argument("since", type=np.datetime64)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--days", type=int, default=7)
    options = parser.parse_args()
    run, problem = read_run(options.run), foreshock.load(options.problem)
    readings, rule, seen, alarms = problem.readings, problem.rule, run.forecasts, run.outcome.alarms
    begin = options.since.astype("datetime64[us]")
    end = begin + np.timedelta64(options.days, "D")
    at = np.arange(*readings.positions(np.array([begin, end])))
    measured = readings.true_values()[readings.channels.index(rule.channel), at]
    made = seen.time - (rule.lead + 1) * readings.step  # when the last reading was known
    inside = (made >= begin) & (made < end)
    when, proba, counts = made[inside], seen.proba[inside], ~seen.outside[inside]

    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(8.6, 4.2), sharex=True, height_ratios=(2, 3)
    )
    top.plot(readings.times(at), measured, color=GRAY, linewidth=1.2)
    over = measured >= rule.event_above
    top.plot(readings.times(at)[over], measured[over], ".", color=ORANGE, markersize=5)
    top.axhline(rule.event_above, color=ORANGE, linewidth=1, linestyle="--")
    top.set_ylabel(f"{rule.channel}, µg/m³")
    top.set_title(f"What came: {rule.channel} of {rule.event_above:g} or more", loc="left",
                  fontsize=10)  # fmt: skip
    bottom.plot(when, proba, color=GRAY, linewidth=1)
    bottom.plot(when, np.where(counts, proba, np.nan), color=BLUE, linewidth=1.8)
    bottom.axhline(alarms.threshold, color="black", linewidth=1, linestyle="--")
    high = counts & (proba >= alarms.threshold)
    bottom.fill_between(when, 0, 1, where=high, color=BLUE, alpha=0.15, step="post", linewidth=0)
    hours = rule.horizon * (readings.step / np.timedelta64(1, "h"))
    bottom.set_title(
        f"What was said: probability of it within {hours:g} hours; shaded: alarm; gray: it has"
        " begun", loc="left", fontsize=10,
    )  # fmt: skip
    bottom.set_ylim(0, 1)
    bottom.set_ylabel("probability")
    bottom.xaxis.set_major_locator(mdates.DayLocator())
    bottom.xaxis.set_major_formatter(mdates.DateFormatter("%a %-d"))
    for axes in (top, bottom):
        axes.spines[["top", "right"]].set_visible(False)
    bottom.set_xlabel(begin.astype(object).strftime("%B %Y"))
    figure.tight_layout()
    figure.savefig(options.output, dpi=110)


if __name__ == "__main__":
    main()
