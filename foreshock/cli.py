"""The command line: errors as one line, exit codes, logging. The commands are in `commands`."""

import logging
import sys
from typing import Any

from cyclopts import App, ArgumentCollection, CycloptsError

from foreshock import __version__

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def _base_config(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    if commands == ("train",):
        from foreshock.commands import base_config

        base_config(app, commands, arguments)


app = App(
    name="foreshock",
    help="From sensor readings to early warnings: train, judge and use LSTM-FCN classifiers of "
    "time series.",
    version=__version__,
    exit_on_error=False,
    print_error=False,
    config=_base_config,
)
for name, summary in {
    "problems": "List the problems that can be loaded, or describe one.",
    "train": "Train a model on a problem and score it once on its test part.",
    "evaluate": "Score a saved model on labelled cases.",
    "predict": "Give class probabilities for series.",
}.items():
    # by name, so that `foreshock --help` imports none of what they need
    app.command(f"foreshock.commands:{name}", name=name, help=summary)


def main(tokens: list[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("foreshock").setLevel(logging.INFO)
    sys.exit(run(sys.argv[1:] if tokens is None else tokens))


def run(tokens: list[str]) -> int:
    """Run a command and give its exit code."""
    try:
        app(tokens, result_action="return_value")
    except CycloptsError as error:
        if isinstance(error.__cause__, ImportError):
            return _say(error.__cause__, FAILED)
        return _say(error, USAGE)
    except KeyboardInterrupt as stop:
        hint = f": {stop}" if str(stop) else ""
        print(f"\ninterrupted{hint}", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, `head` say, has seen enough
        sys.stderr.close()
        return 0
    except (ValueError, FileExistsError, FileNotFoundError) as error:
        return _say(error, USAGE)
    except (OSError, RuntimeError, ImportError, MemoryError) as error:
        if type(error) is RuntimeError:
            raise  # not one of ours: a bug deserves its traceback
        return _say(error, FAILED)
    return 0


def _say(error: Exception, code: int) -> int:
    text: Any = " ".join(str(error).split()) or type(error).__name__
    print(f"foreshock: {text}", file=sys.stderr)  # noqa: T201
    return code
