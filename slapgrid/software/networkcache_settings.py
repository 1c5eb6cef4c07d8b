"""Core. ``[networkcache]``: where built releases are fetched from and sent to."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from slapgrid.settings import FLAG, PATH, TEXT, URLS, Area, Key

SECTION = "networkcache"


@frozen
class NetworkcacheSettings:
    download_cache_url: str = ""
    download_directory_url: str = ""
    upload_cache_url: str = ""
    upload_directory_url: str = ""
    private_key_file: str = ""
    certificates: str = ""
    cache_ca_file: str = ""
    cache_cert_file: str = ""
    cache_key_file: str = ""
    directory_ca_file: str = ""
    directory_cert_file: str = ""
    directory_key_file: str = ""
    download_refused: tuple[str, ...] = ()
    download_forced: tuple[str, ...] = ()
    upload_refused: tuple[str, ...] = ()
    accepts_sha1: bool = False
    is_sha1_outside: bool = False

    @property
    def cache_tls(self) -> Mapping[str, str]:
        """The files with which the content server is spoken to."""
        return {
            "ca": self.cache_ca_file,
            "cert": self.cache_cert_file,
            "key": self.cache_key_file,
        }

    @property
    def directory_tls(self) -> Mapping[str, str]:
        """The files with which the directory server is spoken to."""
        return {
            "ca": self.directory_ca_file,
            "cert": self.directory_cert_file,
            "key": self.directory_key_file,
        }


AREA = Area(
    NetworkcacheSettings,
    (
        Key(
            SECTION,
            "download-binary-cache-url",
            "download_cache_url",
            TEXT,
            "where archives of built releases are fetched",
        ),
        Key(
            SECTION,
            "download-binary-dir-url",
            "download_directory_url",
            TEXT,
            "where it is looked up which archives there are",
        ),
        Key(
            SECTION,
            "upload-binary-cache-url",
            "upload_cache_url",
            TEXT,
            "where archives of releases built here are sent",
        ),
        Key(
            SECTION,
            "upload-binary-dir-url",
            "upload_directory_url",
            TEXT,
            "where entries about them are sent",
        ),
        Key(
            SECTION,
            "signature-private-key-file",
            "private_key_file",
            PATH,
            "the RSA key that signs entries; its certificate must be listed",
        ),
        Key(
            SECTION,
            "signature-certificate-list",
            "certificates",
            TEXT,
            "PEM certificates of those whose entries are believed",
        ),
        Key(SECTION, "shacache-ca-file", "cache_ca_file", PATH, "verifies archives"),
        Key(SECTION, "shacache-cert-file", "cache_cert_file", PATH, "to send archives"),
        Key(SECTION, "shacache-key-file", "cache_key_file", PATH, "to send archives"),
        Key(SECTION, "shadir-ca-file", "directory_ca_file", PATH, "verifies entries"),
        Key(
            SECTION, "shadir-cert-file", "directory_cert_file", PATH, "to send entries"
        ),
        Key(SECTION, "shadir-key-file", "directory_key_file", PATH, "to send entries"),
        Key(
            SECTION,
            "download-from-binary-cache-url-blacklist",
            "download_refused",
            URLS,
            "releases whose URL begins so are always built",
        ),
        Key(
            SECTION,
            "download-from-binary-cache-force-url-list",
            "download_forced",
            URLS,
            "releases whose URL begins so are never built",
        ),
        Key(
            SECTION,
            "upload-to-binary-cache-url-blacklist",
            "upload_refused",
            URLS,
            "releases whose URL begins so are never sent",
        ),
        Key(
            SECTION,
            "accept-sha1-signatures",
            "accepts_sha1",
            FLAG,
            "of ours: believe entries of stock nodes, which sign with SHA-1 alone",
        ),
        Key(
            SECTION,
            "sign-with-sha1",
            "is_sha1_outside",
            FLAG,
            "of ours: sign so that stock nodes believe our entries too",
        ),
    ),
)
