// A trace: folding, finding, keys, and a span beside it without leaving the page. Every state is an address.
import { onkey } from "./keys.js";
import { reachable } from "./scrolling.js";
import { local } from "./times.js";
import { Drawn, Windowed } from "./waterfall.js";

const sides = document.getElementById("sides");
const pane = document.getElementById("pane");
const node = document.getElementById("rows");
const waterfall = document.getElementById("waterfall");
const said = document.getElementById("said");
const trace = sides.dataset.trace;
const address = () => new URL(location.href);
const chosen = () => address().searchParams.get("span") ?? "";

let rows = null;
if (node) {
  const columns = document.getElementById("columns");
  rows = columns ? new Windowed(node, JSON.parse(columns.textContent), chosen()) : new Drawn(node);
}
let active = -1;

const say = (text) => {
  if (said) said.textContent = text;
};

const go = (number, focus = true) => {
  if (number < 0 || number >= rows.count) return;
  rows.uncover(number);
  const before = active >= 0 ? rows.element(active) : null;
  if (before) before.tabIndex = -1;
  active = number;
  const row = rows.show(number);
  if (!row) return;
  row.tabIndex = 0;
  if (focus) row.focus({ preventScroll: true });
};

const step = (by) => {
  const seen = rows.seen();
  const at = seen.indexOf(active);
  go(seen[at < 0 ? 0 : Math.min(seen.length - 1, Math.max(0, at + by))]);
};

// What is folded is in the address, as long as it fits.
const remember = () => {
  const url = address();
  const [collapsed, opened] = [[], []];
  for (let number = 0; number < rows.count; number += 1) {
    const repeats = rows.id[number].startsWith("r");
    if (rows.folded.has(number) && !repeats) collapsed.push(rows.id[number]);
    if (repeats && rows.below(number) && !rows.folded.has(number)) opened.push(rows.id[number]);
  }
  for (const [key, ids] of [["collapsed", collapsed], ["opened", opened]]) {
    if (ids.length && ids.length <= 60) url.searchParams.set(key, ids.join(","));
    else url.searchParams.delete(key);
  }
  history.replaceState(null, "", url.href.replaceAll("%2C", ","));
};

const fold = (number, folded) => {
  rows.fold(number, folded);
  remember();
};

// --- the span beside

const mark = (id) => {
  if (!rows) return;
  rows.chosen = id;
  for (const row of node.querySelectorAll(".chosen")) row.classList.remove("chosen");
  document.getElementById(id)?.classList.add("chosen");
};

let asked = 0;
const show = async (id) => {
  asked += 1;
  const mine = asked;
  mark(id);
  if (!id) {
    pane.hidden = true;
    sides.classList.remove("open");
    return;
  }
  pane.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(`/traces/${encodeURIComponent(trace)}/spans/${encodeURIComponent(id)}`);
    if (mine !== asked) return; // another was asked for meanwhile
    if (!answer.ok) throw new Error(String(answer.status));
    // The answer is our own template's, with everything escaped; scripts in it would not run.
    pane.innerHTML = await answer.text();
    local(pane);
    pane.hidden = false;
    pane.scrollTop = 0;
    sides.classList.add("open");
    reachable(sides);
  } catch {
    location.reload(); // the address has said it already, with all else that is shown
  } finally {
    pane.removeAttribute("aria-busy");
  }
};

const open = (id) => {
  const url = address();
  if (id) url.searchParams.set("span", id);
  else url.searchParams.delete("span");
  history.pushState(null, "", url.href.replaceAll("%2C", ","));
  return show(id);
};

addEventListener("popstate", () => show(chosen()));

pane.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest("#close")) {
    event.preventDefault();
    open("");
    if (active >= 0) rows?.element(active)?.focus();
    return;
  }
  const other = event.target.closest("[data-span]");
  if (other && rows) {
    event.preventDefault();
    open(other.dataset.span);
    go(rows.id.indexOf(other.dataset.span), false);
  }
});

document.addEventListener("click", (event) => {
  const copy = event.target.closest("[data-copy]");
  if (!copy) return;
  navigator.clipboard?.writeText(document.getElementById(copy.dataset.copy).textContent).then(() => {
    copy.textContent = "copied";
  });
});

// --- rows

if (rows) {
  node.addEventListener("click", (event) => {
    const row = event.target.closest(".r");
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const number = rows.number(row);
    event.preventDefault();
    if (event.target.closest(".t") || row.classList.contains("repeats") || row.classList.contains("missing")) {
      fold(number);
      go(number);
    } else {
      go(number);
      open(row.id);
    }
  });
  const first = chosen() ? rows.id.indexOf(chosen()) : -1;
  if (first >= 0) go(first, false);
  else if (rows.element(0)) rows.element(0).tabIndex = 0;

  node.addEventListener("focusin", (event) => {
    const row = event.target.closest(".r");
    if (row) active = rows.number(row);
  });

  const errors = () => {
    for (let by = 1; by <= rows.count; by += 1) {
      const number = (active + by + rows.count) % rows.count;
      if (rows.failed(number)) return go(number);
    }
    return say("nothing failed");
  };
  document.getElementById("next-error")?.addEventListener("click", errors);

  const critical = document.getElementById("critical");
  critical.addEventListener("change", () => waterfall.classList.toggle("critical", critical.checked));

  const narrow = document.getElementById("narrow");
  const only = document.getElementById("only");
  const look = () => {
    const found = rows.look(narrow.value, only.checked);
    say(found === null ? "" : `${found.toLocaleString("en")} found`);
  };
  let typed = 0;
  narrow.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(look, rows.count > 2000 ? 150 : 0);
  });
  only.addEventListener("change", look);
  narrow.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !rows.matches?.size) return;
    event.preventDefault();
    const after = [...rows.matches].find((number) => number > active);
    go(after ?? [...rows.matches][0], false);
  });

  onkey("j", () => step(1));
  onkey("k", () => step(-1));
  onkey("ArrowDown", () => (active < 0 || !node.contains(document.activeElement) ? false : step(1)));
  onkey("ArrowUp", () => (active < 0 || !node.contains(document.activeElement) ? false : step(-1)));
  onkey("ArrowRight", () => {
    if (active < 0 || !node.contains(document.activeElement)) return false;
    if (rows.folded.has(active)) fold(active, false);
    else if (rows.below(active)) step(1);
    go(active);
    return true;
  });
  onkey("ArrowLeft", () => {
    if (active < 0 || !node.contains(document.activeElement)) return false;
    if (rows.below(active) && !rows.folded.has(active)) fold(active, true);
    else if (rows.parent(active) >= 0) go(rows.parent(active));
    go(active);
    return true;
  });
  onkey("[", () => {
    rows.foldAll(true);
    remember();
  });
  onkey("]", () => {
    rows.foldAll(false);
    remember();
  });
  onkey("n", errors);
  onkey("c", () => critical.click());
  onkey("Enter", () => {
    const row = document.activeElement?.closest?.(".r");
    if (!row) return false;
    if (row.matches(".repeats, .missing")) fold(rows.number(row));
    else open(row.id);
    return true;
  });
}
onkey("Escape", () => (pane.hidden ? false : open("")));

// --- the map

const map = document.getElementById("map");
if (map && rows) {
  const view = document.createElement("div");
  view.className = "view";
  map.append(view);
  const follow = () => {
    const box = node.getBoundingClientRect();
    const from = Math.max(0, Math.min(1, -box.top / box.height));
    const to = Math.max(0, Math.min(1, (innerHeight - box.top) / box.height));
    view.style.top = `${from * 100}%`;
    view.style.height = `${(to - from) * 100}%`;
    view.hidden = to - from > 0.98;
  };
  addEventListener("scroll", () => requestAnimationFrame(follow), { passive: true });
  follow();
  map.addEventListener("click", (event) => {
    const box = map.getBoundingClientRect();
    go(rows.at((event.clientY - box.top) / box.height));
  });
}

// --- the traces around it, as they were listed

try {
  const { listed, from } = JSON.parse(sessionStorage.getItem("otel-kpi/1/listed")) ?? {};
  const at = listed?.indexOf(trace) ?? -1;
  if (from) document.getElementById("back").href = from;
  const to = (by) => {
    const other = at < 0 ? undefined : listed[at + by];
    if (other) location.assign(`/traces/${other}`);
    else say("no trace there");
  };
  onkey("J", () => to(1));
  onkey("K", () => to(-1));
} catch {
  // nothing listed, or no storage
}
