"""Asking the language model for a note."""

import requests
from django.conf import settings


def packing_note(sku: str, quantity: int) -> str:
    """Return one friendly sentence for the parcel. One HTTP request."""
    answer = requests.post(
        f"{settings.ASSISTANT_URL}/v1/chat/completions",
        json={
            "model": "scripted-1",
            "messages": [
                {"role": "system", "content": "You write one line for a parcel."},
                {"role": "user", "content": f"There are {quantity} of {sku} in it."},
            ],
        },
        timeout=10,
    )
    answer.raise_for_status()
    return answer.json()["choices"][0]["message"]["content"]
