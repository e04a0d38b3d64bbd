"""`python -m storefront.etl FEED --run-id ID`: one run. The shop starts it; a person may as well."""

import argparse
import logging
import uuid

from storefront import settings
from storefront.etl import pipeline
from storefront.shop import database


def main() -> None:
    """Run the import of one feed."""
    parser = argparse.ArgumentParser(prog="storefront.etl", description=__doc__)
    parser.add_argument("feed", help="name of a feed in the data folder")
    parser.add_argument("--run-id", default=str(uuid.uuid4()))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    now = settings.load()
    engine = database.open_sync(now)
    pipeline.run(now.data / "feeds" / f"{given.feed}.csv", engine, given.run_id)
    engine.dispose()


if __name__ == "__main__":
    main()
