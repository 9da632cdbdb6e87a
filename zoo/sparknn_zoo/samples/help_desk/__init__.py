"""The help-desk sample: Parquet files beside this one, made by `sparknn_zoo.samples.make_help_desk`."""

from pathlib import Path

from sparknn_magic.plugin import sample


@sample(
    "help-desk",
    source="written for this project by its developers; the text is messages.tsv and faq.tsv, beside the Parquet files",
    licence="Apache-2.0",
)
def help_desk() -> dict[str, Path]:
    """Messages to an online shop that sells devices, in English and Chinese, of 12 intents; and answers to them.

    Splits `train` (502 rows) and `test` (124): id (bigint), text (string), intent (string), language (string, "en" or
    "zh"), entities (array<struct<start: int, end: int, label: string>>, null where nobody has looked for any). An
    entity is the characters from `start` to before `end`, counted from 0, so `substring(text, start + 1, end - start)`;
    its label is date, email, money, order or product.

    Split `faq` (60 rows): id (bigint), intent, question, answer, language (strings).
    """
    folder = Path(__file__).parent
    return {split: folder / f"{split}.parquet" for split in ("train", "test", "faq")}
