"""Who hears a page, has no mouse or weak eyes: axe-core over every page, in both themes, on a desk and on a telephone.

The security policy of the pages holds meanwhile: axe-core comes by the protocol of the browser's debugger, not as a script
of the page.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from support.browser import EVERY_SIZE

if TYPE_CHECKING:
    from support.browser import Site, Tab

AXE: Final = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
RUN: Final = "axe.run(document, {resultTypes: ['violations']})"


def found(tab: Tab) -> list[str]:
    """What axe finds on the page, each with the first place where."""
    tab.page.evaluate(AXE)
    answer: dict[str, Any] = tab.page.evaluate(RUN)
    return [
        f"{each['impact']}: {each['id']}, {len(each['nodes'])} times: {each['nodes'][0]['html'][:200]}: {each['nodes'][0]['failureSummary'][:400]}"
        for each in answer["violations"]
    ]


@EVERY_SIZE
def test_axe_finds_nothing(tab: Tab, site: Site) -> None:
    wrong: dict[str, list[str]] = {}
    for name, path in site.pages().items():
        tab.open(path)
        if problems := found(tab):
            wrong[name] = problems
    for name, problems in wrong.items():
        print(name, *problems, sep="\n   ")
    assert not wrong
