"""Writing down who is known."""

import os

from django.contrib.auth.models import Group, User

from coaching_ia.clubs import MEMBERS


def enrol() -> None:
    """Write down all members of all clubs; the password is that of this start."""
    for club, names in MEMBERS.items():
        group, _ = Group.objects.get_or_create(name=club)
        for name in names:
            member, _ = User.objects.get_or_create(username=name)
            member.set_password(os.environ["COACHING_PASSWORD"])
            member.save()
            member.groups.set([group])
