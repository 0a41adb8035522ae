"""Command `track open`: the address of MLflow's page with the AP of all rows, and its server."""

from datastill.commands import track
from datastill.project.profile import Profile
from datastill.tracking.comparison import page, save_view
from datastill.tracking.server import Server, serve
from datastill.tracking.store import Store, opened


def run(profile: Profile, port: int) -> tuple[str, Server]:
    """Mirror every trained row; return the page's address and the server, started if needed.

    Raises DatastillError if the store, the port or the server fails.
    """
    track.run(profile)
    store = Store.of(profile)
    with opened(store) as client:
        experiment = save_view(client, store, profile.params.task)
    server = serve(store, port, experiment.artifact_location)
    return server.base + page(experiment.experiment_id), server
