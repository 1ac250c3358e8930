"""Operations under /collections: what integrations offer, from the files that come with the web UI.

Where those are not installed there are the kinds of workers, from which work pools are made, without job templates: a worker
writes its own one, which is that of the version that runs, into a pool that has none when it first asks about it.
"""

from urllib.parse import quote

from flask import Blueprint, Response

from handlers.domain.prefect_files import BLOCKS, VIEWS, read_json
from handlers.http.messages import answer

KINDS = (
    # package, type, name, where its flow runs go
    ("prefect", "process", "Process", "a process of its own on the worker's machine"),
    ("prefect-aws", "ecs", "AWS Elastic Container Service", "a task of AWS ECS, on EC2 or Fargate"),
    ("prefect-azure", "azure-container-instance", "Azure Container Instances", "a container of Azure Container Instances"),
    ("prefect-docker", "docker", "Docker", "a Docker container, started where the worker is"),
    ("prefect-gcp", "cloud-run", "Google Cloud Run", "a job of Google Cloud Run"),
    ("prefect-gcp", "cloud-run-v2", "Google Cloud Run V2", "a job of Google Cloud Run, by the second version of its API"),
    ("prefect-gcp", "vertex-ai", "Google Vertex AI", "a custom job of Google Vertex AI"),
    ("prefect-kubernetes", "kubernetes", "Kubernetes", "a job of a Kubernetes cluster"),
)

blueprint = Blueprint("collections", __name__, url_prefix="/api/collections")


@blueprint.get("/views/<view>")
def read_view(view: str) -> Response:
    """Give the kinds of workers or the block types of integrations, by package; flows are not in what is installed."""
    content = None
    if view == "aggregate-worker-metadata":
        content = read_json(f"{VIEWS}{view}.json") or kinds_of_workers()
        content.get("prefect", {}).pop("prefect-agent", None)
    elif view == "aggregate-block-metadata":
        content = (read_json(BLOCKS) or {}).get("collections")
    elif view not in ("aggregate-flow-metadata", "demo-flows"):
        return answer({"detail": f"View {view} not found in registry"}, 404)
    if content is None:
        return answer({"detail": f"Requested content missing for view {view}"}, 404)
    return answer(content)


def kinds_of_workers() -> dict[str, dict]:
    """Give the kinds of workers that are known without any file, by package and type."""
    packages: dict[str, dict] = {}
    for package, kind, name, place in KINDS:
        packages.setdefault(package, {})[kind] = {
            "type": kind,
            "display_name": name,
            "description": f"Run each flow run as {place}.",
            "install_command": f"pip install {package}",
            "documentation_url": None,
            "logo_url": logo(name),
            "is_beta": False,
            "default_base_job_configuration": {},
        }
    return packages


def logo(name: str) -> str:
    """Draw the capitals of a name as the address of an image: the web interface leaves out what has no image."""
    capitals = "".join(filter(str.isupper, name))[:3]
    text = f'<text x="16" y="21" font-family="sans-serif" font-size="13" text-anchor="middle">{capitals}</text>'
    return "data:image/svg+xml," + quote(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{text}</svg>')
