"""Operations under /collections: the kinds of workers there are, from which work pools are made.

Their job templates are empty here: a worker writes its own one, which is that of the version that runs, into a pool that has
none when it first asks about it.
"""

from urllib.parse import quote

from flask import Blueprint, Response

from handlers.errors import NotFound
from handlers.http import answer

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
    """Give the kinds of workers by package and type; there are no other views."""
    if view != "aggregate-worker-metadata":
        raise NotFound(f"View {view}")
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
    return answer(packages)


def logo(name: str) -> str:
    """Draw the capitals of a name as the address of an image: the web interface leaves out what has no image."""
    capitals = "".join(filter(str.isupper, name))[:3]
    text = f'<text x="16" y="21" font-family="sans-serif" font-size="13" text-anchor="middle">{capitals}</text>'
    return "data:image/svg+xml," + quote(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{text}</svg>')
