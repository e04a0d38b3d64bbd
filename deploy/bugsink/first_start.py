"""Run once by Bugsink's own interpreter on a fresh database: an administrator and an API token.

Arguments: the administrator's address, the file with the password, and the file that takes
the token. Secrets travel in files, because a command line can be read by everyone.
"""

import os
import sys
from pathlib import Path

import django


def main() -> None:
    """Create both; does nothing that has been done."""
    address, password_file, token_file = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    django.setup()

    from bsmain.models import AuthToken
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    if not users.filter(username=address).exists():
        password = password_file.read_text(encoding="utf-8").strip()
        users.create_superuser(username=address, email=address, password=password)
    if not token_file.exists():
        token = AuthToken.create_full_access().token
        file = os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(token)


main()
