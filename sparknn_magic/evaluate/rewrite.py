"""A metric's SQL -> Spark SQL: our names and functions replaced in the text, every other character kept for Spark."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlglot import exp, parse_one, tokenize
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

from sparknn_magic.errors import did_you_mean
from sparknn_magic.evaluate.expression import (
    LABEL,
    PREDICTED,
    PREDICTION,
    TARGET,
    TEMPLATES,
    index_sql,
    logit_sql,
    probability_sql,
)
from sparknn_magic.spec.expression_tree import fault

NAMES = {"label": LABEL, "prediction": PREDICTION, "target": TARGET}
OUTPUTS = {"probability": probability_sql, "logit": logit_sql}
MACROS = {"sigmoid": 1, "softplus": 1, "huber": 2}  # functions that Spark does not have: how many arguments
EXAMPLE = "For example: avg(CASE WHEN prediction = label THEN 1 ELSE 0 END)"


@dataclass(frozen=True)
class Rewritten:
    """A metric's text for Spark, and where each piece of it comes from."""

    sql: str
    pieces: tuple[tuple[int, int, bool], ...]  # offset in `sql`, offset in the user's text, copied as it was

    def origin(self, line: int, column: int) -> int:
        """Return the offset in the user's text of a line and column of `sql`, both from 1."""
        starts = [0, *(n + 1 for n, char in enumerate(self.sql) if char == "\n")]
        offset = starts[min(line, len(starts)) - 1] + column - 1
        at, source, copied = next((piece for piece in reversed(self.pieces) if piece[0] <= offset), (0, 0, False))
        return source + (offset - at if copied else 0)


def rewrite(text: str, classes: Sequence[str] | None) -> Rewritten:
    """Return a metric's text with our names and functions replaced by Spark SQL.

    `classes` are those of the predictions; none where a number is predicted, None where their names are not known yet.
    Raises: ExpressionError for a class that there is not, and for text that is not SQL.
    """
    if not text.strip():
        raise fault(text, 0, "there is no SQL here.", hint=EXAMPLE)
    try:
        tokens = tokenize(text, dialect="spark")
    except SqlglotError:
        raise fault(text, 0, "a quote or a comment in this SQL is never closed.") from None
    if classes:
        _check_names(text, classes)
    return _Rewriter(text, tokens, classes).run()


def _check_names(text: str, classes: Sequence[str]) -> None:
    """Check that what `label` and `prediction` are compared with are classes."""
    prefix = "SELECT "
    try:
        tree = parse_one(prefix + text, dialect="spark")
    except SqlglotError:
        return  # Spark is the judge of the text
    for node in tree.find_all(exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ, exp.In):
        sides = [node.this, *([node.expression] if isinstance(node, exp.Binary) else node.expressions)]
        if any(isinstance(s, exp.Column) and not s.table and s.name.lower() in ("label", "prediction") for s in sides):
            for side in sides:
                if isinstance(side, exp.Literal) and side.is_string:
                    _class_number(text, str(side.this), side.meta["start"] - len(prefix), classes)


def _class_number(text: str, name: str, at: int, classes: Sequence[str]) -> int:
    if name not in classes:
        raise fault(text, at, f"there is no class '{name}'.{did_you_mean(name, classes)}")
    return list(classes).index(name)


class _Rewriter:
    """Copies the text and replaces some of its tokens."""

    def __init__(self, text: str, tokens: Sequence[Token], classes: Sequence[str] | None):
        self.text, self.tokens, self.classes = text, list(tokens), classes

    def run(self) -> Rewritten:
        parts: list[str] = []
        pieces: list[tuple[int, int, bool]] = []

        def add(part: str, source: int, copied: bool) -> None:
            pieces.append((sum(map(len, parts)), source, copied))
            parts.append(part)

        self.copy(0, len(self.tokens), 0, len(self.text), add)
        return Rewritten("".join(parts), tuple(pieces))

    def copy(self, first: int, last: int, start: int, end: int, add: Callable[[str, int, bool], None]) -> None:
        """Add the text from `start` to `end`, whose tokens are `first` to `last`."""
        n, done = first, start
        while n < last:
            token = self.tokens[n]
            word = token.text.lower()
            free = self.text[token.start] not in "`'\"" and not self.is_at(n - 1, TokenType.DOT)
            called = self.is_at(n + 1, TokenType.L_PAREN)
            if free and called and word in (*OUTPUTS, *MACROS):
                close = self.closing(n + 1)
                add(self.text[done : token.start], done, True)
                add(self.call(token, word, n + 1, close), token.start, False)
                n, done = close, self.tokens[close].end + 1
            elif free and not called and word in NAMES and not self.is_at(n + 1, TokenType.DOT):
                add(self.text[done : token.start], done, True)
                add(NAMES[word], token.start, False)
                done = token.end + 1
            n += 1
        add(self.text[done:end], done, True)

    def is_at(self, n: int, kind: TokenType) -> bool:
        return 0 <= n < len(self.tokens) and self.tokens[n].token_type == kind

    def closing(self, opened: int) -> int:
        """Return the token that closes the bracket at `opened`."""
        depth = 0
        for n in range(opened, len(self.tokens)):
            depth += self.is_at(n, TokenType.L_PAREN) - self.is_at(n, TokenType.R_PAREN)
            if not depth:
                return n
        raise fault(self.text, self.tokens[opened].start, "this bracket is never closed.")

    def call(self, token: Token, word: str, opened: int, close: int) -> str:
        """Return what a call of one of our functions stands for; `opened` and `close` are its brackets."""
        cuts, depth = [opened], 0
        for n in range(opened + 1, close):
            depth += self.is_at(n, TokenType.L_PAREN) - self.is_at(n, TokenType.R_PAREN)
            if not depth and self.is_at(n, TokenType.COMMA):
                cuts.append(n)
        spans = list(pairwise([*cuts, close])) if close > opened + 1 else []
        wanted = MACROS.get(word, 1)
        if len(spans) != wanted:
            takes = "1 argument" if wanted == 1 else f"{wanted} arguments"
            raise fault(self.text, token.start, f"{word} takes {takes}, not {len(spans)}.")
        if word in OUTPUTS:
            return OUTPUTS[word](self.index(token, *spans[0]))
        return TEMPLATES[word].format(*(f"CAST({self.argument(*span)} AS DOUBLE)" for span in spans))

    def argument(self, before: int, after: int) -> str:
        """Return what stands between two tokens, rewritten."""
        parts: list[str] = []
        start, end = self.tokens[before].end + 1, self.tokens[after].start
        self.copy(before + 1, after, start, end, lambda part, *_: parts.append(part))
        return "".join(parts).strip()

    def index(self, token: Token, before: int, after: int) -> str:
        """Return the number of the class that the argument of probability(x) stands for."""
        if self.classes is not None and not self.classes:
            raise fault(self.text, token.start, f"{token.text}(x) is of a class, and a number is predicted here.")
        written = self.argument(before, after)
        only = self.tokens[before + 1] if after - before == 2 else None
        if only is not None and only.token_type == TokenType.STRING:
            return str(_class_number(self.text, only.text, only.start, self.classes or [only.text]))
        if only is not None and only.token_type == TokenType.NUMBER:
            return written
        known = {LABEL: TARGET, TARGET: TARGET, PREDICTION: PREDICTED}
        return known.get(written) or index_sql(written, self.classes or ["?"])
