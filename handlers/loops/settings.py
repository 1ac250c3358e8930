"""What steers the loops: environment variables by Prefect's names, `PREFECT_SERVER_SERVICES_<SERVICE>_<SETTING>`."""

import os
from datetime import timedelta

PREFIXES = ("PREFECT_SERVER_SERVICES_", "PREFECT_API_SERVICES_")


def read(name: str) -> str | None:
    """Give a setting of a service as text, or None if it is not set."""
    return next((os.environ[prefix + name] for prefix in PREFIXES if os.environ.get(prefix + name)), None)


def number(name: str, default: float) -> float:
    """Give a setting that is a number. Raises ValueError naming the setting."""
    text = read(name)
    try:
        return default if text is None else float(text)
    except ValueError:
        raise ValueError(f"{PREFIXES[0]}{name} is not a number: {text!r}") from None


def seconds(name: str, default: float) -> timedelta:
    """Give a setting that is a number of seconds."""
    return timedelta(seconds=number(name, default))


def is_enabled(service: str) -> bool:
    """Tell whether a service is switched on, as all are by default."""
    return (read(f"{service}_ENABLED") or "true").lower() not in ("0", "false", "no", "off", "f", "n")
