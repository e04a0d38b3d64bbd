"""`python -m kpi_system.office.tables`: makes the tables where there are none, and the two people who are known."""

import os

import django
from django.core.management import call_command

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kpi_system.office.settings")
    django.setup()
    call_command("migrate", verbosity=0)

    from kpi_system.office import people  # Django has to be set up first

    people.enrol()
