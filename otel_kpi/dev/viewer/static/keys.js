// Keys of every page. A page's own come by `onkey(key, what)`; rows are whatever has `data-row`.
const PREFERENCES = "otel-kpi/1/single-keys";
const own = new Map();

/** Have a key of a page do something. */
export const onkey = (key, action) => own.set(key, action);

const find = document.getElementById("find");
const help = document.getElementById("help");
const single = document.getElementById("single-keys");

const kept = () => {
  try {
    return localStorage.getItem(PREFERENCES) !== "off";
  } catch {
    return true; // no storage, no preference
  }
};

if (single) {
  single.checked = kept();
  single.addEventListener("change", () => {
    try {
      localStorage.setItem(PREFERENCES, single.checked ? "on" : "off");
    } catch {
      // it holds until the page is left
    }
  });
}

const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);

/** Go to the next row (1) or the previous one (-1). */
const step = (by) => {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
  const row = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))];
  const target = row.matches("a, button, [tabindex]") ? row : row.querySelector("a, button, [tabindex]") ?? row;
  target.focus();
  row.scrollIntoView({ block: "nearest" });
};

const search = () => {
  find?.focus();
  find?.select();
};

const typing = (target) => target instanceof HTMLElement && (target.isContentEditable || target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select"));

document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey) {
    event.preventDefault();
    search();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (help?.open) return;
  if (event.key.length === 1 && single && !single.checked) return;
  const mine = own.get(event.key);
  if (mine) {
    if (mine(event) !== false) event.preventDefault();
    return;
  }
  if (event.key === "/") search();
  else if (event.key === "?") help?.showModal();
  else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else {
    const place = [...document.querySelectorAll("nav [data-key]")].find((link) => link.dataset.key === event.key);
    if (!place) return;
    place.click();
  }
  event.preventDefault();
});

// On a telephone the pages are a strip that scrolls.
document.querySelector(".rail [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

document.getElementById("help-open")?.addEventListener("click", () => help?.showModal());
help?.addEventListener("click", (event) => {
  if (event.target === help) help.close(); // beside the dialog
});
