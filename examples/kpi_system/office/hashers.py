"""How passwords are kept."""

from django.contrib.auth.hashers import ScryptPasswordHasher


class Scrypt(ScryptPasswordHasher):
    """A fifth of the work of Django's own, since the script signs in a dozen times at once; a real office keeps that."""

    parallelism = 1
