"""`python -m coaching_ia.site.tables`: makes the tables where there are none, and the members."""

import os

import django
from django.core.management import call_command

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coaching_ia.site.settings")
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)

    from coaching_ia.site import people  # Django has to be set up first

    people.enrol()
