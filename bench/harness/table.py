# SPDX-License-Identifier: Apache-2.0
"""Results: kept as lines of JSON, read again, and shown as Markdown."""
import json
import statistics

from . import machine


class Results:
    """Records of one kind of benchmark, in memory and, with a path, appended to a file, so that
    a long measurement can be made in pieces and its table at the end."""

    def __init__(self, path=None):
        self.path, self.records = path, []
        if path:
            try:
                with open(path) as file:
                    self.records = [json.loads(line) for line in file]
            except FileNotFoundError:
                pass

    def add(self, **record):
        self.records.append(record)
        if self.path:
            with open(self.path, "a") as file:
                file.write(json.dumps(record) + "\n")
        return record

    def of(self, **wanted):
        """The records that have these values."""
        return [r for r in self.records if all(r.get(k) == v for k, v in wanted.items())]


def quiet(records):
    """The records taken while the machine was ours, or all of them when there is none; and whether
    these are such. "others" is what machine.Others says."""
    found = [r for r in records if r["others"] <= machine.Others.QUIET]
    return found or records, bool(found)


def middle(values):
    return statistics.median(values)


def spread(values, form="{:.1f}"):
    """Median, and the range it is the middle of where there is one."""
    values = sorted(values)
    text = form.format(middle(values))
    if len(values) > 1:
        text += f" ({form.format(values[0])}–{form.format(values[-1])})"
    return text


def markdown(head, rows, right=()):
    """A table; right names the columns, by number, that hold figures."""
    rule = ["---:" if i in right else "---" for i in range(len(head))]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [head, rule, *rows])
