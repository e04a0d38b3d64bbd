"""The shelves that the example begins with; the shop's catalogue has the same SKUs."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

PLENTY = 10_000_000


def fill(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    stock = apps.get_model("warehouse", "Stock")
    stock.objects.bulk_create(
        [
            *(stock(sku=f"SKU-{i:03}", quantity=PLENTY, place=f"{1 + i % 5}-{i}") for i in range(1, 41)),
            stock(sku="SKU-SOLD-OUT", quantity=0, place="6-1"),
            stock(sku="SKU-CORRUPT", quantity=1, place="6-2"),
            stock(sku="SKU-LOST", quantity=1, place="somewhere"),
        ]
    )


class Migration(migrations.Migration):
    dependencies = [("warehouse", "0001_initial")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
