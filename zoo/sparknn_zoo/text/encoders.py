"""Encoders of the transformers library, from files or from nothing: BERT and its kin through one bridge.

The library's own network gives the hidden states; mask, kinds of tokens and positions are computed here, from what
every text architecture is given, so that the graph that is exported needs nothing else.

B batch, T tokens, D features, K outputs.
"""

import copy
import inspect
from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import TextInputs, architecture
from sparknn_zoo.text import encoder_parts as parts
from sparknn_zoo.text.common import Rate, masked_mean
from sparknn_zoo.text.encoder_parts import Family, Lora, Wanted

TASKS = ("text-classification", "text-embedding", "token-classification")
NOTES = {"tokenizer": "wordpiece"}
Pooling = Literal["auto", "cls", "mean"]

HIDDEN = -1e4  # added to the score of what must not be looked at: exp of it is 0 in every number format
HEAD_DROPOUT = 0.1  # of the features, where the cell says nothing
HEAD_STD = 0.02  # of the head's first weights: Devlin et al. 2019
# Networks that take the mask as it is added to their scores; the others are given 0 and 1, as all of them take it.
ADDED = ("bert", "distilbert", "roberta", "xlm-roberta", "camembert", "electra")


class Encoder(nn.Module):
    """A network of transformers, pooling, dropout and one linear layer.

    Its parts are `encoder.embeddings`, `encoder.layers.0`, ... and `head`. `rebuild` has the options that make the
    same shapes without any file; `note` says, for the user, what was not taken from the files.
    """

    def __init__(
        self,
        family: Family,
        inputs: TextInputs,
        outputs: int,
        wanted: Wanted,
        *,
        pooling: Pooling,
        freeze_layers: int,
        lora: Lora | None,
    ):
        super().__init__()
        written, folder = parts.read_config(family, wanted)
        config = parts.make_config(family, inputs, wanted, written, folder is not None)
        model, left = parts.load(family, config, folder, wanted.pretrained)
        self.family, self.config = family, cast(Any, model.config)
        self.pooling = parts.pooling_of(family, folder, config) if pooling == "auto" else pooling
        self.each_token = inputs.each_token
        self.note = _note(wanted.pretrained, left)
        self.rebuild: dict[str, Any] = {
            "pretrained": None,
            "config": parts.plain(config),
            "pooling": self.pooling,
            "dropout": wanted.dropout,
            "freeze_layers": freeze_layers,
            "lora": lora.model_dump(mode="json") if lora is not None else None,
        } | ({} if family is parts.ANY else dict.fromkeys(("layers", "width", "heads")))
        parts.name_layers(model)
        self.encoder = model
        self.dropout = nn.Dropout(HEAD_DROPOUT if wanted.dropout is None else wanted.dropout)
        self.head = nn.Linear(config.hidden_size, outputs)
        nn.init.normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)
        self.takes = set(inspect.signature(type(model).forward).parameters)
        self.first = _first_position(family, model, inputs.length)
        self.typed = "token_type_ids" in self.takes
        told_apart = self.typed and not any(kind in config.model_type for kind in parts.ONE_KIND)
        # The id after which the second text of a pair begins, where the network can tell it from the first.
        self.pair = inputs.separator if told_apart and getattr(config, "type_vocab_size", 0) > 1 else None
        if lora is not None:
            parts.adapt(family, model, lora)
        self._freeze(freeze_layers)

    def _freeze(self, count: int) -> None:
        """Let the embeddings and so many blocks learn nothing. Raises: SpecError where there are not as many."""
        if not count:
            return
        blocks = getattr(self.encoder, "layers", None)
        if not isinstance(blocks, nn.ModuleList):
            message = f"{self.family.name}: the blocks of a {self.config.model_type} network have no list."
            raise SpecError(message, hint="Use train.freeze with the names of its parts.")
        if count > len(blocks):
            raise SpecError(f"{self.family.name}: freeze_layers is {count}, and there are {len(blocks)} layers.")
        for name, part in self.encoder.named_children():
            if name.startswith("embedding"):
                part.requires_grad_(False)
        blocks[:count].requires_grad_(False)

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64[B, T], int64[B, T] -> the hidden states of the last layer, float32[B, T, D]."""
        given: dict[str, Any] = {"input_ids": input_ids, "attention_mask": self._mask(attention_mask)}
        if self.pair is not None:
            given["token_type_ids"] = second_text(input_ids, attention_mask, self.pair)
        elif self.typed:
            given["token_type_ids"] = torch.zeros_like(input_ids)
        if "position_ids" in self.takes:
            positions_1T = torch.arange(input_ids.shape[1], device=input_ids.device).unsqueeze(0)
            given["position_ids"] = positions_1T + self.first
        return self.encoder(**given).last_hidden_state

    def _mask(self, mask_BT: Tensor) -> Any:
        """Return the mask as the network takes it."""
        kind = self.config.model_type
        if kind not in (*ADDED, "modernbert"):
            return mask_BT
        padding_B11T = (1.0 - mask_BT[:, None, None, :].to(self.head.weight.dtype)) * HIDDEN
        if kind in ADDED:
            return padding_B11T
        place_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
        far_TT = (place_T[:, None] - place_T).abs() > self.config.sliding_window
        near_B1TT = padding_B11T + far_TT.to(padding_B11T.dtype) * HIDDEN
        return {"full_attention": padding_B11T, "sliding_attention": near_B1TT}

    def pool(self, hidden_BTD: Tensor, attention_mask: Tensor) -> Tensor:
        """float32[B, T, D], int64[B, T] -> one vector a row, float32[B, D]: that of the first token, or the mean."""
        return hidden_BTD[:, 0] if self.pooling == "cls" else masked_mean(hidden_BTD, attention_mask)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64[B, T], int64[B, T] -> logits float32[B, K], or of each token float32[B, T, K]."""
        hidden_BTD = self.encode(input_ids, attention_mask)
        if self.each_token:
            return self.head(self.dropout(hidden_BTD))
        return self.head(self.dropout(self.pool(hidden_BTD, attention_mask)))

    def merged(self) -> "Encoder":
        """Return a copy as it is exported: its adapters are added to the weights that they stand beside.

        Its attention is written as products and a softmax: that graph has a fifth fewer nodes than the one that the
        exporter makes of PyTorch's own function, and ONNX Runtime is a little faster on it.
        """
        whole = copy.deepcopy(self)
        whole.encoder.set_attn_implementation("eager")  # type: ignore[operator]
        if self.rebuild["lora"] is None:
            return whole
        from peft.tuners.lora import LoraLayer

        for name, layer in list(whole.named_modules()):
            if isinstance(layer, LoraLayer):
                layer.merge()
                whole.set_submodule(name, layer.get_base_layer())
        whole.rebuild["lora"] = None
        return whole


def second_text(ids_BT: Tensor, mask_BT: Tensor, separator: int) -> Tensor:
    """Return 1 for the tokens behind a row's first separator, and 0 for all others and the padding: int64[B, T]."""
    ends_BT = ids_BT.eq(separator).long() * mask_BT
    return ((ends_BT.cumsum(1) - ends_BT) > 0).long() * mask_BT


def _first_position(family: Family, model: nn.Module, length: int) -> int:
    """Return the number of a row's first position. Raises: SpecError where a row can be longer than the table."""
    for name, table in model.named_modules():
        if isinstance(table, nn.Embedding) and name.endswith("position_embeddings"):
            first = 0 if table.padding_idx is None else table.padding_idx + 1  # RoBERTa counts from there on
            most = table.num_embeddings - first
            if length > most:
                message = f"{family.name} reads at most {most} tokens here, and a text has up to {length}."
                raise SpecError(message, hint=f"Write `max_length: {most}` under `data:`, or less.")
            return first
    return 0


def _note(pretrained: str | None, left: tuple[str, ...]) -> str:
    """Return the sentence on what was not taken from the files; "" where all was."""
    if pretrained is None or not left:
        return ""
    roots = sorted({name.partition(".")[0] for name in left})
    return f"not taken from {pretrained}: {', '.join(roots)}; the last layer starts anew."


def _build(
    family: Family,
    inputs: TextInputs,
    outputs: int,
    wanted: Wanted,
    pooling: Pooling,
    freeze_layers: int,
    lora: Mapping[str, Any] | Lora | None,
) -> Encoder:
    adapters = lora if lora is None or isinstance(lora, Lora) else Lora(**lora)
    return Encoder(family, inputs, outputs, wanted, pooling=pooling, freeze_layers=freeze_layers, lora=adapters)


# What the options mean; `{layers}` and `{width}` are the family's own.
OPTIONS = """\
pretrained: folder with config.json, model.safetensors and tokenizer.json, or a repository of the hub; null: nothing \
is learnt yet.
config: settings of transformers' config, by their names there; they go before those that are made here.
layers: blocks; null: {layers}, or as many as the files have.
width: dimensions of a hidden state; null: {width}, or as the files have it.
heads: attention heads; null: one for each {head} dimensions, or as the files have it.
pooling: cls takes the first token's state, mean that of all tokens; auto: as the files say, else {pooling}.
dropout: share dropped in training, in the encoder and before the last layer; null: as the files have it, and 0.1 there.
freeze_layers: the embeddings and so many blocks, from the first on, keep their weights; 0: none does.
lora: rank, alpha, dropout and targets of low-rank adapters, which learn in place of the encoder (Hu et al. 2022); \
null: no adapters.
Raises: SpecError for settings that do not go together; BundleError for files that cannot be used; MissingExtra \
without the transformers library."""


def _of(family: Family, about: str, source: str, tokenizer: str = "wordpiece") -> Any:
    """Return the architecture of a family."""

    def build(
        inputs: TextInputs,
        outputs: int,
        *,
        pretrained: str | None = None,
        config: dict[str, Any] | None = None,
        layers: PositiveInt | None = None,
        width: PositiveInt | None = None,
        heads: PositiveInt | None = None,
        pooling: Pooling = "auto",
        dropout: Rate | None = None,
        freeze_layers: NonNegativeInt = 0,
        lora: Lora | None = None,
    ) -> nn.Module:
        wanted = Wanted(pretrained, config, layers, width, heads, dropout)
        return _build(family, inputs, outputs, wanted, pooling, freeze_layers, lora)

    build.__name__ = build.__qualname__ = family.name  # executors find it again by module and name
    words = OPTIONS.format(layers=family.layers, width=family.width, head=family.head, pooling=family.pooling)
    build.__doc__ = f"{about}: ids, mask int64[B, T] -> float32[B, outputs].\n\n{words}\nSource: {source}."
    notes = {"tokenizer": tokenizer}
    return architecture(family.name, task=TASKS, dynamic=("batch", "length"), source=source, notes=notes)(build)


bert = _of(
    parts.BERT,
    "BERT",
    "Devlin et al. 2019, BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding, "
    "arXiv:1810.04805",
)
minilm = _of(
    parts.MINILM,
    "BERT of 6 thin layers, as MiniLM was distilled to",
    "Wang et al. 2020, MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained "
    "Transformers, arXiv:2002.10957",
)
distilbert = _of(
    parts.DISTILBERT,
    "DistilBERT, half of BERT's layers",
    "Sanh et al. 2019, DistilBERT, a distilled version of BERT, arXiv:1910.01108",
)
roberta = _of(
    parts.ROBERTA,
    "RoBERTa, and XLM-RoBERTa from files",
    "Liu et al. 2019, RoBERTa: A Robustly Optimized BERT Pretraining Approach, arXiv:1907.11692",
    "bpe",
)
electra = _of(
    parts.ELECTRA,
    "ELECTRA's discriminator",
    "Clark et al. 2020, ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators, arXiv:2003.10555",
)
modernbert = _of(
    parts.MODERNBERT,
    "ModernBERT, with rotary positions and windows of attention",
    "Warner et al. 2024, Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder, arXiv:2412.13663",
    "bpe",
)


@architecture(
    "encoder",
    task=TASKS,
    dynamic=("batch", "length"),
    source="Wolf et al. 2020, Transformers: State-of-the-Art Natural Language Processing, arXiv:1910.03771",
    notes=NOTES,
    example={"config": {"model_type": "mpnet", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}},
)
def encoder(
    inputs: TextInputs,
    outputs: int,
    *,
    pretrained: str | None = None,
    config: dict[str, Any] | str | None = None,
    pooling: Pooling = "auto",
    dropout: Rate | None = None,
    freeze_layers: NonNegativeInt = 0,
    lora: Lora | None = None,
) -> nn.Module:
    """Any encoder of transformers, from files or a config: ids, mask int64[B, T] -> float32[B, outputs].

    Of all that has a classification head there and reads texts from both sides.

    pretrained: folder with config.json, model.safetensors and tokenizer.json, or a repository of the hub; null: the
    network starts from nothing and is made by `config`.
    config: settings of transformers' config, `model_type` among them, or the path of a config.json.
    pooling: cls takes the first token's state, mean that of all tokens; auto: as the files say, else cls.
    dropout: share dropped in training before the last layer, and in the encoder where its config has BERT's names for
    it; null: as the config has it, and 0.1 before the last layer.
    freeze_layers: the embeddings and so many blocks, from the first on, keep their weights; 0: none does.
    lora: rank, alpha, dropout and targets of low-rank adapters, which learn in place of the encoder (Hu et al. 2022);
    null: no adapters.
    Raises: SpecError for settings that do not go together; BundleError for files that cannot be used; MissingExtra
    without the transformers library.
    Source: Wolf et al. 2020.
    """
    return _build(parts.ANY, inputs, outputs, Wanted(pretrained, config, dropout=dropout), pooling, freeze_layers, lora)
