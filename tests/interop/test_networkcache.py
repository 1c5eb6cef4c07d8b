"""The binary cache of the stock proxy, with releases of ours and of stock nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve, frozen

from runtime.real import build_runtime
from slapgrid.config import Config
from slapgrid.identity import Identity
from slapgrid.layout import release_directory
from slapgrid.service import observe_platform
from slapgrid.software.binary_cache import BinaryCache, CacheRefused
from slapgrid.software.networkcache_settings import NetworkcacheSettings
from tests import programs
from tests.interop.stock import stock_environment
from tests.reactor import ReactorBench
from tests.unit.slapgrid.test_networkcache import CERTIFICATE, KEY, OTHER_CERTIFICATE

URL = "http://releases.example/software.cfg"
STOCK = """\
import logging, sys
from slapos.grid.networkcache import (
    download_network_cached, upload_network_cached)
verb, root, url, key, place, path, private, certificate = sys.argv[1:]
certificates = [open(certificate).read()]
if verb == "upload":
    done = upload_network_cached(
        root, url, key, place + "/cache", place + "/dir", path,
        logging.getLogger(), private, certificates, "", "", "", "", "", "")
else:
    done = download_network_cached(
        place + "/cache", place + "/dir", url, root, key, path,
        logging.getLogger(), certificates, ())
print("DONE" if done else "REFUSED")
"""


@frozen
class Place:
    """A stock proxy with a cache, a computer of ours, and a stock node's functions."""

    root: Path
    url: str
    config: Config

    @property
    def release(self) -> Path:
        return self.root / "s" / release_directory(URL)

    def stock(self, verb: str) -> str:
        """Have a stock node upload the archive that stands there, or fetch it."""
        done = programs.run(
            [
                str(stock_environment() / "python"),
                "-c",
                STOCK,
                *(verb, str(self.root / "s"), URL, release_directory(URL), self.url),
                *(str(self.root / name) for name in ("archive", "key", "certificate")),
            ]
        )
        return (done.stdout + done.stderr).split()[-1]

    def archive(self) -> None:
        """An archive of the release, as a stock node makes it."""
        done = programs.run(
            ["tar", "czf", str(self.root / "archive"), self.release.name],
            directory=self.root / "s",
        )
        assert done.returncode == 0, done.stderr

    def cache(self, bench: ReactorBench, **settings: object) -> BinaryCache:
        networkcache = evolve(self.config.networkcache, **settings)  # type: ignore[arg-type]
        config = evolve(self.config, networkcache=networkcache)
        return BinaryCache(config, build_runtime(bench.reactor), observe_platform())

    def lose(self) -> None:
        programs.run(["rm", "-r", str(self.release)])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    port = programs.free_port()
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "certificate").write_bytes(CERTIFICATE)
    for name in ("content", "entries"):
        (tmp_path / name).mkdir()
    cfg = tmp_path / "stock.cfg"
    cfg.write_text(
        f"[slapos]\nmaster_url = http://127.0.0.1:{port}/\ncomputer_id = local\n"
        f"[slapproxy]\nhost = 127.0.0.1\nport = {port}\n"
        f"database_uri = {tmp_path}/stock.db\n"
        f"shacache_content_directory = {tmp_path}/content\n"
        f"shacache_metadata_directory = {tmp_path}/entries\n"
    )
    url = f"http://127.0.0.1:{port}/shacache"
    config = Config(
        "local",
        (url,),
        str(tmp_path / "s"),
        str(tmp_path / "i"),
        networkcache=NetworkcacheSettings(
            download_cache_url=f"{url}/cache",
            download_directory_url=f"{url}/dir",
            upload_cache_url=f"{url}/cache",
            upload_directory_url=f"{url}/dir",
            private_key_file=str(tmp_path / "key"),
            certificates=CERTIFICATE.decode(),
        ),
    )
    place = Place(tmp_path, url, config)
    (place.release / "bin").mkdir(parents=True)
    (place.release / "bin/buildout").write_text("#!/usr/bin/python3\n")
    proxy = [str(stock_environment() / "slapos"), "proxy", "start", "--cfg", str(cfg)]
    with programs.running(proxy, tmp_path / "stock.log"):
        programs.eventually(
            lambda: programs.is_listening("127.0.0.1", port), 30, "the stock proxy"
        )
        yield place


def test_what_we_send_we_fetch(place: Place, run_real: ReactorBench) -> None:
    async def scenario() -> None:
        cache = place.cache(run_real)
        await cache.send(URL, Identity())
        place.lose()
        await cache.fetch(URL, Identity())

    run_real(scenario(), timeout_seconds=60)

    assert (place.release / "bin/buildout").read_text() == "#!/usr/bin/python3\n"
    assert place.stock("download") == "REFUSED"


def test_a_stock_node_fetches_what_we_send_when_the_operator_wants_that(
    place: Place, run_real: ReactorBench
) -> None:
    """And so do we, without believing SHA-1."""

    async def scenario() -> None:
        cache = place.cache(run_real, is_sha1_outside=True)
        await cache.send(URL, Identity())
        place.lose()
        await cache.fetch(URL, Identity())

    run_real(scenario(), timeout_seconds=60)

    assert place.stock("download") == "DONE"
    listed = programs.run(["tar", "tzf", str(place.root / "archive")]).stdout
    assert f"{place.release.name}/bin/buildout" in listed


def test_we_fetch_what_a_stock_node_sent_when_the_operator_wants_that(
    place: Place, run_real: ReactorBench
) -> None:
    place.archive()
    assert place.stock("upload") != "REFUSED"
    place.lose()

    async def scenario() -> None:
        with pytest.raises(CacheRefused, match="signed with SHA-1 alone"):
            await place.cache(run_real).fetch(URL, Identity())
        await place.cache(run_real, accepts_sha1=True).fetch(URL, Identity())

    run_real(scenario(), timeout_seconds=60)

    assert (place.release / "bin/buildout").exists()


def test_neither_a_tampered_archive_nor_a_strange_signature_is_taken(
    place: Place, run_real: ReactorBench
) -> None:
    async def scenario() -> None:
        cache = place.cache(run_real)
        await cache.send(URL, Identity())
        place.lose()
        stranger = place.cache(run_real, certificates=OTHER_CERTIFICATE.decode())
        with pytest.raises(CacheRefused, match="nobody in signature-certificate-list"):
            await stranger.fetch(URL, Identity())
        (content,) = (place.root / "content").iterdir()
        content.write_bytes(content.read_bytes() + b"x")
        with pytest.raises(CacheRefused, match="another content than its name"):
            await cache.fetch(URL, Identity())

    run_real(scenario(), timeout_seconds=60)

    assert list((place.root / "s").iterdir()) == []
