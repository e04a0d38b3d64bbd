"""Sessions with the coach, and what was said in them. A member's club is the group of Django's that they are in."""

import uuid

from django.conf import settings
from django.db import models


class Session(models.Model):
    """One talk of a member with the coach."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    member = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    began = models.DateTimeField(auto_now_add=True)
    ended = models.DateTimeField(null=True)
    summary = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"session {self.id}"


class Message(models.Model):
    """A question, or an answer."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="messages")
    role = models.CharField(max_length=9)
    content = models.TextField()

    def __str__(self) -> str:
        return f"{self.role}, {len(self.content)} characters"
