"""The command line: errors as one line, exit codes, logging."""

import io
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from cyclopts import App, ArgumentCollection, CycloptsError, Parameter

from foreshock._version import __version__

FAILED, USAGE, INTERRUPTED = 1, 2, 130
_RENAMED = {"--log.unit": "--log.time-unit"}
COMMON = {
    "simulate": ("--output", "--years", "--start", "--min-magnitude", "--seed"),
    "cut": ("--output", "--events", "--rule.event-above", "--rule.window", "--rule.horizon"),
    "train": ("--run", "--preset", "--test", "--fit.epochs", "--seed"),
    "predict": ("--output", "--until", "--crop", "--coverage", "--json"),
    "benchmark": ("--output", "--preset", "--seed", "--processes", "--published"),
}
"""The options that a command's help shows first."""


def _base_config(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Check and complete the options before they are converted."""
    for argument in arguments:
        for token in argument.tokens:
            whole = argument.hint in (int, int | None, tuple[int, ...])
            if whole and "." in token.value:  # it would be rounded
                raise ValueError(f"{argument.name} must be a whole number, got {token.value}.")
    if commands in [("train",), ("benchmark",)]:
        from foreshock.cli.training import note_given

        note_given(app, commands, arguments)


def _print_panel(console: Any, options: Any, panel: Any, common: Sequence[str] = ()) -> None:
    """Print a panel of the help as several: the common options, the others, and each prefix."""
    from cyclopts.help.formatters import DefaultFormatter

    titles = {
        "--model.": "Network",
        "--fit.": "Fitting",
        "--alarm.": "Alarms",
        "--rule.": "Rule",
        "--parts.": "Parts",
        "--log.": "Sensor logs",
        "--catalog.": "Catalogues",
    }
    panels = {"Common options": [e for name in common for e in panel.entries if name in e.names]}
    for entry in panel.entries:
        if not set(common) & set(entry.names):
            prefix, dot, _ = (entry.names or ("",))[0].partition(".")
            panels.setdefault(titles.get(prefix + dot, panel.title), []).append(entry)
    for title, entries in panels.items():
        if entries:
            DefaultFormatter()(console, options, panel.copy(title=title, entries=entries))


def _shown(default: object) -> str | None:
    """Return a default as it would be typed; None if there is nothing to show."""
    if isinstance(default, tuple):
        default = shlex.join(map(str, default))
    return None if default in (None, "") else str(default)


app = App(
    name="foreshock",
    usage="Usage: foreshock COMMAND",
    help="From sensor readings to early warnings: train, score and use LSTM-FCN classifiers of "
    "time series.",
    version=__version__,
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
    config=_base_config,
    default_parameter=Parameter(negative_iterable=(), consume_multiple=True, show_default=_shown),
    group_parameters="Options",
    help_format="plaintext",  # Markdown takes 50 ms to import: for the commands, which do more
    help_formatter=_print_panel,
)
DATA, TRAINING, MODEL, MANY = "data", "training", "models", "benchmark"
for order, (module, name, arguments, summary) in enumerate(
    [
        (DATA, "problems", "[NAME]", "List the problems that can be loaded, or describe one."),
        (DATA, "simulate", "-o CATALOG", "Simulate an earthquake catalogue."),
        (DATA, "catalog", "--from TIME --to TIME -o CATALOG", "Download an earthquake catalogue."),
        (DATA, "cut", "READINGS|CATALOG -o PROBLEM", "Cut readings into an early-warning problem."),
        (TRAINING, "train", "PROBLEM", "Train a model and score it on the test part."),
        (MODEL, "evaluate", "RUN PROBLEM", "Score a saved model on labelled cases."),
        (MODEL, "predict", "RUN SERIES|READINGS", "Compute class probabilities."),
        (MODEL, "export", "RUN -o FILE", "Write a model as one file that runs without foreshock."),
        (MODEL, "push", "RUN OWNER/NAME", "Upload a run to the Hugging Face Hub."),
        (DATA, "report", "RUN [RUN ...]", "Write one HTML page with the results of runs."),
        (MANY, "benchmark", "PROBLEM ... -o DIR", "Train on many problems and compare."),
        (DATA, "doctor", "[PROBLEM]", "Check this machine and a problem for trouble."),
    ]
):
    # by name, so that `foreshock --help` imports none of what they need; `run` shows the docstring
    app.command(
        f"foreshock.cli.{module}:{name}",
        name=name,
        help=summary,
        help_format="markdown",
        help_formatter=partial(_print_panel, common=COMMON.get(name, ())),
        sort_key=order,
        usage=f"Usage: foreshock {name} [OPTIONS] {arguments}",
    )


@app.command(
    help_format="markdown",
    sort_key=order + 1,
    usage="Usage: foreshock completion bash|zsh|fish|powershell",
)
def completion(shell: Literal["bash", "zsh", "fish", "powershell"], /) -> None:
    """Print a script that completes commands and options in a shell.

    ```
    $ foreshock completion bash > ~/.local/share/bash-completion/completions/foreshock
    ```

    Start a new shell to use it.

    Parameters
    ----------
    shell
        The shell.
    """
    script = app.generate_completion(shell=shell)
    sys.stdout.write(
        # else bash completes no file where an argument may also be a name
        script.replace("complete -F _foreshock", "complete -o default -F _foreshock")
    )


def main(tokens: list[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as some services have them
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("foreshock").setLevel(logging.INFO)
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a class may have any name
    code = run(sys.argv[1:] if tokens is None else tokens)
    try:
        sys.stdout.flush()
    except OSError as error:  # the disk is full, or the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            code = _say(error, FAILED)
    sys.exit(code)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Write a warning as one line, without the place in the code."""
    logging.getLogger("foreshock").warning("%s", message)


def run(tokens: list[str]) -> int:
    """Run a command and return its exit code."""
    from foreshock._terminal import Terminal  # rich takes 50 ms

    tokens = [  # cyclopts would take - for an option
        "/dev/stdin" if word == "-" and before not in ("-o", "--output") else word
        for before, word in zip(["", *tokens], tokens, strict=False)
    ]
    try:
        for old, new in _RENAMED.items():
            if any(word.partition("=")[0] == old for word in tokens):
                raise ValueError(f"{old} is now called {new}.")
        if tokens[:1] == ["train"] and not {"--help", "-h"} & set(tokens):
            from foreshock._machine import settle_threads

            if decided := settle_threads():  # torch looks when it is imported
                logging.getLogger("foreshock").info("%s", decided)
        if {"--help", "-h"} & set(tokens[1:]) and tokens[0] in app:
            app[tokens[0]].help = None  # the whole docstring instead of the summary
        app(tokens, console=Terminal(), result_action="return_value")
    except CycloptsError as error:
        if isinstance(error.__cause__, ImportError):
            return _say(error.__cause__, FAILED)
        return _say(error, USAGE)
    except KeyboardInterrupt as stop:
        hint = f"; {stop}" if str(stop) else ""
        over = "\r" if sys.stderr.isatty() else ""  # the terminal's ^C
        sys.stderr.write(f"{over}interrupted{hint}\n")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, `head` say, has seen enough
        return 0
    except ImportError as error:  # before ValueError: a missing extra is both
        return _say(error, FAILED)
    except (ValueError, FileExistsError, FileNotFoundError) as error:
        return _say(error, USAGE)
    except (OSError, RuntimeError, MemoryError) as error:
        if type(error) is RuntimeError and "allocate memory" not in str(error):
            raise  # not one of ours: a bug deserves its traceback
        return _say(error, FAILED)
    return 0


def _say(error: Exception, code: int) -> int:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    sys.stderr.write(f"foreshock: {text}\n")
    return code
