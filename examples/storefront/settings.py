"""Where everything of the example is. Read once from the environment of each process."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit


@dataclass(frozen=True, slots=True)
class Settings:
    """The addresses and folders that the shop and the ETL job need."""

    data: Path
    database_url: str
    backoffice_url: str
    assistant_url: str
    launcher: tuple[str, ...]

    @property
    def async_database_url(self) -> str:
        """The shop's database through an asyncio driver."""
        return _with_scheme(
            self.database_url, {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
        )

    @property
    def sync_database_url(self) -> str:
        """The same database through a blocking driver, for the ETL job."""
        return _with_scheme(self.database_url, {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"})


def load(variables: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; without any, everything is in `./storefront-data` and on the default ports."""
    data = Path(variables.get("STOREFRONT_DATA", "storefront-data")).resolve()
    return Settings(
        data=data,
        database_url=variables.get("STOREFRONT_DATABASE_URL") or f"sqlite:///{data / 'shop.db'}",
        backoffice_url=variables.get("STOREFRONT_BACKOFFICE_URL", "http://127.0.0.1:8002"),
        assistant_url=variables.get("STOREFRONT_ASSISTANT_URL", "http://127.0.0.1:8003"),
        launcher=tuple(variables.get("STOREFRONT_LAUNCHER", "").split()),
    )


def _with_scheme(url: str, drivers: dict[str, str]) -> str:
    scheme, separator, rest = url.partition("://")
    dialect = scheme.partition("+")[0]
    if dialect not in drivers:
        raise SystemExit(
            f"STOREFRONT_DATABASE_URL={_without_password(url)!r}: sqlite:/// or postgresql:// is accepted"
        )
    return f"{drivers[dialect]}{separator}{rest}"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
