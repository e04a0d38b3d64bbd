"""How passwords are kept."""

from django.contrib.auth.hashers import ScryptPasswordHasher


class Scrypt(ScryptPasswordHasher):
    """A fifth of the work of Django's own, since all members come at once; a real site keeps that."""

    parallelism = 1
