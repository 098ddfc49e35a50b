"""Models on the Hugging Face Hub: a model folder there is a run folder.

The functions take the arguments of huggingface_hub's mixin. The mixin itself deletes the
config.json of the folder that it saves to, takes that of others for arguments of the constructor,
and has a card of its own.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from foreshock.extras import optional

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
    if not _NAME.fullmatch(name):
        raise HubError(f"there is no folder {name}, and a model on the Hub is called OWNER/NAME.")
    hub = optional("huggingface_hub", "hub")
    try:
        return Path(hub.snapshot_download(name, allow_patterns=list(files), **options))
    except Exception as error:  # those of huggingface_hub have no common class
        raise HubError(
            f"there is no folder {name}, and the Hub does not give a model of that name:"
            f" {_one_line(error)}"
        ) from error


def push(folder: Path, files: Iterable[str], name: str, **options: Any) -> str:
    """Upload files of a folder as one commit, to a new model or one that is there.

    Parameters
    ----------
    folder : Path
        Where the files are.
    files : iterable of str
        Their names.
    name : str
        What to call the model, owner/name.
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
    try:
        name = api.create_repo(name, private=private, exist_ok=True).repo_id
        done = api.upload_folder(
            repo_id=name, folder_path=folder, allow_patterns=kept, revision=branch, **options
        )
    except Exception as error:
        raise HubError(f"the Hub did not take {name}: {_one_line(error)}") from error
    return str(done)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
