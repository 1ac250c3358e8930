"""The condition on events: criteria for an event itself, and any number of criteria for its resources."""

from typing import Any

from sql.filters import RESOURCES, compose
from sql.statement import Filter


def compose_events(events: dict[str, Any], resources: list[dict[str, Any]]) -> Filter:
    """Compose the condition on events for which `events` hold and that have a matching resource for each of `resources`.

    Both are validated filter objects; that of events has both ends of the time in which they occurred.
    """
    whole = compose("events", events=events)
    texts, parameters = [whole.text], dict(whole.parameters)
    for number, criteria in enumerate(resources):
        one = compose("event_resources", event_resources=criteria)
        texts.append(RESOURCES["events"].via["event_resources"].replace("{filter}", one.text.replace("%(", f"%({number}.")))
        parameters |= {f"{number}.{name}": value for name, value in one.parameters.items()}
    return Filter("\n   AND ".join(texts), parameters)
