"""Writing down who is known."""

from django.conf import settings
from django.contrib.auth.models import User

from kpi_system.office import ACTIVE, FORMER


def enrol() -> None:
    """Write both down; the password is that of this start."""
    for name in (ACTIVE, FORMER):
        person, _ = User.objects.get_or_create(username=name)
        person.is_active = name == ACTIVE
        person.set_password(settings.PASSWORD)
        person.save()
