"""Where the files of a pretrained network are: in a folder, or fetched from the Hugging Face hub. On the driver.

Nothing is unpickled: weights are read from safetensors alone.
"""

import re
from pathlib import Path

from sparknn_magic.errors import BundleError

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
INDEX = "model.safetensors.index.json"  # of weights in several files
POOLING = "1_Pooling/config.json"  # how sentence-transformers pools
SENTENCES = "sentence_bert_config.json"  # and how many tokens it reads
PIXELS = "preprocessor_config.json"  # how pictures are scaled and normalized
NEEDED = f"{CONFIG}, {WEIGHTS} and {TOKENIZER}"
NEEDED_OF_PICTURES = f"{CONFIG} and {WEIGHTS}"

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
FETCHED = [CONFIG, "model*.safetensors", INDEX, "tokenizer*.json", "special_tokens_map.json", "vocab.txt"]
FETCHED += [POOLING, SENTENCES, PIXELS]
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def folder_of(pretrained: str, *, texts: bool = True) -> Path:
    """Return the folder that has a pretrained network's config, weights and, where it reads texts, tokenizer.

    `pretrained` is such a folder, as transformers' `save_pretrained` writes it, or a repository of the hub
    (`owner/name`), of which a copy is kept in the hub's own cache; a cached copy is used where the hub is out of reach.
    Raises: BundleError where a file is missing, the weights would have to be unpickled, or the hub cannot be reached.
    """
    needed = NEEDED if texts else NEEDED_OF_PICTURES
    folder = Path(pretrained).expanduser()
    if not folder.is_dir():
        folder = _fetch(pretrained, needed)
    _check_config(folder, pretrained, needed)
    _check_weights(folder, pretrained, needed)
    if texts:
        _check_tokenizer(folder, pretrained)
    return folder


def _check_config(folder: Path, written: str, needed: str) -> None:
    if (folder / CONFIG).is_file():
        return
    if (folder / "bundle.json").is_file():
        message = f"'{written}' is a model that sparknn-magic has trained, not a network of transformers."
        raise BundleError(message, hint=f"Write `pretrained: {written}` under `train:` and leave it out here.")
    raise BundleError(f"'{written}' has no {CONFIG}.", hint=f"A pretrained network is a folder with {needed}.")


def _check_weights(folder: Path, written: str, needed: str) -> None:
    if (folder / WEIGHTS).is_file() or (folder / INDEX).is_file():
        return
    pickled = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
    if pickled:
        message = f"'{written}' has its weights in {pickled[0]}, and unpickling that file could run any program."
        hint = f"Where you trust it, write {WEIGHTS} once: `AutoModel.from_pretrained(...).save_pretrained(...)`."
        raise BundleError(message, hint=hint)
    message = f"'{written}' has no {WEIGHTS}; weights in other files are not read."
    raise BundleError(message, hint=f"A pretrained network is a folder with {needed}.")


def _check_tokenizer(folder: Path, written: str) -> None:
    if (folder / TOKENIZER).is_file():
        return
    others = [name for name in ("vocab.txt", "vocab.json", "sentencepiece.bpe.model") if (folder / name).is_file()]
    if others:
        message = f"'{written}' has {others[0]}, the older form of a tokenizer, but no {TOKENIZER}."
        hint = "Write it once: `AutoTokenizer.from_pretrained(folder).save_pretrained(folder)`, by transformers."
        raise BundleError(message, hint=hint)
    raise BundleError(f"'{written}' has no {TOKENIZER}.", hint=f"A pretrained network is a folder with {NEEDED}.")


def _fetch(name: str, needed: str) -> Path:
    """Return the folder of a repository of the hub, in the hub's cache. Raises: BundleError."""
    if not HUB_ID.fullmatch(name):
        raise BundleError(f"there is no folder '{name}'.", hint=f"A pretrained network is a folder with {needed}.")
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=FETCHED))
    except errors.GatedRepoError as error:
        hint = "Accept its terms there and log in by `hf auth login`."
        raise BundleError(f"the hub gives '{name}' to those alone who have accepted its terms.", hint=hint) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        hint = f"Check the name, log in by `hf auth login` where it is private, or give a folder with {needed}."
        raise BundleError(f"'{name}' is no folder here and no repository of the hub.", hint=hint) from error
    except (OSError, errors.HTTPError) as error:  # the latter is the HTTP library's own
        reason = str(error).split("\n")[0].removeprefix("Got: ")
        hint = f"Point `pretrained` at a folder with {needed}, copied from where the hub can be reached."
        raise BundleError(f"'{name}' is no folder here, and cannot be had from the hub: {reason}", hint=hint) from error
