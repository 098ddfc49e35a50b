"""Models on the Hugging Face Hub: a model folder there is a run folder.

The functions take the arguments of huggingface_hub's mixin. The mixin itself deletes the
config.json of the folder that it saves to, takes that of others for arguments of the constructor,
and has a card of its own.
"""

import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from foreshock._optional import optional

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")


class HubError(ConnectionError):
    """The Hub does not have a model, or cannot be reached."""


def pull(name: str, files: Iterable[str], **options: Any) -> Path:
    """Download some files of a model and give their folder, in the Hub's cache.

    Parameters
    ----------
    name : str
        What the model is called there, owner/name.
    files : iterable of str
        Which of its files to take; others are left there.
    **options
        Of ``huggingface_hub.snapshot_download``: revision, token, cache_dir, force_download,
        local_files_only.

    Raises
    ------
    HubError
        If it is not there or cannot be reached.
    ImportError
        If huggingface_hub is not installed.
    """
    if not _NAME.fullmatch(name) or Path(name).parent.is_dir():  # runs/typo is no OWNER/NAME
        raise HubError(f"there is no folder {name}; to load a model from the Hub, give OWNER/NAME.")
    hub = optional("huggingface_hub", "hub")
    logger.info("there is no folder %s here: asking the Hugging Face Hub", name)
    try:
        return Path(hub.snapshot_download(name, allow_patterns=list(files), **options))
    except _failures() as error:
        raise HubError(
            f"there is no folder {name}, and the Hub returned no model of that name:"
            f" {_one_line(error)}"
        ) from error


def push(
    folder: Path, files: Iterable[str], name: str, *, instead: Iterable[str] = (), **options: Any
) -> str:
    """Upload files of a folder as one commit, to a new model or one that is there.

    Parameters
    ----------
    folder : Path
        Where the files are.
    files : iterable of str
        Their names.
    name : str
        What to call the model, owner/name.
    instead : iterable of str
        Names of files that are deleted there unless they are uploaded.
    **options
        private, token, branch, create_pr, commit_message, as huggingface_hub's mixin has them.

    Returns
    -------
    str
        Address of the commit.

    Raises
    ------
    HubError
        If the Hub refuses or cannot be reached.
    ImportError
        If huggingface_hub is not installed.
    """
    hub = optional("huggingface_hub", "hub")
    private, branch = options.pop("private", None), options.pop("branch", None)
    api = hub.HfApi(token=options.pop("token", None))
    kept = list(files)
    gone = [each for each in instead if each not in kept]
    try:
        name = api.create_repo(name, private=private, exist_ok=True).repo_id
        done = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=kept,
            delete_patterns=gone,
            revision=branch,
            **options,
        )
    except _failures() as error:
        raise HubError(f"the Hub refused {name}: {_one_line(error)}") from error
    return str(done.commit_url)


def _failures() -> tuple[type[Exception], ...]:
    """Return the types of the Hub's errors: its HTTP library changed with versions."""
    errors = optional("huggingface_hub.errors", "hub")
    return (*errors.HfHubHTTPError.__bases__, OSError, ValueError)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
