"""The shops on whose pages the chat is: who pays for an answer, and with which model it is given."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shop:
    """One shop.

    Attributes:
        name: The tenant of what is spent for it.
        language: Of its pages.
        model: That it has chosen.
    """

    name: str
    language: str
    model: str


MOROCCO = Shop("innatural-ma", "ar", "gpt-4o-mini")
BRITAIN = Shop("innatural-uk", "en", "gpt-4.1-nano")
SHOPS = {shop.name: shop for shop in (MOROCCO, BRITAIN)}
INSTRUCTIONS = (
    "You answer on the page of a shop for natural cosmetics. Of any oil two drops in the evening are enough for hair. "
    "Rose water is pressed cold and nothing is added. Black soap is used once a week, and rinsed off well. "
    "Whatever is for the skin is first tried on a small part of it. زيت للشعر: قطرتان في المساء تكفيان."
)
"""What stands before every question."""
