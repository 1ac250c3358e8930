"""What the API of Prefect 3.8.3 asks of clients, operation by operation, in operations.json.

`python -m tests.contract FILE` makes it anew from an openapi.json of Prefect's server, which answers it at /api/openapi.json.
"""

from typing import Any


def condense(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give what each operation of an OpenAPI document takes, by method and path.

    Parameters and fields of bodies are by their place and name, true where they are required. Headers are left out.
    """
    return {
        f"{method.upper()} {path}": dict(sorted(find_taken(document, operation)))
        for path, operations in sorted(document["paths"].items())
        for method, operation in sorted(operations.items())
    }


def find_taken(document: dict[str, Any], operation: dict[str, Any]) -> list[tuple[str, bool]]:
    """Give the name of each parameter and field of an operation, and whether it is required."""
    taken = [
        (f"{each['in']} {each['name']}", bool(each.get("required")))
        for each in operation.get("parameters", ())
        if each["in"] != "header"
    ]
    if "requestBody" not in operation:
        return taken
    schema = resolve(document, operation["requestBody"]["content"]["application/json"]["schema"])
    kind = "body"
    if schema.get("type") == "array":
        kind, schema = "item", resolve(document, schema["items"])
    required = schema.get("required", [])
    return [*taken, *((f"{kind} {name}", name in required) for name in schema.get("properties", ()))]


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Give a schema, or the one that it refers to."""
    for only in ("allOf", "anyOf"):
        if len(schema.get(only, ())) == 1 or (only == "anyOf" and {"type": "null"} in schema.get(only, ())):
            schema = schema[only][0]
    return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
