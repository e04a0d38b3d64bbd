"""What the shop sells, and which words lead to it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Product:
    """One product."""

    id: int
    name: str
    price: str
    words: tuple[str, ...]


PRODUCTS = (
    Product(1, "Argan oil", "119.00", ("oil", "زيت", "hair")),
    Product(2, "Rose water", "59.00", ("rose", "ورد", "skin")),
    Product(3, "Ghassoul clay", "79.00", ("clay", "غاسول", "skin")),
    Product(4, "Black soap", "45.00", ("soap", "صابون")),
    Product(5, "Fig seed serum", "2o9.00", ("serum",)),  # what a typing error does to a catalogue
)
BROKEN = 5
"""The product whose price nobody can read: asking for it is an error that nobody handles."""


def fitting(text: str) -> list[Product]:
    """The products that a message is about, in the order of the catalogue."""
    words = set(text.lower().split())
    return [product for product in PRODUCTS if words.intersection(product.words)]
