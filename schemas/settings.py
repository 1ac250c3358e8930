"""The settings of the server: one table, and one function that reads.

A setting of Prefect's is set by the environment variable that its path spells, `server.api.auth_string` by
`PREFECT_SERVER_API_AUTH_STRING`, or by its older names; what has no effect here is shown all the same. Ours are spelled by
their path alone. In which places they are looked for is told in `schemas/sources.py`, what has an effect in the README.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from schemas.setting_kinds import (
    WANTED,
    addresses,
    connection,
    document,
    duration,
    flag,
    form,
    hosts,
    integer,
    interval,
    key,
    level,
    names,
    number,
    positive,
    secret,
    text,
)
from schemas.sources import find


class Setting(NamedTuple):
    """A setting: its path, what it is where nobody sets it, what reads its text, and its older variable."""

    path: str
    default: Any
    kind: Callable[[Any], Any]
    older: str = ""

    @property
    def variables(self) -> list[str]:
        """The environment variables that set it, the one that counts first."""
        name = self.path.replace(".", "_").upper()
        is_prefects = self.path.startswith("server.")
        older = self.older or ("PREFECT_API" + name.removeprefix("SERVER") if "server.services." in self.path else "")
        return [name for name in ("PREFECT_" * is_prefects + name, older) if name]


TABLE = (
    # Where PostgreSQL is, see schemas/addresses.py.
    Setting("database.url", None, connection),
    Setting("database.direct_url", None, connection),
    Setting("database.pool_size", 8, positive),
    Setting("database.prepare", True, flag),
    # What Prefect's server has nothing like.
    Setting("downbeat.home", None, text),
    Setting("downbeat.bind", None, addresses),
    Setting("downbeat.hosts", [], hosts),
    Setting("downbeat.open", False, flag),
    Setting("downbeat.threads", 16, positive),
    Setting("downbeat.loops", True, flag),
    Setting("downbeat.stop_seconds", 10, integer),
    Setting("downbeat.max_body_bytes", 64 * 1024 * 1024, integer),
    Setting("downbeat.max_connections", 8192, positive),
    Setting("downbeat.ui_files", None, text),
    Setting("downbeat.sandbox_cpu_seconds", 3.0, number),
    Setting("downbeat.sandbox_memory_bytes", 256 * 1024 * 1024, integer),
    Setting("downbeat.sandbox_max_bytes", 4 * 1024 * 1024, integer),
    Setting("downbeat.log_format", "text", form),
    Setting("downbeat.log_requests", False, flag),
    Setting("downbeat.slow_statement_seconds", 1.0, number),
    Setting("web.concurrency", None, integer),
    Setting("server.encryption_key", None, key, "ORION_ENCRYPTION_KEY"),
    # Prefect's, in the order of its documentation.
    Setting("server.logging_level", "WARNING", level, "PREFECT_LOGGING_SERVER_LEVEL"),
    Setting("server.analytics_enabled", False, flag),
    Setting("server.metrics_enabled", False, flag, "PREFECT_API_ENABLE_METRICS"),
    Setting("server.log_retryable_errors", False, flag, "PREFECT_API_LOG_RETRYABLE_ERRORS"),
    Setting("server.register_blocks_on_start", True, flag, "PREFECT_API_BLOCKS_REGISTER_ON_START"),
    Setting("server.memoize_block_auto_registration", True, flag, "PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION"),
    Setting("server.memo_store_path", "~/.prefect/memo_store.toml", text, "PREFECT_MEMO_STORE_PATH"),
    Setting("server.deployment_schedule_max_scheduled_runs", 50, integer, "PREFECT_DEPLOYMENT_SCHEDULE_MAX_SCHEDULED_RUNS"),
    Setting("server.api.auth_string", None, secret),
    Setting("server.api.host", "127.0.0.1", text),
    Setting("server.api.port", 4200, integer),
    Setting("server.api.base_path", None, text),
    Setting("server.api.default_limit", 200, integer, "PREFECT_API_DEFAULT_LIMIT"),
    Setting("server.api.keepalive_timeout", 5, integer),
    Setting("server.api.csrf_protection_enabled", False, flag, "PREFECT_SERVER_CSRF_PROTECTION_ENABLED"),
    Setting("server.api.csrf_token_expiration", timedelta(hours=1), duration, "PREFECT_SERVER_CSRF_TOKEN_EXPIRATION"),
    Setting("server.api.cors_allowed_origins", "*", text, "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"),
    Setting("server.api.cors_allowed_methods", "*", text, "PREFECT_SERVER_CORS_ALLOWED_METHODS"),
    Setting("server.api.cors_allowed_headers", "*", text, "PREFECT_SERVER_CORS_ALLOWED_HEADERS"),
    Setting("server.api.websocket_ping_interval", 20.0, number),
    Setting("server.api.websocket_ping_timeout", 20.0, number),
    Setting("server.api.max_parameter_size", 524288, integer),
    Setting("server.concurrency.lease_storage", "prefect.server.concurrency.lease_storage.memory", text),
    Setting("server.concurrency.initial_deployment_lease_duration", 300.0, number),
    Setting("server.concurrency.maximum_concurrency_slot_wait_seconds", 30.0, number),
    Setting("server.database.sqlalchemy.connect_args.application_name", None, text),
    Setting("server.database.sqlalchemy.connect_args.search_path", None, text),
    Setting("server.database.sqlalchemy.connect_args.statement_cache_size", None, integer),
    Setting("server.database.sqlalchemy.connect_args.prepared_statement_cache_size", None, integer),
    Setting("server.database.sqlalchemy.connect_args.tls.enabled", False, flag),
    Setting("server.database.sqlalchemy.connect_args.tls.ca_file", None, text),
    Setting("server.database.sqlalchemy.connect_args.tls.cert_file", None, text),
    Setting("server.database.sqlalchemy.connect_args.tls.key_file", None, text),
    Setting("server.database.sqlalchemy.connect_args.tls.check_hostname", True, flag),
    Setting("server.database.sqlalchemy.pool_size", 5, integer, "PREFECT_SQLALCHEMY_POOL_SIZE"),
    Setting("server.database.sqlalchemy.pool_recycle", 3600, integer),
    Setting("server.database.sqlalchemy.pool_timeout", 30.0, number),
    Setting("server.database.sqlalchemy.max_overflow", 10, integer, "PREFECT_SQLALCHEMY_MAX_OVERFLOW"),
    Setting("server.database.connection_url", None, secret, "PREFECT_API_DATABASE_CONNECTION_URL"),
    Setting("server.database.driver", None, text, "PREFECT_API_DATABASE_DRIVER"),
    Setting("server.database.host", None, text, "PREFECT_API_DATABASE_HOST"),
    Setting("server.database.port", None, integer, "PREFECT_API_DATABASE_PORT"),
    Setting("server.database.user", None, text, "PREFECT_API_DATABASE_USER"),
    Setting("server.database.name", None, text, "PREFECT_API_DATABASE_NAME"),
    Setting("server.database.password", None, secret, "PREFECT_API_DATABASE_PASSWORD"),
    Setting("server.database.echo", False, flag, "PREFECT_API_DATABASE_ECHO"),
    Setting("server.database.migrate_on_start", True, flag, "PREFECT_API_DATABASE_MIGRATE_ON_START"),
    Setting("server.database.timeout", 10.0, number, "PREFECT_API_DATABASE_TIMEOUT"),
    Setting("server.database.connection_timeout", 5.0, number, "PREFECT_API_DATABASE_CONNECTION_TIMEOUT"),
    Setting("server.database.migration_timeout", None, number),
    Setting("server.deployments.concurrency_slot_wait_seconds", 30.0, number, "PREFECT_DEPLOYMENT_CONCURRENCY_SLOT_WAIT_SECONDS"),
    Setting("server.docket.name", "prefect-server", text),
    Setting("server.docket.url", "memory://", text),
    Setting("server.ephemeral.enabled", False, flag, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"),
    Setting("server.ephemeral.startup_timeout_seconds", 20, integer),
    Setting("server.events.stream_out_enabled", True, flag, "PREFECT_API_EVENTS_STREAM_OUT_ENABLED"),
    Setting(
        "server.events.related_resource_cache_ttl",
        timedelta(minutes=5),
        duration,
        "PREFECT_API_EVENTS_RELATED_RESOURCE_CACHE_TTL",
    ),
    Setting("server.events.maximum_labels_per_resource", 500, integer, "PREFECT_EVENTS_MAXIMUM_LABELS_PER_RESOURCE"),
    Setting("server.events.maximum_related_resources", 100, integer, "PREFECT_EVENTS_MAXIMUM_RELATED_RESOURCES"),
    Setting("server.events.maximum_size_bytes", 1500000, integer, "PREFECT_EVENTS_MAXIMUM_SIZE_BYTES"),
    Setting("server.events.expired_bucket_buffer", timedelta(minutes=1), duration, "PREFECT_EVENTS_EXPIRED_BUCKET_BUFFER"),
    Setting("server.events.proactive_granularity", timedelta(seconds=5), duration, "PREFECT_EVENTS_PROACTIVE_GRANULARITY"),
    Setting("server.events.retention_period", timedelta(days=7), duration, "PREFECT_EVENTS_RETENTION_PERIOD"),
    Setting(
        "server.events.maximum_websocket_backfill", timedelta(minutes=15), duration, "PREFECT_EVENTS_MAXIMUM_WEBSOCKET_BACKFILL"
    ),
    Setting("server.events.websocket_backfill_page_size", 250, integer, "PREFECT_EVENTS_WEBSOCKET_BACKFILL_PAGE_SIZE"),
    Setting("server.events.messaging_broker", "prefect.server.utilities.messaging.memory", text, "PREFECT_MESSAGING_BROKER"),
    Setting("server.events.messaging_cache", "prefect.server.utilities.messaging.memory", text, "PREFECT_MESSAGING_CACHE"),
    Setting("server.events.causal_ordering", "prefect.server.events.ordering.memory", text),
    Setting("server.events.maximum_event_name_length", 1024, integer),
    Setting("server.flow_run_graph.max_nodes", 10000, integer, "PREFECT_API_MAX_FLOW_RUN_GRAPH_NODES"),
    Setting("server.flow_run_graph.max_artifacts", 10000, integer, "PREFECT_API_MAX_FLOW_RUN_GRAPH_ARTIFACTS"),
    Setting("server.logs.stream_out_enabled", False, flag),
    Setting("server.logs.stream_publishing_enabled", False, flag),
    Setting("server.services.cancellation_cleanup.enabled", True, flag),
    Setting("server.services.cancellation_cleanup.loop_seconds", 20.0, interval),
    Setting("server.services.cancellation_cleanup.cancelling_timeout_seconds", 300.0, number),
    Setting("server.services.db_vacuum.enabled", ["events"], names),
    Setting("server.services.db_vacuum.loop_seconds", 3600.0, interval),
    Setting("server.services.db_vacuum.retention_period", timedelta(days=90), duration),
    Setting("server.services.db_vacuum.batch_size", 200, integer),
    Setting("server.services.db_vacuum.event_retention_overrides", {"prefect.flow-run.heartbeat": "P7D"}, document),
    Setting("server.services.event_persister.enabled", True, flag),
    Setting("server.services.event_persister.batch_size", 20, integer),
    Setting("server.services.event_persister.read_batch_size", 1, integer),
    Setting("server.services.event_persister.flush_interval", 5.0, number),
    Setting("server.services.event_persister.queue_max_size", 50000, integer),
    Setting("server.services.event_persister.max_flush_retries", 5, integer),
    Setting("server.services.event_logger.enabled", False, flag),
    Setting("server.services.foreman.enabled", True, flag),
    Setting("server.services.foreman.loop_seconds", 15.0, interval),
    Setting("server.services.foreman.inactivity_heartbeat_multiple", 3, integer),
    Setting("server.services.foreman.fallback_heartbeat_interval_seconds", 30, integer),
    Setting("server.services.foreman.deployment_last_polled_timeout_seconds", 60, integer),
    Setting("server.services.foreman.work_queue_last_polled_timeout_seconds", 60, integer),
    Setting("server.services.late_runs.enabled", True, flag),
    Setting("server.services.late_runs.loop_seconds", 5.0, interval),
    Setting("server.services.late_runs.after_seconds", timedelta(seconds=15), duration),
    Setting("server.services.scheduler.enabled", True, flag),
    Setting("server.services.scheduler.loop_seconds", 60.0, interval),
    Setting("server.services.scheduler.deployment_batch_size", 100, integer),
    Setting("server.services.scheduler.max_runs", 100, integer),
    Setting("server.services.scheduler.min_runs", 3, integer),
    Setting("server.services.scheduler.max_scheduled_time", timedelta(days=100), duration),
    Setting("server.services.scheduler.min_scheduled_time", timedelta(hours=1), duration),
    Setting("server.services.scheduler.insert_batch_size", 500, integer),
    Setting("server.services.scheduler.recent_deployments_loop_seconds", 5.0, interval),
    Setting("server.services.pause_expirations.enabled", True, flag),
    Setting("server.services.pause_expirations.loop_seconds", 5.0, interval),
    Setting("server.services.repossessor.enabled", True, flag),
    Setting("server.services.repossessor.loop_seconds", 15.0, interval),
    Setting("server.services.cleanup_reconciler.enabled", True, flag),
    Setting("server.services.cleanup_reconciler.loop_seconds", 5.0, interval),
    Setting("server.services.cleanup_reconciler.batch_size", 100, integer),
    Setting("server.services.task_run_recorder.enabled", True, flag),
    Setting("server.services.task_run_recorder.read_batch_size", 1, integer),
    Setting("server.services.task_run_recorder.batch_size", 1, integer),
    Setting("server.services.task_run_recorder.flush_interval", 5.0, number),
    Setting("server.services.triggers.enabled", True, flag),
    Setting("server.services.triggers.read_batch_size", 1, integer),
    Setting("server.services.triggers.pg_notify_reconnect_interval_seconds", 10, integer),
    Setting("server.services.triggers.pg_notify_heartbeat_interval_seconds", 5, integer),
    Setting("server.tasks.tag_concurrency_slot_wait_seconds", 10.0, number, "PREFECT_TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS"),
    Setting("server.tasks.max_cache_key_length", 2000, integer, "PREFECT_API_TASK_CACHE_KEY_MAX_LENGTH"),
    Setting(
        "server.tasks.scheduling.max_scheduled_queue_size", 1000, integer, "PREFECT_TASK_SCHEDULING_MAX_SCHEDULED_QUEUE_SIZE"
    ),
    Setting("server.tasks.scheduling.max_retry_queue_size", 100, integer, "PREFECT_TASK_SCHEDULING_MAX_RETRY_QUEUE_SIZE"),
    Setting(
        "server.tasks.scheduling.pending_task_timeout", timedelta(0), duration, "PREFECT_TASK_SCHEDULING_PENDING_TASK_TIMEOUT"
    ),
    Setting("server.ui.enabled", True, flag, "PREFECT_UI_ENABLED"),
    Setting("server.ui.v2_enabled", True, flag),
    Setting("server.ui.api_url", None, text, "PREFECT_UI_API_URL"),
    Setting("server.ui.serve_base", "/", text, "PREFECT_UI_SERVE_BASE"),
    Setting("server.ui.static_directory", None, text, "PREFECT_UI_STATIC_DIRECTORY"),
    Setting("server.ui.show_promotional_content", True, flag),
    Setting("server.worker_channel.cleanup_queue_storage", "prefect.server.worker_communication.cleanup_queue.memory", text),
    Setting("server.worker_channel.cleanup_lease_seconds", 30.0, number),
    Setting("server.worker_channel.cleanup_max_delivery_attempts", 3, integer),
    Setting("server.worker_channel.cleanup_completed_idempotency_retention_seconds", None, number),
)
SECRETS = (secret, key, connection)
SETTINGS = {each.path: each for each in TABLE}
CLIENTS = orjson.loads((Path(__file__).parent / "settings_of_clients.json").read_bytes())
HIDDEN = ("server.encryption_key",)  # Prefect's documents do not have it


def setting(path: str) -> Any:
    """Give a setting by its path: a bool, int, float, timedelta, str, list or dict, or None where it has no default."""
    value = given(path)
    return SETTINGS[path].default if value is None else value


def given(path: str) -> Any:
    """Give what somebody has set, or None if nobody has.

    Ends the process with a sentence that names the setting where its text does not fit; `check` finds that at the start.
    """
    each = SETTINGS[path]
    value, place = find(path, each.variables)
    if place is None:
        return None
    try:
        return each.kind(value)
    except (KeyError, TypeError, ValueError, OverflowError):
        said = "what it is" if each.kind in SECRETS else repr(value)
        raise SystemExit(f"{place} is {said}, but {WANTED[each.kind]} is wanted.") from None


def check() -> None:
    """Read every setting, and end the process with a sentence if one does not fit."""
    for path in SETTINGS:
        setting(path)
    groups = {path.rpartition(".")[0] for path in SETTINGS if path.startswith("server.")} | {"server"}
    for name in sorted("PREFECT_" + path.replace(".", "_").upper() for path in groups):
        if find("", [name])[1]:
            raise SystemExit(f"{name} is no setting, but the beginning of several. Set each of them by its own variable.")


def shown() -> dict[str, Any]:
    """Give the document of `GET /api/admin/settings`: Prefect's settings, secrets hidden, those of clients by default."""
    content = orjson.loads(orjson.dumps(CLIENTS))
    for path, _, kind, _ in TABLE:
        if path.startswith("server.") and path not in HIDDEN:
            *groups, name = path.split(".")
            part = content
            for group in groups:
                part = part.setdefault(group, {})
            value = setting(path)
            part[name] = show(value) if kind not in SECRETS or value is None else "**********"
    return content


def show(value: Any) -> Any:
    """Write a value as JSON has it: a duration in ISO 8601."""
    if not isinstance(value, timedelta):
        return value
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "H"), (minutes, "M"), (f"{seconds + value.microseconds / 1e6:g}", "S"))
    time = "".join(f"{amount}{unit}" for amount, unit in parts if amount not in (0, "0"))
    return "P" + (f"{value.days}D" if value.days else "") + (f"T{time}" if time else "" if value.days else "T0S")
