"""The sections of the page: upstreams across tasks, each task under each protocol, and what is published of it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from harness.export import Sheet
from harness.results import is_share, shown
from harness.types import Result

from .contamination import training_notes
from .groups import Group, Pairs, about, grouped, is_ranked, rank_notes, warning
from .markup import facts, figure, folded, html, note, noted, table
from .pair_table import pair_sheet
from .plots import labels_of, layer_plot, layer_scores, score_plot, weight_plot
from .reference import beside, blocks
from .reference_table import PUBLISHED, beside_sheets, block_sheet
from .summary import sheet as summary_sheet
from .summary import summaries
from .table import sheet

_ACROSS = "across tasks"


class Part(NamedTuple):
    """A section: the row of the contents that it belongs to, the text of its link there, and its HTML."""

    topic: str
    link: str
    body: str


def parts(results: Sequence[Result], pairs: Pairs) -> list[Part]:
    """Every section, in order."""
    found = [_summary(summary_sheet(each)) for each in summaries(results)]
    groups = grouped(results)
    for task, names in groupby(groups, key=lambda names: names.task):
        these = list(names)
        protocols = [group.protocol for group in these]
        for group in these:
            alone = protocols.count(group.protocol) == 1
            link = group.protocol if alone else f"{group.protocol}, {group.metric}"
            found.append(Part(task, link, _group(group, groups[group], pairs)))
        found += _published(task, [result for group in these for result in groups[group]])
    return found


def _summary(averaged: Sheet) -> Part:
    protocol = averaged.facts["protocol"]
    body = [_heading("Across tasks", f"protocol {protocol}"), table(averaged), *map(note, averaged.notes)]
    return Part(_ACROSS, protocol, "".join(body))


def _group(names: Group, group: Sequence[Result], pairs: Pairs) -> str:
    labels = labels_of(group, "interface", "head")
    warned, tests = warning(group), pair_sheet(names, group, pairs)
    return "".join(
        (
            _heading(names.task, f"protocol {names.protocol}"),
            note(about(group)),
            f'<p class="note"><strong>{html(warned)}</strong></p>\n' if warned else "",
            _ranking(names, group, pairs),
            *map(note, rank_notes(group, pairs)),
            folded("Tests of pairs", noted(tests) if tests else ""),
            folded("Training data and this task", "".join(map(note, training_notes(group)))),
            *_plots(names, group, labels),
            "<h3>Provenance</h3>\n",
            *(folded(label, _provenance(result)) for label, result in zip(labels, group, strict=True)),
        )
    )


def _published(task: str, results: Sequence[Result]) -> Iterator[Part]:
    """What is published of a task, where anything is, with what was measured here beside it."""
    if not (found := blocks(task)):
        return
    body = [_heading(task, "published numbers"), note(PUBLISHED)]
    body += map(noted, beside_sheets(beside(results)))
    for kind, rows in found.items():
        block = block_sheet(task, kind, rows)
        numbers = f"{len(rows)} number{'s' * (len(rows) > 1)}"
        body.append(folded(f"{kind} ({numbers})", noted(block)))
    yield Part(task, "published", "".join(body))


def _heading(text: str, beside_it: str) -> str:
    return f"<h2>{html(text)} <small>{html(beside_it)}</small></h2>\n"


def _ranking(names: Group, group: Sequence[Result], pairs: Pairs) -> str:
    """The table, with badges beside the upstream and deviations below the interface."""
    return table(
        sheet(names, group, pairs),
        classes=["ranked" if is_ranked(result) else "unranked" for result in group],
        after={
            "Upstream": ["".join(f' <span class="badge">{html(b)}</span>' for b in r.badges) for r in group],
            "Interface": ["".join(f"<small>{html(sentence)}</small>" for sentence in r.deviations) for r in group],
        },
        hidden=("Badges", "Deviations"),
    )


def _plots(names: Group, group: Sequence[Result], labels: Sequence[str]) -> Iterator[str]:
    unit = f"{names.metric}{' in %' * is_share(names.metric)}"
    yield figure(f"Score ({unit}) with its interval{_legend(group)}.", score_plot(labels, group))
    layers = layer_plot(layer_scores(group), names.metric)
    yield figure(f"Score ({unit}) on the validation folds of each layer's best setting, mean over splits.", layers)
    for label, result in zip(labels, group, strict=True):
        yield figure(f"Learned layer weights of {label}, one row per fit.", weight_plot(result.layer_weights))


def _legend(group: Sequence[Result]) -> str:
    """What the dots of the score plot mean, as far as they are not all clean."""
    marks = {
        "; grey: leaky or test-selected": any(r.badges and is_ranked(r) for r in group),
        "; hollow: not ranked": not all(is_ranked(r) for r in group),
    }
    return "".join(text for text, occurs in marks.items() if occurs)


def _provenance(result: Result) -> str:
    lists: dict[str, Mapping[str, Any]] = {
        "Result": {"key": result.key, "created": result.created},
        "Metrics": {name: f"{shown(value, name)}{' %' * is_share(name)}" for name, value in result.metrics.items()},
        "Encoder": result.encoder,
        "Data": result.data,
        "Method": result.method,
        "Environment": result.environment,
        "Cost": result.cost,
    }
    return "".join(f"<h3>{name}</h3>{facts(values)}" for name, values in lists.items())
