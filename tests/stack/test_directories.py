from __future__ import annotations

import stat
from pathlib import Path

from otel_kpi.stack.directories import Cache, Home


def test_our_variable_comes_before_the_xdg_one() -> None:
    variables = {"OTEL_KPI_STACK_HOME": "/a", "XDG_STATE_HOME": "/b", "XDG_CACHE_HOME": "/c"}
    assert Home.from_environment(variables).root == Path("/a")
    assert Cache.from_environment(variables).root == Path("/c/otel-kpi")
    assert Home.from_environment({}).root == Path.home() / ".local/state/otel-kpi"


def test_socket_in_a_deep_directory_still_has_an_address_that_the_system_accepts(tmp_path: Path) -> None:
    home = Home(tmp_path / ("d" * 120))
    home.create()
    assert len(str(home.socket)) < 104
    assert stat.S_IMODE(home.socket.parent.stat().st_mode) == 0o700
    home.remove()
    assert not home.socket.parent.exists()


def test_clean_spares_what_the_stack_did_not_write(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    home.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_cache_is_removed_although_go_left_directories_without_write_permission(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.create()
    module = cache.go / "mod" / "example.org@v1"
    module.mkdir(parents=True)
    (module / "a.go").touch()
    module.chmod(0o500)
    cache.remove()
    assert not cache.root.exists()
