"""Transitions as data, and how a table of rules decides one.

A rule is a plain function `(conn, Transition) -> Transition`. A table lists (rule, from, to) in order; `compile_table` turns
it into {(initial type, intended type): (rule, …)}. The rules of a pair run in order until one changes the type of the
proposed state (or takes the state away); what the rules before it meant to write is then dropped with it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from psycopg import Connection

from schemas.fields import parse_time
from schemas.state_types import ANY, TYPES
from schemas.states import NO_DETAILS


@dataclass(frozen=True)
class State:
    """A state of a run; `details` has all keys of schemas.states.DETAILS, as stored in JSON."""

    type: str
    name: str
    message: str | None = None
    data: Any = None
    details: dict[str, Any] = field(default_factory=NO_DETAILS.copy)
    id: UUID | None = None
    timestamp: datetime | None = None

    @cached_property
    def has_result(self) -> bool:
        """Whether the state's data refers to a result that was stored."""
        return isinstance(self.data, dict) and bool(self.data) and self.data.get("type") != "unpersisted"

    @property
    def stores_data(self) -> bool:
        """Whether the state's data is kept, as an artifact; what the client marks as unpersisted is not."""
        return self.data is not None and not (isinstance(self.data, dict) and self.data.get("type") == "unpersisted")

    def time(self, key: str) -> datetime | None:
        """Give one of the details as a time."""
        return parse_time(self.details[key]) if self.details.get(key) else None


@dataclass(frozen=True)
class Transition:
    """A run on its way from one state to another.

    `run` is the locked row, `now` the database's clock at the time of the lock, `proposed` None when nothing is to be
    written, `details` the answer's, `changes` the columns of the run that rules write along with the state. A client that
    does not renew leases holds a slot until its run ends.
    """

    run: Mapping[str, Any]
    initial: State | None
    proposed: State | None
    now: datetime
    status: str = "ACCEPT"
    details: Mapping[str, Any] = field(default_factory=lambda: {"type": "accept_details"})
    changes: Mapping[str, Any] = field(default_factory=dict)
    renews_leases: bool = True


Rule = Callable[[Connection, Transition], Transition]
Table = Iterable[tuple[Rule, Iterable[str | None], Iterable[str | None]]]
Compiled = Mapping[tuple[str | None, str], tuple[Rule, ...]]


def compile_table(table: Table) -> Compiled:
    """Give the rules of each pair of types, in the table's order."""
    return {
        (initial, proposed): tuple(rule for rule, sources, targets in table if initial in sources and proposed in targets)
        for initial in ANY
        for proposed in TYPES
    }


def decide(conn: Connection, transition: Transition, rules: Compiled) -> Transition:
    """Let the rules of a transition's pair have their say, in order."""
    intended = transition.proposed.type
    for rule in rules[transition.initial and transition.initial.type, intended]:
        before, transition = transition, rule(conn, transition)
        if transition.proposed is None or transition.proposed.type != intended:
            return transition if transition.changes is not before.changes else replace(transition, changes={})
    return transition


def accept(transition: Transition, **changes: Any) -> Transition:
    """Let the transition pass and write these columns of the run along with it."""
    return replace(transition, changes={**transition.changes, **changes})


def propose(transition: Transition, *, name: str | None = None, **details: Any) -> Transition:
    """Let the transition pass with another name or other details of the proposed state."""
    proposed = transition.proposed
    proposed = replace(proposed, name=name or proposed.name, details={**proposed.details, **details})
    return replace(transition, proposed=proposed)


def reject(transition: Transition, reason: str, state: State | None = None) -> Transition:
    """Refuse the proposed state and write another instead; without one the run stays in the state that it has."""
    return replace(transition, proposed=state, status="REJECT", details={"type": "reject_details", "reason": reason})


def wait(transition: Transition, delay_seconds: int, reason: str) -> Transition:
    """Tell the client to propose again after a delay."""
    details = {"type": "wait_details", "delay_seconds": delay_seconds, "reason": reason}
    return replace(transition, proposed=None, status="WAIT", details=details)


def abort(transition: Transition, reason: str) -> Transition:
    """Tell the client to give up; the run stays in the state that it has."""
    return replace(transition, proposed=None, status="ABORT", details={"type": "abort_details", "reason": reason})
