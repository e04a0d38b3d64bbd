"""What lies on the shelves, and what has left them."""

from django.db import models


class Stock(models.Model):
    sku = models.CharField(max_length=20, unique=True)
    quantity = models.PositiveIntegerField()
    # Aisle and shelf, "3-12". Whoever loses an article leaves something else here.
    place = models.CharField(max_length=20)

    def __str__(self) -> str:
        return f"{self.quantity} of {self.sku}"

    def aisle_and_shelf(self) -> tuple[int, int]:
        """Return the place as two numbers.

        Raises:
            ValueError: The place is not two numbers with a hyphen between.
        """
        aisle, shelf = self.place.split("-")
        return int(aisle), int(shelf)


class Shipment(models.Model):
    stock = models.ForeignKey(Stock, on_delete=models.PROTECT)
    order_number = models.PositiveBigIntegerField()
    quantity = models.PositiveIntegerField()
    note = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"shipment {self.pk} for order {self.order_number}"
