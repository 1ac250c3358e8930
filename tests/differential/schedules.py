"""Sequences about what is accepted as a schedule, how it is kept, and what is refused."""

from typing import Any

from tests.differential import Step
from tests.differential.deployments import create
from tests.differential.steps import create_flow

LONG = "RRULE:FREQ=DAILY\n" + "RDATE:20260101T000000\n" * 500
ANCHOR = {"anchor_date": "2026-01-01T00:00:00Z"}

ACCEPTED = [
    {"interval": 60} | ANCHOR,
    {"interval": 0.5} | ANCHOR,
    {"interval": "PT1H"} | ANCHOR,
    {"interval": "P1DT12H"} | ANCHOR,
    {"interval": "01:30:00"} | ANCHOR,
    {"interval": 60, "anchor_date": "2026-01-01T00:00:00"},
    {"interval": 60, "anchor_date": "2026-01-01T00:00:00-05:00", "timezone": "America/New_York"},
    {"interval": 60, "anchor_date": "2026-01-01 00:00:00.123456+02:00", "timezone": "UTC"},
    {"interval": 60, "timezone": None} | ANCHOR,
    {"interval": 60, "timezone": ""} | ANCHOR,
    {"cron": "0 9 * * *"},
    {"cron": "0 9 * * *", "timezone": "Europe/Berlin", "day_or": False},
    {"cron": "@hourly", "timezone": None},
    {"cron": "*/15 8-18/2 1,15 * MON-FRI"},
    {"cron": "0 0 L * *"},
    {"cron": "0 0 * * 5#2"},
    {"cron": "*/10 * * * * *"},
    {"cron": "0 0 30 2 *"},
    {"rrule": "FREQ=DAILY"},
    {"rrule": "RRULE:FREQ=WEEKLY;BYDAY=MO,WE;COUNT=5", "timezone": "America/New_York"},
    {"rrule": "DTSTART:20260101T000000\nRRULE:FREQ=DAILY;UNTIL=20300101T000000Z"},
    {"rrule": "DTSTART;TZID=Europe/Berlin:20260101T000000\nRRULE:FREQ=DAILY"},
    {"rrule": "DTSTART:20260101T000000\nRRULE:FREQ=DAILY\nEXDATE:20260102T000000\nRDATE:20260103T120000"},
    {"rrule": "freq=monthly;bymonthday=-1"},
    {"rrule": "FREQ=YEARLY", "timezone": None},
]
REFUSED = [
    {},
    {"timezone": "UTC"},
    "0 9 * * *",
    [],
    {"interval": 0} | ANCHOR,
    {"interval": -60} | ANCHOR,
    {"interval": "-PT1H"} | ANCHOR,
    {"interval": "soon"} | ANCHOR,
    {"interval": None} | ANCHOR,
    {"interval": 60, "anchor_date": "never"},
    {"interval": 60, "anchor_date": None},
    {"interval": 60, "timezone": "Nowhere/Town"} | ANCHOR,
    {"interval": 60, "timezone": 5} | ANCHOR,
    {"interval": 60, "unknown": 1} | ANCHOR,
    {"interval": 60, "cron": "* * * * *"} | ANCHOR,
    {"cron": ""},
    {"cron": "* * *"},
    {"cron": "60 * * * *"},
    {"cron": "every day"},
    {"cron": "H * * * *"},
    {"cron": "R R * * *"},
    {"cron": None},
    {"cron": "* * * * *", "timezone": "Nowhere/Town"},
    {"cron": "* * * * *", "day_or": "perhaps"},
    {"rrule": ""},
    {"rrule": "FREQ=NEVER"},
    {"rrule": "daily"},
    {"rrule": LONG},
    {"rrule": None},
    {"rrule": "FREQ=DAILY", "timezone": "Nowhere/Town"},
]
# What never comes to a recurrence, or only after millions of steps.
ENDLESS = [
    "DTSTART:20200101T000000\nFREQ=MONTHLY;INTERVAL=0;BYDAY=MO;BYMONTHDAY=1",
    "FREQ=MINUTELY;INTERVAL=0",
    "FREQ=SECONDLY;INTERVAL=99999999999999999999",
    "DTSTART:20200101T000000\nRRULE:FREQ=SECONDLY\nEXRULE:FREQ=SECONDLY",
    "DTSTART:20200101T000000\nFREQ=MINUTELY;BYSECOND=0;COUNT=100000000",
    "DTSTART:20200101T000000\nFREQ=YEARLY;BYEASTER=99999",
]
NEVER_DUE = [
    "DTSTART:20200101T000000\nFREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30",
    "DTSTART:20200101T000000\nFREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "DTSTART:99991231T000000\nFREQ=DAILY",
    "DTSTART;TZID=Nowhere/Town:20260101T000000\nRRULE:FREQ=DAILY",
]


def add(schedule: Any, **fields: Any) -> Step:
    """Add a schedule to the deployment of the sequence."""
    return Step("POST", "/deployments/{deployment.id}/schedules", [{"schedule": schedule} | fields], save="added")


def change(**fields: Any) -> Step:
    """Change the schedule that the sequence begins with."""
    return Step("PATCH", "/deployments/{deployment.id}/schedules/{added.0.id}", fields)


def refuse(text: str) -> Step:
    """Add an RRULE that the scheduler of Prefect's server cannot follow, or only by hanging; some it refuses by an error."""
    reason = "Prefect's scheduler hangs with it, or its server answers 500"
    return add({"rrule": text})._replace(differs=reason, status=422, save="refused")


LIST = Step("GET", "/deployments/{deployment.id}/schedules")
BEGIN = [create_flow(), create()]

SEQUENCES = {
    "accepted": [*BEGIN, *(add(schedule) for schedule in ACCEPTED)],
    "accepted_with_the_deployment": [
        create_flow(),
        *(create(name=f"d-{number}-{{unique}}", schedules=[{"schedule": each}]) for number, each in enumerate(ACCEPTED)),
    ],
    "refused": [*BEGIN, *(add(schedule) for schedule in REFUSED), LIST],
    "endless": [*BEGIN, *(refuse(text) for text in ENDLESS), *(add({"rrule": text}) for text in NEVER_DUE)],
    "refused_with_the_deployment": [create_flow(), *(create(schedules=[{"schedule": each}]) for each in REFUSED)],
    "refused_in_an_update": [
        *BEGIN,
        add(ACCEPTED[0]),
        *(change(schedule=schedule) for schedule in REFUSED if schedule != {}),
        *(Step("PATCH", "/deployments/{deployment.id}", {"schedules": [{"schedule": each}]}) for each in REFUSED),
        LIST,
    ],
    "fields": [
        *BEGIN,
        add(ACCEPTED[0], active=False, max_scheduled_runs=7, parameters={"x": [1, {"y": None}]}, slug="s", replaces="r"),
        add(ACCEPTED[0], active=None),
        add(ACCEPTED[0], active="no"),
        add(ACCEPTED[0], max_scheduled_runs=0),
        add(ACCEPTED[0], max_scheduled_runs=51),
        add(ACCEPTED[0], max_scheduled_runs="x"),
        add(ACCEPTED[0], parameters=None),
        add(ACCEPTED[0], parameters=[]),
        add(ACCEPTED[0], slug=""),
        add(ACCEPTED[0], slug=5),
        add(ACCEPTED[0], unknown=1),
        Step("POST", "/deployments/{deployment.id}/schedules", [{"active": True}]),
        Step("POST", "/deployments/{deployment.id}/schedules", None),
        add(ACCEPTED[10], slug="last"),
        change(active=None, max_scheduled_runs=None, slug=None),
        change(active=False, max_scheduled_runs=3),
        LIST,
        change(max_scheduled_runs=51),
        change(parameters=None),
        change(parameters={"a": 1}, schedule=ACCEPTED[1]),
        change(unknown=1),
        change(),
        LIST,
    ],
}
