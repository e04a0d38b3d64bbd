"""Tokens that say the club as well, so that the API knows who pays without asking the site."""

from typing import Any

from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.views import TokenObtainPairView


class Serializer(TokenObtainPairSerializer):
    """Two claims more."""

    @classmethod
    def get_token(cls, user: Any) -> Any:
        """Make a member's token."""
        token = super().get_token(user)
        token["name"] = user.get_username()
        token["club"] = user.groups.get().name
        return token


class SignIn(TokenObtainPairView):
    """A token for a name and a password."""

    serializer_class = Serializer
