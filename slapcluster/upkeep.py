"""Shell. Pruning of shared parts and look-ups in the binary cache, as programs."""

from __future__ import annotations

from pathlib import Path

from runtime.ports import Runtime
from slap.polling import Polled
from slap.replicas import Replicas
from slapcluster.agents import read_settings
from slapcluster.outcomes import CommandFailed
from slapcluster.session import Launch
from slapgrid.convergence.collection import (
    CollectionForecast,
    forecast_collection,
    wanted_directories,
)
from slapgrid.service import build_releases, observe_platform
from slapgrid.slap_client import SlapClient
from slapgrid.software.binary_cache import CacheRefused
from slapgrid.software.networkcache import Finding
from slapgrid.software.pruning import Pruning, PruningRefused, prune
from slapgrid.trusting import trust_of


def run_prune(
    launch: Launch, config_path: Path, additional: tuple[str, ...], *, is_dry: bool
) -> Pruning:
    """Prune shared parts; no build may run."""
    config = read_settings(config_path)

    async def main(runtime: Runtime) -> Pruning:
        platform = observe_platform()
        return await prune(config, runtime, platform, additional, is_dry=is_dry)

    try:
        return launch(main)
    except PruningRefused as error:
        raise CommandFailed(f"Nothing is pruned: {error}.") from error


def run_look_up(
    launch: Launch, config_path: Path, software_release_url: str
) -> tuple[Finding, ...]:
    """What the binary cache has about a release."""
    config = read_settings(config_path)
    if not config.networkcache.download_directory_url:
        raise CommandFailed(
            f"{config_path}: [networkcache] download-binary-dir-url is missing."
        )

    async def main(runtime: Runtime) -> tuple[Finding, ...]:
        return await build_releases(config, runtime).look_up(software_release_url)

    try:
        return launch(main)
    except CacheRefused as error:
        raise CommandFailed(f"The cache cannot be asked: {error}.") from error


def run_unsupplied(launch: Launch, config_path: Path) -> tuple[CollectionForecast, ...]:
    """What the collection of releases would do."""
    config = read_settings(config_path)

    async def main(runtime: Runtime) -> tuple[CollectionForecast, ...]:
        trust = trust_of(runtime, config)
        client = SlapClient(runtime, Replicas(config.master_urls), trust=trust)
        try:
            polled = await client.poll(config.computer_id)
        finally:
            await client.close()
        assert isinstance(polled, Polled), "the first answer is a document"
        now = runtime.calendar.now()
        wanted = wanted_directories(polled.computer)
        seen = build_releases(config, runtime).observe_unsupplied(wanted, 0.0, now)
        return forecast_collection(seen, config.software.retention_seconds, now)

    return launch(main)
