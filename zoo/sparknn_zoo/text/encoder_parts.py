"""What stands between an architecture's options and a network of the transformers library: configs, files, adapters.

transformers and peft are imported by the functions that need them: an executor that only scores has neither.
"""

import contextlib
import inspect
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, PositiveInt
from torch import nn

from sparknn_magic.causes import one_line
from sparknn_magic.errors import BundleError, MissingExtra, SpecError, did_you_mean
from sparknn_magic.hub import CONFIG, POOLING, folder_of
from sparknn_magic.plugin import TextInputs
from sparknn_zoo.vision.common import Rate

EXTRA = "pip install 'sparknn-magic[transformers]'"
LEAST_POSITIONS = 512  # a network that starts from nothing can read as much later, whatever it is trained on
SHOWN = 6  # names in an error
NOT_SHAPES = ("_name_or_path", "architectures", "dtype", "id2label", "label2id", "problem_type", "transformers_version")
# Sizes, and what configs call them.
SIZES = {
    "layers": {"num_hidden_layers", "n_layers"},
    "width": {"hidden_size", "dim"},
    "heads": {"num_attention_heads", "n_heads"},
}
# The separators of a pair say nothing of which text a token is from, as far as these networks were taught.
ONE_KIND = ("roberta", "camembert", "xmod", "data2vec-text", "ibert")


@dataclass(frozen=True)
class Family:
    """One kind of encoder: the names of its settings in transformers, and its sizes where a cell gives none."""

    name: str  # of the architecture
    types: tuple[str, ...]  # transformers' `model_type`s that it takes; the first one is built; (): any
    layers: int = 4
    width: int = 256
    head: int = 64  # dimensions of an attention head
    ratio: float = 4.0  # of a block's hidden units to the width
    pooling: str = "cls"
    dropouts: tuple[str, ...] = ("hidden_dropout_prob", "attention_probs_dropout_prob")


BERT = Family("bert", ("bert",))
MINILM = Family("minilm", ("bert",), layers=6, width=384, head=32, pooling="mean")
ROBERTA = Family("roberta", ("roberta", "xlm-roberta", "camembert"))
ELECTRA = Family("electra", ("electra",))
DISTILBERT = Family("distilbert", ("distilbert",), layers=3, dropouts=("dropout", "attention_dropout"))
MODERNBERT = Family(
    "modernbert",
    ("modernbert",),
    ratio=1.5,
    pooling="mean",
    dropouts=("embedding_dropout", "mlp_dropout", "attention_dropout"),
)
ANY = Family("encoder", ())


class Lora(BaseModel):
    """Low-rank adapters: Hu et al. 2022, LoRA: Low-Rank Adaptation of Large Language Models, arXiv:2106.09685."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: PositiveInt = 8
    alpha: PositiveInt = 16  # an adapter's product is scaled by alpha / rank
    dropout: Rate = 0.0  # of what an adapter is given
    targets: tuple[str, ...] | None = None  # names of the linear layers; None: those of queries and values


@dataclass(frozen=True)
class Wanted:
    """What the options of an architecture say of its encoder."""

    pretrained: str | None = None
    config: str | Mapping[str, Any] | None = None
    layers: int | None = None
    width: int | None = None
    heads: int | None = None
    dropout: float | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes that are given."""
        given = {"layers": self.layers, "width": self.width, "heads": self.heads}
        return {name: value for name, value in given.items() if value is not None}


def library(name: str) -> Any:
    """Return the transformers library, which an architecture of this name needs. Raises: MissingExtra."""
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{name} needs {error.name}: {EXTRA}") from error
    return transformers


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and its report of weights out of the user's cell; what matters is checked."""
    from transformers.utils import logging as words

    level, bars = words.get_verbosity(), words.is_progress_bar_enabled()
    words.set_verbosity(logging.CRITICAL)
    words.disable_progress_bar()
    try:
        yield
    finally:
        words.set_verbosity(level)
        if bars:
            words.enable_progress_bar()


def read_config(family: Family, wanted: Wanted) -> tuple[dict[str, Any], Path | None]:
    """Return the settings that are written down, in the files or in the cell, and the folder of the weights.

    Raises: BundleError for files that cannot be used; SpecError for settings that cannot go together.
    """
    folder = folder_of(wanted.pretrained) if wanted.pretrained is not None else None
    written = read_json(folder / CONFIG) if folder is not None else {}
    written |= read_mapping(wanted.config)
    if family is ANY and not written:
        message = "encoder needs files to start from, or a config."
        raise SpecError(message, hint="Write `pretrained: FOLDER`, or `config: {model_type: bert, ...}`.")
    kind = written.setdefault("model_type", family.types[0] if family.types else None)
    if family.types and kind not in family.types:
        message = f"{family.name} is no name for a network of the type '{kind}'."
        raise SpecError(message, hint=f"Write `model: {{{_name_of(kind)}: ...}}`, with the same options.")
    for name in wanted.sizes:
        if folder is not None or SIZES[name] & set(written):
            where = f"'{wanted.pretrained}'" if folder is not None else "config"
            raise SpecError(f"{family.name}: {name} comes from {where}.", hint=f"Leave {name} out.")
    return written, folder


def read_mapping(config: str | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the settings of a config that is given, or whose path is. Raises: BundleError."""
    if config is None or isinstance(config, Mapping):
        return dict(config or {})
    path = Path(config).expanduser()
    return read_json(path / CONFIG if path.is_dir() else path)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file. Raises: BundleError where there is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BundleError(f"the config '{path.name}' cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise BundleError(f"{path.name} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise BundleError(f"{path.name} holds no settings: it must be a JSON object.")
    return found


def _name_of(kind: Any) -> str:
    families = (BERT, ROBERTA, ELECTRA, DISTILBERT, MODERNBERT)
    return next((family.name for family in families if kind in family.types), "encoder")


def make_config(
    family: Family, inputs: TextInputs, wanted: Wanted, written: Mapping[str, Any], pretrained: bool
) -> Any:
    """Return transformers' config of the network. Raises: SpecError where its values cannot be."""
    transformers = library(family.name)
    from huggingface_hub.errors import StrictDataclassError

    kind = written["model_type"]
    known = transformers.models.auto.configuration_auto.CONFIG_MAPPING_NAMES
    if kind not in known:
        raise SpecError(f"transformers has no network of the type '{kind}'.{did_you_mean(str(kind), known)}")
    _check_encodes(transformers, kind)
    kind_of_config = transformers.models.auto.configuration_auto.CONFIG_MAPPING[kind]
    own = kind_of_config.attribute_map  # a family's own names for settings: DistilBERT's hidden_size is `dim`
    made = {} if pretrained else _fresh(family, inputs, wanted)
    settings = {own.get(k, k): v for k, v in made.items()} | {own.get(k, k): v for k, v in written.items()}
    try:
        with quiet():
            config = kind_of_config.from_dict(settings)
    except (StrictDataclassError, TypeError, ValueError, KeyError, AttributeError) as error:
        reason = one_line(error)
        raise SpecError(f"{family.name}: transformers does not take this config: {reason}") from error
    if wanted.dropout is not None:
        for name in family.dropouts:
            if hasattr(config, name):
                setattr(config, name, wanted.dropout)
    if config.vocab_size < inputs.vocabulary:
        raise SpecError(
            f"{family.name}: the tokenizer has {inputs.vocabulary:,} tokens, and the network {config.vocab_size:,}.",
            hint="A pretrained network reads the tokens of its own tokenizer.",
        )
    return config


def _check_encodes(transformers: Any, kind: str) -> None:
    """Raise SpecError where a type of network is no encoder with a classification head."""
    names = transformers.models.auto.modeling_auto
    heads, masked = names.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES, names.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    paired = transformers.models.auto.configuration_auto.CONFIG_MAPPING[kind].is_encoder_decoder
    if kind not in heads or kind not in masked or paired:
        message = f"a network of the type '{kind}' is no encoder that reads a text from both sides."
        raise SpecError(message, hint="Take one such as bert, roberta, electra, deberta-v2 or modernbert.")


def _fresh(family: Family, inputs: TextInputs, wanted: Wanted) -> dict[str, Any]:
    """Return the settings of a network that starts from nothing; those of a config that is given go before them."""
    settings: dict[str, Any] = {"vocab_size": inputs.vocabulary, "pad_token_id": inputs.pad}
    # Ids of a vocabulary that is not here; nothing reads them.
    settings |= {"bos_token_id": None, "eos_token_id": None}
    if family is ANY:
        return settings
    width, layers = wanted.width or family.width, wanted.layers or family.layers
    heads = wanted.heads or max(1, width // family.head)
    if width % heads:
        message = f"{family.name}: a width of {width} cannot be shared by {heads} heads."
        raise SpecError(message, hint=f"Take a multiple of {heads}.")
    settings |= {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
    settings |= {"hidden_dim" if family is DISTILBERT else "intermediate_size": int(width * family.ratio)}
    # RoBERTa counts positions from the padding id on.
    positions = max(LEAST_POSITIONS, inputs.length) + (inputs.pad + 1 if family is ROBERTA else 0)
    settings |= {"max_position_embeddings": positions}
    if family in (BERT, MINILM, ELECTRA):
        settings |= {"type_vocab_size": 1 if inputs.separator is None else 2}
    if family is ROBERTA:
        settings |= {"type_vocab_size": 1}
    if family is ELECTRA:
        settings |= {"embedding_size": min(128, width)}
    if family is MODERNBERT:
        settings |= {"cls_token_id": None, "sep_token_id": inputs.separator}
    return settings


def load(family: Family, config: Any, folder: Path | None, written: str | None) -> tuple[nn.Module, tuple[str, ...]]:
    """Return transformers' network without a head, and the names of weights in the files that it has no place for.

    Raises: BundleError where weights are missing or of other shapes.
    """
    transformers = library(family.name)
    from safetensors import SafetensorError

    kind = transformers.models.auto.modeling_auto.MODEL_MAPPING[type(config)]
    # The pooled output of some families is not used: it would have weights that get no gradient.
    more = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind.__init__).parameters else {}
    how = {"attn_implementation": "sdpa" if kind._supports_sdpa else "eager", "dtype": torch.float32}
    with quiet():
        if folder is None:
            return kind._from_config(config, **how, **more), ()
        try:
            model, found = kind.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **how,
                **more,
            )
        except (SafetensorError, OSError, ValueError, RuntimeError) as error:
            reason = one_line(error)
            raise BundleError(f"the weights of '{written}' cannot be read: {reason}") from error
    missing = sorted(found["missing_keys"])
    if missing:
        raise BundleError(
            f"'{written}' has no weights for {listed(missing)}, which a {config.model_type} network has.",
            hint="Its config.json may belong to other weights.",
        )
    return model, tuple(sorted(found["unexpected_keys"]))


def listed(names: list[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" (and {len(names) - SHOWN} more)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def pooling_of(family: Family, folder: Path | None, config: Any) -> str:
    """Return how the family, or the files, make one vector of a text: cls or mean."""
    if folder is not None and (folder / POOLING).is_file():
        said = read_json(folder / POOLING)
        return "mean" if said.get("pooling_mode_mean_tokens") or said.get("pooling_mode") == "mean" else "cls"
    return getattr(config, "classifier_pooling", family.pooling) if folder is not None else family.pooling


def plain(config: Any) -> dict[str, Any]:
    """Return a config as plain JSON values, without what says where it comes from and what it was for."""
    settings = json.loads(config.to_json_string(use_diff=False))
    return {name: value for name, value in settings.items() if name not in NOT_SHAPES}


def name_layers(model: nn.Module) -> None:
    """Let the blocks be `layers.0`, `layers.1`, ... in every family, where they are `encoder.layer.0` or the like.

    The list of blocks moves from the module that holds it alone to the network itself. That module stays as what the
    network calls; it is no part any more, so that every weight has one name.
    """
    for name, holder in list(model.named_children()):
        inside = list(holder.named_children())
        alone = not [*holder.parameters(recurse=False), *holder.buffers(recurse=False)]
        if len(inside) == 1 and isinstance(inside[0][1], nn.ModuleList) and alone and not hasattr(model, "layers"):
            delattr(model, name)
            model.__dict__[name] = holder
            model.layers = inside[0][1]


def adapt(family: Family, model: nn.Module, lora: Lora) -> None:
    """Put adapters beside linear layers of the blocks, and let nothing else of the network learn.

    Raises: MissingExtra; SpecError for a layer that there is not.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ModuleNotFoundError as error:
        raise MissingExtra(f"lora needs {error.name}: {EXTRA}") from error
    linear = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    usual = {"query", "value", "q_lin", "v_lin", "query_proj", "value_proj", "Wqkv", "q", "v"} & linear
    targets = sorted(usual) if lora.targets is None else list(lora.targets)
    unknown = [name for name in targets if name not in linear]
    if unknown or not targets:
        what = f"no linear layer '{unknown[0]}'.{did_you_mean(unknown[0], linear)}" if unknown else "none of the usual."
        raise SpecError(f"{family.name}: lora.targets: there is {what}", hint=f"It has {', '.join(sorted(linear))}.")
    settings = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets)
    inject_adapter_in_model(settings, model)
