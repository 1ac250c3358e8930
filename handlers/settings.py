"""What is set by environment variables: Prefect's settings under Prefect's names, with its defaults.

`DEFAULTS` is the document that `GET /api/admin/settings` answers with; web UI and command line show it. A setting of its
part `server` is set by the environment variable that its path spells: `server.services.late_runs.after_seconds` by
`PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS`, and by an older name where `OLDER_NAMES` has one. The other parts concern
clients and are shown with Prefect's defaults. The README lists what has an effect here.
"""

import os
import re
from typing import Any

DEFAULTS: dict[str, Any] = {
    "home": "~/.prefect",
    "profiles_path": "~/.prefect/profiles.toml",
    "debug_mode": False,
    "api": {
        "url": None,
        "auth_string": None,
        "key": None,
        "tls_insecure_skip_verify": False,
        "ssl_cert_file": None,
        "enable_http2": False,
        "request_timeout": 60.0,
    },
    "cli": {"colors": True, "prompt": None, "wrap_lines": True},
    "client": {
        "max_retries": 5,
        "retry_jitter_factor": 0.2,
        "retry_extra_codes": [],
        "csrf_support_enabled": True,
        "custom_headers": {},
        "server_version_check_enabled": True,
        "metrics": {"enabled": False, "port": 4201},
    },
    "cloud": {
        "api_url": "https://api.prefect.cloud/api",
        "enable_orchestration_telemetry": True,
        "max_log_size": 25000,
        "ui_url": "https://app.prefect.cloud",
    },
    "deployments": {"default_work_pool_name": None, "default_docker_build_namespace": None},
    "events": {"worker_max_queue_size": 0},
    "experiments": {"warn": True},
    "flows": {"heartbeat_frequency": 180, "default_retries": 0, "default_retry_delay_seconds": 0},
    "internal": {"logging_level": "ERROR"},
    "logging": {
        "level": "INFO",
        "config_path": "~/.prefect/logging.yml",
        "extra_loggers": [],
        "log_prints": False,
        "colors": True,
        "markup": False,
        "to_api": {
            "enabled": True,
            "batch_interval": 2.0,
            "batch_size": 4000000,
            "max_log_size": 1000000,
            "when_missing_flow": "warn",
        },
    },
    "plugins": {"enabled": False, "allow": [], "deny": [], "setup_timeout_seconds": 20.0, "strict": False, "safe_mode": False},
    "results": {
        "default_serializer": "pickle",
        "persist_by_default": False,
        "default_storage_block": None,
        "local_storage_path": "~/.prefect/storage",
    },
    "runner": {
        "process_limit": 5,
        "poll_frequency": 10,
        "crash_on_cancellation_failure": False,
        "auto_install_dependencies": False,
        "server": {"enable": False, "host": "localhost", "port": 8080, "log_level": "ERROR", "missed_polls_tolerance": 2},
    },
    "server": {
        "logging_level": "WARNING",
        "analytics_enabled": False,
        "metrics_enabled": False,
        "log_retryable_errors": False,
        "register_blocks_on_start": True,
        "memoize_block_auto_registration": True,
        "memo_store_path": "~/.prefect/memo_store.toml",
        "deployment_schedule_max_scheduled_runs": 50,
        "api": {
            "auth_string": None,
            "host": "127.0.0.1",
            "port": 4200,
            "base_path": None,
            "default_limit": 200,
            "keepalive_timeout": 5,
            "csrf_protection_enabled": False,
            "csrf_token_expiration": "PT1H",
            "cors_allowed_origins": "*",
            "cors_allowed_methods": "*",
            "cors_allowed_headers": "*",
            "websocket_ping_interval": 20.0,
            "websocket_ping_timeout": 20.0,
            "max_parameter_size": 524288,
        },
        "concurrency": {
            "lease_storage": "prefect.server.concurrency.lease_storage.memory",
            "initial_deployment_lease_duration": 300.0,
            "maximum_concurrency_slot_wait_seconds": 30.0,
        },
        "database": {
            "sqlalchemy": {
                "connect_args": {
                    "application_name": None,
                    "search_path": None,
                    "statement_cache_size": None,
                    "prepared_statement_cache_size": None,
                    "tls": {"enabled": False, "ca_file": None, "cert_file": None, "key_file": None, "check_hostname": True},
                },
                "pool_size": 5,
                "pool_recycle": 3600,
                "pool_timeout": 30.0,
                "max_overflow": 10,
            },
            "connection_url": None,
            "driver": None,
            "host": None,
            "port": None,
            "user": None,
            "name": None,
            "password": None,
            "echo": False,
            "migrate_on_start": True,
            "timeout": 10.0,
            "connection_timeout": 5.0,
            "migration_timeout": None,
        },
        "deployments": {"concurrency_slot_wait_seconds": 30.0},
        "docket": {"name": "prefect-server", "url": "memory://"},
        "ephemeral": {"enabled": False, "startup_timeout_seconds": 20},
        "events": {
            "stream_out_enabled": True,
            "related_resource_cache_ttl": "PT5M",
            "maximum_labels_per_resource": 500,
            "maximum_related_resources": 100,
            "maximum_size_bytes": 1500000,
            "expired_bucket_buffer": "PT1M",
            "proactive_granularity": "PT5S",
            "retention_period": "P7D",
            "maximum_websocket_backfill": "PT15M",
            "websocket_backfill_page_size": 250,
            "messaging_broker": "prefect.server.utilities.messaging.memory",
            "messaging_cache": "prefect.server.utilities.messaging.memory",
            "causal_ordering": "prefect.server.events.ordering.memory",
            "maximum_event_name_length": 1024,
        },
        "flow_run_graph": {"max_nodes": 10000, "max_artifacts": 10000},
        "logs": {"stream_out_enabled": False, "stream_publishing_enabled": False},
        "services": {
            "cancellation_cleanup": {"enabled": True, "loop_seconds": 20.0, "cancelling_timeout_seconds": 300.0},
            "db_vacuum": {
                "enabled": ["events"],
                "loop_seconds": 3600.0,
                "retention_period": "P90D",
                "batch_size": 200,
                "event_retention_overrides": {"prefect.flow-run.heartbeat": "P7D"},
            },
            "event_persister": {
                "enabled": True,
                "batch_size": 20,
                "read_batch_size": 1,
                "flush_interval": 5.0,
                "queue_max_size": 50000,
                "max_flush_retries": 5,
            },
            "event_logger": {"enabled": False},
            "foreman": {
                "enabled": True,
                "loop_seconds": 15.0,
                "inactivity_heartbeat_multiple": 3,
                "fallback_heartbeat_interval_seconds": 30,
                "deployment_last_polled_timeout_seconds": 60,
                "work_queue_last_polled_timeout_seconds": 60,
            },
            "late_runs": {"enabled": True, "loop_seconds": 5.0, "after_seconds": "PT15S"},
            "scheduler": {
                "enabled": True,
                "loop_seconds": 60.0,
                "deployment_batch_size": 100,
                "max_runs": 100,
                "min_runs": 3,
                "max_scheduled_time": "P100D",
                "min_scheduled_time": "PT1H",
                "insert_batch_size": 500,
                "recent_deployments_loop_seconds": 5.0,
            },
            "pause_expirations": {"enabled": True, "loop_seconds": 5.0},
            "repossessor": {"enabled": True, "loop_seconds": 15.0},
            "cleanup_reconciler": {"enabled": True, "loop_seconds": 5.0, "batch_size": 100},
            "task_run_recorder": {"enabled": True, "read_batch_size": 1, "batch_size": 1, "flush_interval": 5.0},
            "triggers": {
                "enabled": True,
                "read_batch_size": 1,
                "pg_notify_reconnect_interval_seconds": 10,
                "pg_notify_heartbeat_interval_seconds": 5,
            },
        },
        "tasks": {
            "tag_concurrency_slot_wait_seconds": 10.0,
            "max_cache_key_length": 2000,
            "scheduling": {"max_scheduled_queue_size": 1000, "max_retry_queue_size": 100, "pending_task_timeout": "PT0S"},
        },
        "ui": {
            "enabled": True,
            "v2_enabled": True,
            "api_url": None,
            "serve_base": "/",
            "static_directory": None,
            "show_promotional_content": True,
        },
        "worker_channel": {
            "cleanup_queue_storage": "prefect.server.worker_communication.cleanup_queue.memory",
            "cleanup_lease_seconds": 30.0,
            "cleanup_max_delivery_attempts": 3,
            "cleanup_completed_idempotency_retention_seconds": None,
        },
    },
    "tasks": {
        "refresh_cache": False,
        "default_no_cache": False,
        "disable_caching": False,
        "default_retries": 0,
        "default_retry_delay_seconds": 0,
        "default_persist_result": None,
        "runner": {"thread_pool_max_workers": None, "process_pool_max_workers": None},
        "scheduling": {"default_storage_block": None, "delete_failed_submissions": True},
    },
    "telemetry": {"enable_resource_metrics": True, "resource_metrics_interval_seconds": 10},
    "testing": {"test_mode": False, "unit_test_mode": False, "unit_test_loop_debug": True, "test_setting": "FOO"},
    "worker": {
        "debug_mode": False,
        "heartbeat_seconds": 30.0,
        "query_seconds": 10.0,
        "prefetch_seconds": 10.0,
        "enable_cancellation": False,
        "cancellation_poll_seconds": 120.0,
        "webserver": {"host": "0.0.0.0", "port": 8080},
    },
    "ui_url": None,
    "silence_api_url_misconfiguration": False,
}

OLDER_NAMES = (
    ("PREFECT_SERVER_API_CSRF_", "PREFECT_SERVER_CSRF_"),
    ("PREFECT_SERVER_API_CORS_", "PREFECT_SERVER_CORS_"),
    ("PREFECT_SERVER_API_DEFAULT_LIMIT", "PREFECT_API_DEFAULT_LIMIT"),
    ("PREFECT_SERVER_SERVICES_", "PREFECT_API_SERVICES_"),
    ("PREFECT_SERVER_EVENTS_", "PREFECT_EVENTS_"),
    ("PREFECT_SERVER_TASKS_SCHEDULING_", "PREFECT_TASK_SCHEDULING_"),
    ("PREFECT_SERVER_LOGGING_LEVEL", "PREFECT_LOGGING_SERVER_LEVEL"),
    ("PREFECT_SERVER_UI_", "PREFECT_UI_"),
    ("PREFECT_SERVER_FLOW_RUN_GRAPH_MAX_NODES", "PREFECT_API_MAX_FLOW_RUN_GRAPH_NODES"),
    ("PREFECT_SERVER_FLOW_RUN_GRAPH_MAX_ARTIFACTS", "PREFECT_API_MAX_FLOW_RUN_GRAPH_ARTIFACTS"),
)
SECRETS = ("server.api.auth_string", "server.database.connection_url", "server.database.password")
DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
TRUE, FALSE = ("1", "true", "t", "yes", "y", "on"), ("0", "false", "f", "no", "n", "off")


def read(path: str) -> Any:
    """Give the value of a setting by its path, e.g. `read("server.api.default_limit")`.

    Durations are ISO 8601 text, see `seconds`. Raises ValueError naming the variable whose text does not fit.
    """
    value: Any = DEFAULTS
    for key in path.split("."):
        value = value[key]
    return effective(path, value)


def effective(path: str, default: Any) -> Any:
    """Give what the environment says of a setting, else its default."""
    for name in variables(path):
        if text := os.environ.get(name):
            return text if path in SECRETS else parse(name, text, default)
    return default


def seconds(path: str) -> float:
    """Give a setting that is a duration in seconds."""
    days, hours, minutes, rest = DURATION.fullmatch(read(path)).groups(default="0")
    return int(days) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(rest)


def variables(path: str) -> list[str]:
    """Give the names of the environment variables of a setting, the one that counts first."""
    name = "PREFECT_" + path.replace(".", "_").upper()
    return [name, *(older + name.removeprefix(begin) for begin, older in OLDER_NAMES if name.startswith(begin))]


def parse(name: str, text: str, default: Any) -> Any:
    """Read a variable's text as a value of the default's type. Raises ValueError naming the variable."""
    try:
        if isinstance(default, bool):
            return {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}[text.strip().lower()]
        if isinstance(default, (int, float)):
            return type(default)(text)
        if isinstance(default, list):
            return [item.strip() for item in text.strip("[]").replace('"', "").split(",")]
        if isinstance(default, str) and DURATION.fullmatch(default):
            iso = text if text.startswith("P") else f"PT{text}S"
            return DURATION.fullmatch(iso)[0]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{name} is {text!r}, but a value such as {default!r} is wanted.") from None
    return int(text) if default is None and text.isdecimal() else text


def shown(value: Any = DEFAULTS, path: str = "") -> Any:
    """Give the whole document, or the part that a path leads to, with what is set and with secrets hidden."""
    if isinstance(value, dict):
        return {key: shown(item, f"{path}.{key}" if path else key) for key, item in value.items()}
    if not path.startswith("server."):
        return value
    found = effective(path, value)
    return found if path not in SECRETS or found is None else "**********"
