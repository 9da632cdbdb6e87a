"""The nearest of many vectors, exactly, by blocks. Runs on executors: numpy and pyarrow, no Spark.

A block is up to `BLOCK_ROWS` rows: their vectors as one float32 matrix, and the rows themselves as an Arrow stream, so
that Spark moves two byte strings whatever columns the rows have. `Neighbours` lets the blocks of one side pass by a
block of the other and keeps for each of its rows the k best.

Q queries, M rows that are searched, D numbers of a vector.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

BLOCK_ROWS = 4096
BLOCK_BYTES = 32 * 2**20  # of rows, before their vectors are taken out; one row may have more
CHUNK_ROWS = 512  # queries whose scores are looked at together: 8 MB of them
CROWDED = 16  # candidates for a place from which on it pays to look for the k-th best of the block alone
PAIRS = 8192  # candidates whose exact scores are computed together
UNIT = 2.0**-24  # the rounding of a float32

BLOCKS = "vectors binary, rows binary"


def pack(batches: Iterable[pa.RecordBatch], *, queries: bool) -> Iterator[pa.RecordBatch]:
    """Turn rows (row struct, key long, found struct<vector, error>) into blocks, rows of the schema `BLOCKS`.

    Rows without a vector are left out; of `queries` they are kept, with the reason.
    """
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        for start in range(0, batch.num_rows, BLOCK_ROWS):
            part = batch.slice(start, BLOCK_ROWS)
            together = [*waiting, part]
            if waiting and (
                sum(each.num_rows for each in together) > BLOCK_ROWS
                or sum(each.nbytes for each in together) > BLOCK_BYTES
            ):
                yield _block(waiting, queries)
                together = [part]
            waiting = together
    if waiting:
        yield _block(waiting, queries)


def _block(parts: list[pa.RecordBatch], queries: bool) -> pa.RecordBatch:
    (rows,) = pa.Table.from_batches(parts).combine_chunks().to_batches()
    vectors = rows.column("found").field("vector")
    if queries:
        columns = {"row": rows.column("row"), "error": rows.column("found").field("error")}
    else:
        rows = rows.filter(vectors.is_valid())
        columns = {"row": rows.column("row"), "key": rows.column("key")}
    kept = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, kept.schema) as writer:
        writer.write_batch(kept)
    matrix = b"".join(vectors.drop_null().to_pylist())
    values = {"vectors": [matrix], "rows": [stream.getvalue().to_pybytes()]}
    return pa.RecordBatch.from_pydict(values, schema=pa.schema([(name, pa.binary()) for name in values]))


def nearest(batches: Iterable[pa.RecordBatch], k: int, match: pa.DataType) -> Iterator[pa.RecordBatch]:
    """Take in pairs of blocks (block long, query_vectors, query_rows, vectors, rows); yield each query's k best of all.

    The rows that come out: block long, place int, query struct, error string, and
    found array<struct<score double, key long, match struct>>, the best first. `match` is the type of a row that is
    searched, for queries that meet none.
    """
    blocks: dict[int, Neighbours] = {}
    for batch in batches:
        for n in range(batch.num_rows):
            number, *binary = (batch.column(i)[n] for i in range(5))
            query_vectors, query_rows, vectors, rows = (value.as_buffer() for value in binary)
            if number.as_py() not in blocks:
                read = read_rows(query_rows)
                blocks[number.as_py()] = Neighbours(as_matrix(query_vectors, read.column("error").null_count), read, k)
            if rows is not None:  # there may be none to search
                against = read_rows(rows)
                blocks[number.as_py()].meet(as_matrix(vectors, against.num_rows), against)
    for key, each in blocks.items():
        yield each.batch(key, match)


def read_rows(stream: pa.Buffer) -> pa.RecordBatch:
    """Return the rows of a block."""
    return pa.ipc.open_stream(stream).read_next_batch()


def as_matrix(values: pa.Buffer, rows: int) -> np.ndarray:
    """Return the vectors of a block, float32[rows, D]."""
    flat = np.frombuffer(values, np.float32)
    return flat.reshape(rows, len(flat) // max(1, rows))


@dataclass
class Neighbours:
    """A block of queries, and for each of them the k best of the rows that it has met.

    Scores are cosines, in float64; 0 where one of the two vectors is 0. They are computed for those rows alone that
    could be among the k best, by a product in float32. Of equal scores the smaller key is first. So the answer depends
    neither on the blocks nor on the order in which they come.
    """

    vectors: np.ndarray  # float32[Q, D], of the queries that could be read
    rows: pa.RecordBatch  # row, error of all queries
    k: int
    of: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))  # the query of each match, ascending
    scores: np.ndarray = field(default_factory=lambda: np.empty(0))  # of each match, falling for each query
    keys: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    matches: pa.Array | None = None  # the rows

    def __post_init__(self) -> None:
        self.vectors = self.vectors.copy()  # what it is a view of is larger
        self.unit, self.lengths = normalized(self.vectors)
        self.least = np.full(len(self.vectors), -np.inf)  # what a row must score to be among the k best so far

    def meet(self, vectors_MD: np.ndarray, rows: pa.RecordBatch) -> None:
        """Take in a block of rows that are searched: row, key."""
        if not len(vectors_MD) or not len(self.vectors):
            return
        margin = 4 * (vectors_MD.shape[1] + 4) * UNIT  # twice the error of such a product of two vectors of length 1
        unit_MD, lengths = normalized(vectors_MD)
        found = []
        for start in range(0, len(self.vectors), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            query, row = candidates(self.unit[part] @ unit_MD.T, self.least[part], self.k, margin)
            found.append((query + start, row))
        query, row = (np.concatenate(each) for each in zip(*found, strict=True))
        if len(query):
            scores = self._exact(query, vectors_MD, lengths, row)
            self._take(query, scores, rows.column("key").to_numpy()[row], rows.column("row"), row)

    def _exact(self, query: np.ndarray, vectors_MD: np.ndarray, lengths: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Return the cosine of each pair, float64."""
        scores = np.zeros(len(query))
        for start in range(0, len(query), PAIRS):
            part = slice(start, start + PAIRS)
            # Not a product of matrices, whose last digit depends on where in them a vector stands.
            dot = (self.vectors[query[part]].astype(np.float64) * vectors_MD[row[part]]).sum(1)
            both = self.lengths[query[part]] * lengths[row[part]]
            np.divide(dot, both, out=scores[part], where=both > 0)
        return np.clip(scores, -1.0, 1.0)

    def _take(self, query: np.ndarray, scores: np.ndarray, keys: np.ndarray, rows: pa.Array, row: np.ndarray) -> None:
        """Let the candidates compete with what there is."""
        before = len(self.of)
        of, scores, keys = (
            np.concatenate(pair) for pair in ((self.of, query), (self.scores, scores), (self.keys, keys))
        )
        order = np.lexsort((keys, -scores, of))
        rank = np.arange(len(order)) - np.searchsorted(of[order], of[order])
        kept = order[rank < self.k]
        new = kept >= before
        place = kept.copy()
        place[new] = before + np.arange(new.sum())
        more = rows.take(pa.array(row[kept[new] - before]))
        matches = more if self.matches is None else pa.concat_arrays([self.matches, more])
        self.matches = matches.take(pa.array(place))
        self.of, self.scores, self.keys = of[kept], scores[kept], keys[kept]
        ends = np.searchsorted(self.of, np.arange(len(self.vectors)), side="right")
        full = np.bincount(self.of, minlength=len(self.vectors)) == self.k
        self.least[full] = self.scores[ends[full] - 1]

    def batch(self, number: int, match: pa.DataType) -> pa.RecordBatch:
        """Return the queries and what was found for each, as `nearest` says."""
        count = self.rows.num_rows
        readable = np.flatnonzero(self.rows.column("error").is_null().to_numpy(zero_copy_only=False))
        lengths = np.zeros(count, np.int64)
        lengths[readable] = np.bincount(self.of, minlength=len(self.vectors))
        columns: dict[str, pa.Array] = {
            "block": pa.array(np.full(count, number, np.int64)),
            "place": pa.array(np.arange(count, dtype=np.int32)),
            "query": self.rows.column("row"),
            "error": self.rows.column("error"),
        }
        matches = pa.nulls(0, match) if self.matches is None else self.matches
        each = {"score": pa.array(self.scores), "key": pa.array(self.keys), "match": matches}
        flat = pa.StructArray.from_arrays(list(each.values()), names=list(each))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        columns["found"] = pa.ListArray.from_arrays(pa.array(offsets), flat)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def candidates(scores_QM: np.ndarray, least_Q: np.ndarray, k: int, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the queries and rows, int64 each, whose exact score may be among the query's k best.

    `scores_QM` are float32 and each off by at most half the `margin`; `least_Q` is the exact score of the k-th best of
    all rows so far.
    """
    near = scores_QM >= (least_Q - margin).astype(np.float32)[:, None]
    width = scores_QM.shape[1]
    if width > k and np.count_nonzero(near) > CROWDED * k * len(scores_QM):
        kth = np.partition(scores_QM, width - k, axis=1)[:, width - k]
        near = scores_QM >= (np.maximum(kth, least_Q) - margin).astype(np.float32)[:, None]
    queries, rows = np.nonzero(near)
    return queries, rows


def normalized(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return float32[rows, D] of length 1, zeros where a vector is 0; and the lengths, float64[rows]."""
    whole = vectors.astype(np.float64)
    lengths = np.sqrt((whole**2).sum(1))
    unit = np.divide(whole, lengths[:, None], out=np.zeros_like(whole), where=lengths[:, None] > 0)
    return unit.astype(np.float32), lengths
