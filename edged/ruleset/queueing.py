"""Queues as this kernel knows them: the desired table says that packets go to one, the kernel's abilities say how."""

from __future__ import annotations

from dataclasses import replace

from edged.ruleset.nodes import Queue, QueueForm
from edged.ruleset.tree import Rule, Table


def queued(table: Table, form: QueueForm | None) -> Table:
    """The table with its queues in that form; without one no packet is queued, and no flow recognised by its content."""
    if not any(isinstance(rule.then, Queue) for rule in table.rules()):
        return table
    chains = tuple(replace(chain, rules=tuple(_queued(chain.rules, form))) for chain in table.chains)
    return replace(table, chains=chains)


def _queued(rules: tuple[Rule, ...], form: QueueForm | None) -> list[Rule]:
    if form is None:
        return [rule for rule in rules if not isinstance(rule.then, Queue)]
    return [replace(rule, then=replace(rule.then, form=form)) if isinstance(rule.then, Queue) else rule for rule in rules]
