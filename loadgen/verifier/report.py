"""What a comparison found, for a person and for a program.

Findings, and the texts of the events that are named, go in; lines of text or one object for JSON come out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from loadgen.verifier.compare import KINDS, Findings, Named
from loadgen.verifier.manifest_spec import ManifestSpec

_WORDS = {
    "lost": "lost (expected, absent)",
    "repeated": "repeated (there more often than sent)",
    "altered": "altered (same event, other content)",
    "foreign": "foreign (never planned)",
    "out_of_order": "out of order (after a later event of the same listener)",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """An event that is named, with its texts.

    Attributes:
        kind: one of KINDS.
        where: the place where it was found; empty where it was not.
        found, expected: what is there, and what should be; None where there is nothing.
    """

    kind: str
    where: str
    found: bytes | None
    expected: bytes | None


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Everything there is to say.

    Attributes:
        source: the place, in words.
        promises: what was promised.
        findings: what was found.
        shown: the events that are named.
        elapsed_s: how long it took.
    """

    source: str
    promises: list[ManifestSpec]
    findings: Findings
    shown: list[Shown]
    elapsed_s: float

    def as_json(self) -> dict[str, Any]:
        """The object that --json prints."""
        findings = self.findings
        return {
            "verdict": _short_verdict(findings),
            "expected": findings.n_expected,
            "found": findings.n_found,
            **{kind: findings.counts[kind] if kind in findings.kinds else None for kind in KINDS},
            "named": {kind: [_object(one) for one in self.shown if one.kind == kind] for kind in KINDS},
            "notes": self.notes(),
            "source": self.source,
            "manifests": [str(promise.path) for promise in self.promises],
            "elapsed_s": round(self.elapsed_s, 3),
        }

    def as_text(self) -> Iterator[str]:
        """The lines that a person reads."""
        findings, n_manifests = self.findings, len(self.promises)
        manifests = str(self.promises[0].path) if n_manifests == 1 else f"{n_manifests} manifests"
        yield f"{self.source} against {manifests}:"
        yield f"  expected {findings.n_expected:,}, found {findings.n_found:,} events in {self.elapsed_s:,.1f} s"
        for kind in findings.kinds:
            yield f"  {findings.counts[kind]:>13,}  {_WORDS[kind]}"
            for one in self.shown:
                if one.kind == kind:
                    yield from _lines(one)
            n_more = findings.counts[kind] - sum(one.kind == kind for one in self.shown)
            if 0 < n_more < findings.counts[kind]:
                yield f"{'':15}  … and {n_more:,} more (--show N names more)"
        for note in self.notes():
            yield f"  note: {note}"
        yield _verdict(findings)

    def notes(self) -> list[str]:
        """What else a person should know."""
        notes = list(self.findings.notes)
        repeats = sum(promise.repeated_possibly for promise in self.promises)
        if repeats and self.findings.counts["repeated"]:
            notes.append(f"the run itself says that up to {repeats:,} events were sent twice, by a worker that died")
        for promise in self.promises:
            if promise.was_killed:
                notes.append(f"run {promise.run_id} was killed, or goes on: {promise.path} is the last it wrote before")
        n_open = sum(int(promise.undelivered.sum()) for promise in self.promises)
        if n_open:
            notes.append(
                f"{n_open:,} planned events failed, were dropped or unfinished: those, and no others, may be absent"
            )
        if any(promise.timeless for promise in self.promises):
            notes.append("times are compared by the fingerprint only: --timestamps wall with --rate max or a pacer")
        return notes


def _short_verdict(findings: Findings) -> str:
    if findings.is_clean and findings.n_expected == 0:
        return "nothing to prove"
    return "proved" if findings.is_proved else "not proved"


def _verdict(findings: Findings) -> str:
    if findings.is_proved:
        if findings.kinds != KINDS:
            return "proved: every delivered event came out once"
        if findings.n_split:
            return (
                "proved: every delivered event is there once and unchanged; "
                f"the order of {findings.n_split:,} listeners cannot be told, whose events are in several partitions"
            )
        return "proved: every delivered event is there once, unchanged and in order"
    if findings.is_clean and findings.n_undecided:
        return (
            f"NOT proved: {findings.n_undecided:,} planned events are absent, and the run gave up too many events for "
            "its manifest to say which; run again at a rate that it can keep"
        )
    if findings.is_clean and findings.n_split and findings.n_expected:
        return (
            f"NOT proved: the order of {findings.n_split:,} listeners cannot be told, whose events are in several "
            "partitions; if another system did that on purpose, say --repartitioned"
        )
    if findings.is_clean:
        return "NOT proved: no event was delivered, so there is nothing to prove; look at how the run ended"
    wrong = [f"{findings.counts[kind]:,} {kind.replace('_', ' ')}" for kind in KINDS if findings.counts[kind]]
    return f"NOT proved: {', '.join(wrong)}"


def _lines(one: Shown) -> Iterator[str]:
    indent = f"{'':15}  "
    if one.where:
        yield f"{indent}{one.where}"
    if one.expected is not None:
        yield f"{indent}{'expected' if one.found is not None else 'absent  '} {_text(one.expected)}"
    if one.found is not None:
        same = "the same, but not its topic, partition, key, headers or timestamp"
        yield f"{indent}found    {same if one.found == one.expected else _text(one.found)}"


def _text(line: bytes) -> str:
    return line.decode(errors="backslashreplace")


def _object(one: Shown) -> dict[str, Any]:
    return {"where": one.where or None, "expected": _value(one.expected), "found": _value(one.found)}


def _value(line: bytes | None) -> Any:
    """The record, or its text where it is none."""
    if line is None:
        return None
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return _text(line)


def refs(named: list[Named]) -> tuple[list[int], list[int]]:
    """The places of found events, and the names of expected ones, of which texts are wanted."""
    found = [one.found for one in named if one.found is not None]
    expected = [one.expected for one in named if one.expected is not None]
    return found, expected
