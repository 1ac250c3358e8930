"""Sequences about slots that runs take by orchestration: of their tags' limits, and of their deployment's."""

from tests.differential import Step
from tests.differential.steps import (
    after_each,
    create_flow,
    create_flow_run,
    create_task_run,
    propose,
    propose_for_task,
    read_run,
    state,
)

LIMITS = "/v2/concurrency_limits"
CLIENT = {"User-Agent": "prefect/3.8.3 (API 0.8.4)"}  # one that renews leases
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def tag(name: str = "a", limit: int = 1, **fields: object) -> Step:
    """Make the limit of a tag."""
    return Step("POST", f"{LIMITS}/", {"name": f"tag:{name}-{{unique}}", "limit": limit} | fields, save=f"limit_{name}")


def tagged(save: str, *tags: str, **fields: object) -> Step:
    """Make a task run with tags."""
    return create_task_run(save, tags=[f"{tag}-{{unique}}" for tag in tags], **fields)


def read_tags(*names: str) -> list[Step]:
    """Read limits of tags."""
    return [Step("GET", f"{LIMITS}/tag:{name}-{{unique}}") for name in names]


def deploy(limit: int | None = 1, **fields: object) -> list[Step]:
    """Make a deployment with a limit and three runs that wait."""
    body = {"name": "d-{unique}", "flow_id": "{flow.id}", "concurrency_limit": limit} | fields
    runs = [create_flow_run(save, deployment_id="{deployment.id}", state=state("SCHEDULED")) for save in ("one", "two", "three")]
    return [create_flow(), Step("POST", "/deployments/", body, save="deployment"), *runs]


def by_client(*arguments: str, **fields: object) -> Step:
    """Propose a state as a client does that renews leases."""
    return propose(*arguments, **fields)._replace(headers=CLIENT)


LIMIT = Step("GET", f"{LIMITS}/deployment:{{deployment.id}}")
CANCEL_NEW = {"collision_strategy": "CANCEL_NEW"}


def lives(*steps: Step, **fields: object) -> list[Step]:
    """Let runs of a deployment live, and read its limit after each step."""
    return [*deploy(**fields), *after_each(list(steps), [LIMIT])]


SEQUENCES = {
    "tag": [
        tag(),
        tagged("one", "a", "free"),
        tagged("two", "a"),
        *after_each(
            [
                propose_for_task("RUNNING", task="one"),
                propose_for_task("RUNNING", task="two"),
                propose_for_task("CANCELLING", task="one"),
                propose_for_task("RUNNING", task="two"),
                propose_for_task("CANCELLED", task="one"),
                propose_for_task("RUNNING", task="two"),
                propose_for_task("COMPLETED", task="two"),
                propose_for_task("COMPLETED", task="two"),
            ],
            read_tags("a"),
        ),
    ],
    "tags_all_or_none": [
        tag("a", 2),
        tag("b", 1),
        tagged("one", "a", "b"),
        tagged("two", "a", "b"),
        tagged("three", "a"),
        *after_each(
            [
                *(propose_for_task("RUNNING", task=task) for task in ("one", "two", "three")),
                propose_for_task("FAILED", task="one"),
                propose_for_task("RUNNING", task="two"),
            ],
            read_tags("a", "b"),
        ),
    ],
    "tag_without_slots": [
        tag("a", 0),
        tag("b", 5),
        tagged("one", "a", "b"),
        propose_for_task("RUNNING", task="one"),
        read_tags("b")[0]._replace(
            differs="Prefect takes a slot of the one limit for a task run that it then gives up for the other",
            status=200,
            contains={"active_slots": 0},
        ),
    ],
    "tag_switched_off": [
        tag("a", 0, active=False),
        tagged("one", "a"),
        *after_each([propose_for_task(type, task="one") for type in ("RUNNING", "COMPLETED")], read_tags("a")),
    ],
    "tag_however_left": [
        tag("a", 9),
        *after_each(
            [
                step
                for type in (*ENDED, "PENDING", "SCHEDULED", "PAUSED")
                for force in (False, True)
                for step in (
                    tagged(f"{type}{force}".lower(), "a"),
                    propose_for_task("RUNNING", task=f"{type}{force}".lower()),
                    propose_for_task(type, force=force, task=f"{type}{force}".lower()),
                )
            ],
            read_tags("a"),
        ),
    ],
    "tag_retry": [
        tag(),
        tagged("one", "a", empirical_policy={"retries": 1, "retry_delay": 0}),
        *after_each(
            [propose_for_task(type, task="one") for type in ("PENDING", "RUNNING", "FAILED", "RUNNING", "FAILED")],
            read_tags("a"),
        ),
    ],
    "tag_background": [
        tag(),
        tagged("one", "a"),
        *after_each([propose_for_task("RUNNING", task="one", deferred=True)], read_tags("a")),
    ],
    "enqueue": lives(
        by_client("PENDING", run="one"),
        by_client("PENDING", run="two"),
        by_client("PENDING", "Submitting", run="one"),
        by_client("RUNNING", run="one"),
        *read_run("one"),
        *read_run("two"),
        by_client("PENDING", run="two"),
        by_client("CANCELLING", run="one"),
        by_client("PENDING", run="two"),
        by_client("CANCELLED", run="one"),
        by_client("PENDING", run="two"),
        by_client("RUNNING", run="two"),
        by_client("COMPLETED", run="two"),
    ),
    "cancel_new": lives(
        by_client("PENDING", run="one"),
        by_client("PENDING", run="two"),
        *read_run("two"),
        by_client("RUNNING", run="one"),
        by_client("COMPLETED", run="one"),
        by_client("PENDING", run="three"),
        concurrency_options=CANCEL_NEW,
    ),
    "workers_that_take_slots_by_themselves": [
        step
        for agent in ("3.0.0rc20", "3.0.3", "3.0.4", "2.20.16")
        for step in lives(
            *(
                propose("PENDING", run=run)._replace(headers={"User-Agent": f"prefect/{agent} (API 0.8.4)"})
                for run in ("one", "two")
            ),
            name=f"{agent}-{{unique}}",
        )
    ],
    "client_without_leases": lives(
        propose("PENDING", run="one"),
        propose("RUNNING", run="one"),
        propose("PENDING", run="two"),
        propose("COMPLETED", run="one"),
        propose("PENDING", run="two"),
        propose("CRASHED", run="two"),
    ),
    **{
        f"left_by_{type.lower()}_{'forced' if force else 'rules'}": lives(
            by_client("PENDING", run="one"),
            by_client("RUNNING", run="one"),
            by_client(type, force=force, run="one"),
            by_client("PENDING", run="two"),
        )
        for type in (*ENDED, "PAUSED", "SCHEDULED")
        for force in (False, True)
    },
    "left_before_it_ran": lives(
        by_client("PENDING", run="one"),
        by_client("CRASHED", run="one"),
        by_client("PENDING", run="two"),
        by_client("SCHEDULED", run="two"),
        by_client("PENDING", run="three"),
    ),
    "retry": [
        create_flow(),
        Step("POST", "/deployments/", {"name": "d", "flow_id": "{flow.id}", "concurrency_limit": 1}, save="deployment"),
        create_flow_run(
            deployment_id="{deployment.id}",
            state=state("SCHEDULED"),
            empirical_policy={"retries": 1, "retry_delay": 0},
        ),
        by_client("PENDING"),
        by_client("RUNNING"),
        by_client("FAILED")._replace(
            differs="the state of a retry keeps the id of the lease, which the process goes on renewing",
            status=201,
            contains={"status": "REJECT", "state": {"name": "AwaitingRetry"}},
        ),
        LIMIT,
        by_client("RUNNING")._replace(differs="the retry has that lease again", status=201, contains={"status": "ACCEPT"}),
        LIMIT._replace(
            differs="a retry that runs holds a slot, by its lease, as any run", status=200, contains={"active_slots": 1}
        ),
        by_client("COMPLETED")._replace(ignore=("deployment_concurrency_lease_id",)),
        LIMIT,
    ],
    "forced": lives(
        propose("PENDING", force=True, run="one"),
        propose("RUNNING", force=True, run="one"),
        propose("PENDING", run="two"),
        propose("COMPLETED", run="two"),
    ),
    **{
        f"without_slots_{strategy.lower()}": lives(
            Step("PATCH", f"{LIMITS}/deployment:{{deployment.id}}", {"limit": 0}),
            propose("PENDING", run="one"),
            propose("RUNNING", run="one"),
            concurrency_options={"collision_strategy": strategy},
        )
        for strategy in ("ENQUEUE", "CANCEL_NEW")
    },
    "switched_off": [
        *deploy(),
        Step("PATCH", f"{LIMITS}/deployment:{{deployment.id}}", {"active": False}),
        by_client("PENDING", run="one")._replace(
            differs="Prefect lets nothing pass a limit that is switched off", status=201, contains={"status": "ACCEPT"}
        ),
    ],
    "change_the_limit": lives(
        by_client("PENDING", run="one"),
        Step("PATCH", "/deployments/{deployment.id}", {"concurrency_limit": 2}),
        by_client("PENDING", run="two"),
        Step("PATCH", "/deployments/{deployment.id}", {"concurrency_limit": 1}),
        by_client("PENDING", run="three"),
        by_client("COMPLETED", force=True, run="one"),
        by_client("PENDING", run="three"),
        by_client("COMPLETED", force=True, run="two"),
        by_client("PENDING", run="three"),
        Step("GET", "/deployments/{deployment.id}"),
    ),
    "take_the_limit_away": [
        *lives(by_client("PENDING", run="one")),
        Step("PATCH", "/deployments/{deployment.id}", {"concurrency_limit": None}),
        LIMIT,
        by_client("PENDING", run="two"),
        Step("PATCH", "/deployments/{deployment.id}", {"concurrency_limit": 1}),
        LIMIT,
        by_client("PENDING", run="three"),
        LIMIT,
    ],
    "delete": [
        *lives(
            by_client("PENDING", run="one"),
            Step("DELETE", "/flow_runs/{one.id}"),
            by_client("PENDING", run="two"),
            by_client("RUNNING", run="two"),
            Step("POST", "/flow_runs/bulk_delete", {"flow_runs": {"id": {"any_": ["{two.id}"]}}}),
            by_client("PENDING", run="three"),
        ),
        Step("DELETE", "/deployments/{deployment.id}"),
        LIMIT,
        by_client("RUNNING", run="three"),
    ],
    "deployment_is_gone": [
        *deploy(limit=None),
        propose("RUNNING", run="one"),
        Step("DELETE", "/deployments/{deployment.id}"),
        propose("FAILED", run="one"),
        propose("PENDING", run="one"),
    ],
    "polled": lives(
        Step("POST", "/deployments/get_scheduled_flow_runs", {"deployment_ids": ["{deployment.id}"]})._replace(
            differs="of three runs that are due only one can get a slot", status=200
        ),
        by_client("PENDING", run="one"),
        Step("POST", "/deployments/get_scheduled_flow_runs", {"deployment_ids": ["{deployment.id}"]})._replace(
            differs="runs that cannot get a slot now are not handed out", status=200, contains=[]
        ),
    ),
}
