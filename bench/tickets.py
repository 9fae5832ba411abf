"""Are the demo tickets varied, labelled by their contract and nobody else's words?

    python bench/tickets.py [--tickets FILE] [--real DIRECTORY]

At least 640; no two as alike as 0.5 (Jaccard similarity of word 3-grams), no run of five words in
more than 1 % of them, none as alike as 0.6 to a Banking77 message. Those messages are looked for
in the folder that FATHOM_REAL_DATA names; without it they are not compared, and the result says
so.
"""

import argparse
import csv
import json
import os
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from results import keep

from fathom_tui.contract import Contract
from fathom_tui.datasets.near_duplicates import Shingles, jaccard, shingles
from fathom_tui.datasets.words import normalised, words
from fathom_tui.engagement import read_settings

DEMO = Path(__file__).parents[1] / "assets" / "demo"
LEAST_TICKETS = 640
PAIR_LIMIT, REAL_LIMIT = 0.5, 0.6
"""Jaccard similarity of word 3-grams that no pair may reach."""
SEQUENCE_WORDS, SEQUENCE_SHARE = 5, 0.01
STRATA = ("routine", "edge", "adversarial")
STRATUM_SHARE = 0.1
"""Least share of the tickets in each stratum."""

Ticket = Mapping[str, Any]


def main() -> int:
    """Check the tickets and keep the result; 1 when something is wrong with them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tickets", type=Path, default=DEMO / "tickets.jsonl")
    parser.add_argument("--real", type=Path, default=os.environ.get("FATHOM_REAL_DATA"))
    given = parser.parse_args()
    contract = Contract.from_json(read_settings(DEMO / "engagement.toml")["contract"])
    real = banking77(Path(given.real)) if given.real else None
    if real is None:
        print("FATHOM_REAL_DATA is not set: Banking77 is not compared.", file=sys.stderr)
    result = check(read(given.tickets), contract, real)
    keep("tickets", result)
    for problem in result["problems"]:
        print(problem, file=sys.stderr)
    return 1 if result["problems"] else 0


def read(path: Path) -> list[Ticket]:
    """Return the tickets of a file, one JSON object a line."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def banking77(folder: Path) -> list[str]:
    """Return all messages of Banking77, training and test."""
    texts = []
    for name in ("train.csv", "test.csv"):
        with (folder / name).open(newline="", encoding="utf-8") as file:
            texts += [row["text"] for row in csv.DictReader(file)]
    return texts


def check(
    tickets: Sequence[Ticket], contract: Contract, real: Sequence[str] | None
) -> dict[str, Any]:
    """Return what there is to know of the tickets; `problems` is empty where all is well."""
    texts = [str(ticket["text"]) for ticket in tickets]
    found = [shingles(text) for text in texts]
    lengths = sorted(len(words(text)) for text in texts)
    result = {
        "tickets": len(tickets),
        "strata": dict(Counter(ticket["stratum"] for ticket in tickets).most_common()),
        "labels": {
            field.name: dict(Counter(ticket[field.name] for ticket in tickets).most_common())
            for field in contract.choice_fields
        },
        "with_an_amount": sum(ticket["amount_gbp"] is not None for ticket in tickets),
        "words": {
            "least": lengths[0], "median": statistics.median(lengths), "most": lengths[-1]
        },
        "most_alike_pair": _named(closest_pair(found), tickets),
        "commonest_sequence": commonest_sequence(texts),
        "most_alike_to_banking77": (
            "not compared" if real is None else _against(found, tickets, real)
        ),
    }  # fmt: skip
    return {**result, "problems": [*_faults(tickets, contract), *_judge(result)]}


def closest_pair(found: Sequence[Shingles]) -> tuple[float, int, int]:
    """Return (similarity, one, other) of the two sets most alike; every pair is compared."""
    return max(
        ((jaccard(found[a], found[b]), a, b) for a, b in _sharing(found)), default=(0.0, 0, 0)
    )


def closest_match(found: Sequence[Shingles], others: Sequence[Shingles]) -> tuple[float, int, int]:
    """Return (similarity, index, index of the other) of the two most alike across both."""
    places = _places(others)
    return max(
        (
            (jaccard(mine, others[other]), index, other)
            for index, mine in enumerate(found)
            for other in {row for shingle in mine for row in places.get(shingle, ())}
        ),
        default=(0.0, 0, 0),
    )


def commonest_sequence(texts: Sequence[str]) -> dict[str, Any]:
    """Return the run of five words that stands in the most texts, and in what share of them."""
    counts: Counter[str] = Counter()
    for text in texts:
        found = words(text)
        starts = range(len(found) - SEQUENCE_WORDS + 1)
        counts.update({" ".join(found[i : i + SEQUENCE_WORDS]) for i in starts})
    ((sequence, tickets),) = counts.most_common(1) or [("", 0)]
    return {"words": sequence, "tickets": tickets, "share": round(tickets / len(texts), 4)}


def _sharing(found: Sequence[Shingles]) -> Iterator[tuple[int, int]]:
    # Sets that share nothing have similarity 0: only the others need comparing.
    for rows in _places(found).values():
        for place, row in enumerate(rows):
            yield from ((earlier, row) for earlier in rows[:place])


def _places(found: Sequence[Shingles]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = defaultdict(list)
    for row, shingles_of_row in enumerate(found):
        for shingle in shingles_of_row:
            places[shingle].append(row)
    return places


def _named(pair: tuple[float, int, int], tickets: Sequence[Ticket]) -> dict[str, Any]:
    similarity, one, other = pair
    return {
        "similarity": round(similarity, 4),
        "tickets": [tickets[one]["id"], tickets[other]["id"]],
    }


def _against(
    found: Sequence[Shingles], tickets: Sequence[Ticket], real: Sequence[str]
) -> dict[str, Any]:
    similarity, mine, other = closest_match(found, [shingles(text) for text in real])
    return {
        "messages": len(real),
        "similarity": round(similarity, 4),
        "ticket": tickets[mine]["id"],
        "message": real[other],
    }


def _faults(tickets: Sequence[Ticket], contract: Contract) -> Iterator[str]:
    ids = Counter(ticket["id"] for ticket in tickets)
    yield from (f"{name} is the id of {times} tickets." for name, times in ids.items() if times > 1)
    copies = Counter(normalised(str(ticket["text"])) for ticket in tickets)
    yield from (f"{times} tickets say {text!r}." for text, times in copies.items() if times > 1)
    for ticket in tickets:
        for field in contract.fields:
            if not field.accepts(ticket[field.name]):
                yield f"{ticket['id']} has {field.name} {ticket[field.name]!r}."
        if ticket["stratum"] not in STRATA:
            yield f"{ticket['id']} is of the stratum {ticket['stratum']!r}."


def _judge(result: Mapping[str, Any]) -> Iterator[str]:
    count, strata = result["tickets"], result["strata"]
    if count < LEAST_TICKETS:
        yield f"{count} tickets are fewer than {LEAST_TICKETS}."
    for stratum in STRATA:
        if strata.get(stratum, 0) < STRATUM_SHARE * count:
            yield f"{strata.get(stratum, 0)} of {count} tickets are {stratum}."
    pair, sequence = result["most_alike_pair"], result["commonest_sequence"]
    if pair["similarity"] >= PAIR_LIMIT:
        yield f"{' and '.join(pair['tickets'])} are as alike as {pair['similarity']}."
    if sequence["share"] > SEQUENCE_SHARE:
        yield f"{sequence['words']!r} stands in {sequence['tickets']} tickets."
    real = result["most_alike_to_banking77"]
    if isinstance(real, dict) and real["similarity"] >= REAL_LIMIT:
        yield f"{real['ticket']} is as alike as {real['similarity']} to {real['message']!r}."


if __name__ == "__main__":
    raise SystemExit(main())
