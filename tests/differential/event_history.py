"""Sequences about reading events. Both servers get the same rows, of a time of their own in which nothing else happens."""

import json
from typing import Any

from tests.differential import Step

EVENTS: tuple[tuple[str, int, dict, list[dict], dict], ...] = (
    (
        "prefect.flow-run.Running",
        0,
        {"id": "prefect.flow-run.a", "name": "run a", "size": "big"},
        [{"id": "f.1", "role": "flow"}],
        {},
    ),
    (
        "prefect.flow-run.Completed",
        5,
        {"id": "prefect.flow-run.a", "name": "run A"},
        [{"id": "f.1", "role": "flow"}],
        {"x": "Needle"},
    ),
    (
        "prefect.flow-run.Running",
        61,
        {"id": "prefect.flow-run.b"},
        [{"id": "f.2", "role": "flow", "team": "t"}],
        {"x": "hay stack"},
    ),
    (
        "prefect.log.write",
        3599,
        {"id": "log_1", "name": "l"},
        [{"id": "f.1", "role": "owner"}, {"id": "f.2", "role": "flow"}],
        {},
    ),
    ("other", 7200, {"id": "log%2", "kind": "odd_one"}, [], {"deep": {"n": [1, "Straße"]}}),
    ("otherwise", 90000, {"id": "f.1"}, [{"id": "prefect.flow-run.a", "role": "flow-run", "team": "T"}], {}),
)
NAMES = {"id": "prefect.resource.id", "role": "prefect.resource.role", "name": "prefect.resource.name"}
SINCE, UNTIL = "2025-03-01T00:00:00Z", "2025-03-04T00:00:00Z"
OCCURRED = {"occurred": {"since": SINCE, "until": UNTIL}}


def text(value: Any) -> str:
    """Word a JSON value as a literal of SQL; what looks like a reference is kept from being one."""
    return "'" + json.dumps(value).replace("'", "''") + "'"


def insert(place: int, event: str, seconds: int, resource: dict, related: list[dict], payload: dict) -> list[Step]:
    """Store an event and its resources as both servers do."""
    id = f"00000000-0000-4000-8000-0000000000{place:02}"
    occurred = f"timestamptz '2025-03-01T12:00:00Z' + interval '{seconds} seconds'"
    involved = [{NAMES.get(key, key): value for key, value in one.items()} for one in (resource, *related)]
    ids = [one["prefect.resource.id"] for one in involved]
    return [
        Step(
            "SQL",
            "INSERT INTO events (id, occurred, event, resource_id, resource, related_resource_ids, related, payload, received,"
            f" recorded) SELECT '{id}', {occurred}, '{event}', '{ids[0]}', {text(involved[0])}, {text(ids[1:])},"
            f" {text(involved[1:])}, {text(payload)}, {occurred}, {occurred} ON CONFLICT DO NOTHING",
        ),
        *(
            Step(
                "SQL",
                "INSERT INTO event_resources (occurred, resource_id, resource_role, resource, event_id) SELECT"
                f" {occurred}, '{one['prefect.resource.id']}', '{one.get('prefect.resource.role', '')}',"
                f" {text({key: value for key, value in one.items() if key not in list(NAMES.values())[:2]})}, '{id}'",
            )
            for one in involved
        ),
    ]


STORED = [
    Step("SQL", f"DELETE FROM event_resources WHERE occurred BETWEEN '{SINCE}' AND '{UNTIL}'"),
    Step("SQL", f"DELETE FROM events WHERE occurred BETWEEN '{SINCE}' AND '{UNTIL}'"),
    *(step for place, event in enumerate(EVENTS) for step in insert(place, *event)),
]


def search(limit: int = 50, save: str = "found", **criteria: Any) -> Step:
    """Ask for the events of the time that match."""
    return Step("POST", "/events/filter", {"filter": OCCURRED | criteria, "limit": limit}, save=save)


def count(countable: str, time: dict | None = None, **criteria: Any) -> Step:
    """Ask for counts of the events of the time."""
    return Step("POST", f"/events/count-by/{countable}", {"filter": OCCURRED | criteria} | (time or {}))


LABELS = (
    {"prefect.resource.id": "prefect.flow-run.a"},
    {"prefect.resource.id": ["prefect.flow-run.*", "log?1"]},
    {"prefect.resource.id": ["!prefect.flow-run.*"]},
    {"prefect.resource.id": []},
    {"prefect.resource.name": "run ?"},
    {"prefect.resource.name": ["!run a"]},
    {"prefect.resource.name": []},
    {"prefect.resource.name": ""},
    {"prefect.resource.role": "flow"},
    {"prefect.resource.role": []},
    {"prefect.resource.role": ["flow", "owner"], "team": "t"},
    {"team": ["t", "T"]},
    {"kind": "odd_one"},
    {"kind": "odd?one"},
    {"kind": "odd%"},
    {"size": "big", "prefect.resource.name": "run*"},
    {},
)

SEQUENCES = {
    "filter": [
        *STORED,
        search(),
        search(order="ASC"),
        *(
            search(event=criteria)
            for criteria in (
                {"prefix": ["prefect.flow-run."]},
                {"prefix": ["prefect.log", "other"]},
                {"exclude_prefix": ["prefect.flow-run", "otherw"]},
                {"name": ["other", "prefect.log.write", "none"]},
                {"name": ["other"], "prefix": []},
                {"exclude_name": ["prefect.log.write"], "prefix": ["prefect."]},
                {"name": []},
                {},
                None,
            )
        ),
        *(
            search(resource=criteria)
            for criteria in (
                {"id": ["prefect.flow-run.a", "f.1"]},
                {"id_prefix": ["prefect.", "log"]},
                {"id": [], "id_prefix": []},
                {"distinct": True},
                {"distinct": True, "id_prefix": ["prefect."]},
                None,
                *({"labels": labels} for labels in LABELS if labels != {"prefect.resource.role": []}),
                {"labels": LABELS[0], "id_prefix": ["log"]},
            )
        ),
        search(resource={"distinct": True}, order="ASC"),
        search(2, resource={"distinct": True})._replace(ignore=("next_page",)),
        *(
            search(related=criteria)
            for criteria in (
                {"id": ["f.1"]},
                {"role": ["flow"]},
                {"id": ["f.1"], "role": ["flow"]},
                {"id": ["log_1"], "role": [""]},
                {"resources_in_roles": [["f.1", "owner"], ["f.2", "flow"]]},
                [{"id": ["f.1"]}, {"id": ["f.2"]}],
                [],
                {},
                None,
                *({"labels": labels} for labels in LABELS),
            )
        ),
        *(
            search(any_resource=criteria)
            for criteria in (
                {"id": ["f.1"]},
                {"id_prefix": ["prefect.flow-run"]},
                [{"id": ["f.1"]}, {"id": ["prefect.flow-run.a"]}],
                {"id": ["f.1", "f.2"], "labels": {"team": "*"}},
                *({"labels": labels} for labels in LABELS),
            )
        ),
        search(id={"id": ["00000000-0000-4000-8000-000000000001", "{uuid.none}"]}),
        search(id={"id": []}),
        search(id={"id": None}),
        *(
            search(text={"query": query})
            for query in (
                "needle",
                "RUN -completed",
                "needle stack",
                '"hay stack"',
                '"hay  stack"',
                "+run +b",
                "!run",
                "straße",
                "odd_one",
                "prefect.resource.name",
                "f.1 +owner",
                "",
                " ",
            )
        ),
        search(event={"prefix": ["prefect."]}, related={"id": ["f.1"]}, text={"query": "needle"}, any_resource={"id": ["f.1"]}),
    ],
    "without_a_filter": [
        *(
            Step("POST", "/events/filter", body, ignore=("events", "total", "next_page"))
            for body in (None, {}, {"filter": None}, {"filter": {}, "limit": 1}, {"limit": None})
        ),
    ],
    "pages": [
        *STORED,
        search(2)._replace(ignore=("next_page",)),
        search(0)._replace(ignore=("next_page",)),
        search(6),
        search(5)._replace(ignore=("next_page",)),
        search(51),
        search(-1),
        Step("GET", "/events/filter/next"),
        Step("GET", "/events/filter/next?page-token=nonsense"),
        Step("GET", "/events/filter/next?page-token=bm9uc2Vuc2U="),
        Step("GET", "/events/filter/next?page-token="),
    ],
    "counts": [
        *STORED,
        count("event"),
        count("resource"),
        count("day"),
        count("time"),
        *(count("time", {"time_unit": unit, "time_interval": steps}) for unit, steps in (("week", 1), ("day", 0.5), ("hour", 1))),
        count("time", {"time_unit": "hour", "time_interval": 5.5}),
        count("time", {"time_unit": "minute", "time_interval": 90}),
        count("time", {"time_unit": "second", "time_interval": 10000.25}),
        count("time", {"time_unit": "minute", "time_interval": 1}),
        count("time", {"time_unit": "second"}),
        *(count("time", {"time_unit": "day", "time_interval": steps}) for steps in (0.001, 0, -1, "x", None)),
        count("time", {"time_unit": "year"}),
        count("year"),
        count("event", event={"prefix": ["prefect."]}),
        count("resource", related={"id": ["f.1"]}),
        count("time", {"time_unit": "hour", "time_interval": 6}, any_resource={"id": ["f.1"]}),
        count("event", occurred={"since": "2024-01-01T00:00:00Z", "until": "2024-01-02T00:00:00Z"}),
        count("time", {"time_unit": "hour"}, occurred={"since": "2024-01-01T00:00:00Z", "until": "2024-01-01T02:30:00Z"}),
        count("time", {"time_unit": "hour"}, occurred={"since": "2024-01-02T00:00:00Z", "until": "2024-01-01T02:30:00Z"}),
        Step("POST", "/events/count-by/time", {"filter": {"occurred": {"since": "{now-7000}"}, "id": {"id": ["{uuid.none}"]}}}),
        Step(
            "POST",
            "/events/count-by/time",
            {
                "filter": {"occurred": {"since": "{now-70}", "until": "{now+7000}"}, "id": {"id": ["{uuid.none}"]}},
                "time_unit": "minute",
            },
        ),
        Step("POST", "/events/count-by/event", {}),
        Step("POST", "/events/count-by/event"),
    ],
    "refused": [
        *(
            search(**{field: value})
            for field, values in {
                "occurred": (None, {"since": None}, {"since": "x"}, {"before": SINCE}, []),
                "event": ("x", {"name": "x"}, {"name": [1]}, {"unknown": []}),
                "resource": ({"id": "x"}, {"labels": "x"}, {"labels": {"a": 1}}, {"labels": {"a": [1]}}, {"role": ["x"]}),
                "related": ("x", {"id_prefix": ["x"]}, {"resources_in_roles": [["x"]]}, [{"id": 1}], ["x"]),
                "any_resource": ({"role": ["x"]}, {"id": [None]}),
                "id": (None, {"id": ["x"]}, ["x"]),
                "text": ({}, {"query": None}, {"query": "x" * 201}),
                "order": ("asc", None, 1),
                "unknown": (1,),
            }.items()
            for value in values
        ),
    ],
}
