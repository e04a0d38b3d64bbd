// Log records as they come, with the same filters. Who scrolls down or has opened a record is not moved.
import { follow } from "./live.js";
import { local } from "./times.js";

const rows = document.getElementById("logs-rows");
const MOST = 500;

if (rows && "live" in rows.dataset) {
  const state = document.getElementById("logs-state");
  const button = document.getElementById("logs-follow");
  const fresh = document.getElementById("logs-new");
  let paused = false;
  let asking = false;
  let again = false;
  let waiting = []; // rows that came and are not shown
  let newest = rows.firstElementChild?.dataset.number ?? "0";

  const held = () => paused || rows.getBoundingClientRect().top < 0;
  const say = (text, kind) => {
    state.hidden = false;
    state.textContent = text;
    state.className = `chip ${kind}`;
  };
  const show = () => {
    document.getElementById("logs-none")?.remove();
    for (const row of waiting) {
      row.classList.add("came");
      rows.prepend(row);
    }
    waiting = [];
    fresh.hidden = true;
    while (rows.children.length > MOST) rows.lastElementChild.remove();
  };
  const chip = () => {
    fresh.hidden = !waiting.length;
    fresh.textContent = `${waiting.length} new`;
  };
  const ask = async () => {
    if (asking || document.hidden) {
      again = true;
      return;
    }
    asking = true;
    again = false;
    const query = new URLSearchParams(location.search);
    query.delete("before");
    query.set("after", newest);
    try {
      const response = await fetch(`/logs/rows?${query}`);
      if (response.ok) {
        const template = document.createElement("template");
        template.innerHTML = await response.text(); // drawn and escaped by our own server
        local(template.content);
        const came = [...template.content.children].reverse();
        if (came.length) newest = came[came.length - 1].dataset.number;
        waiting.push(...came);
        if (waiting.length > MOST) waiting = waiting.slice(-MOST);
        if (held()) chip();
        else show();
      }
    } catch {
      again = true;
    }
    asking = false;
    if (again && !document.hidden) setTimeout(ask, 500);
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(!paused));
    button.textContent = paused ? "Follow" : "Pause";
    say(paused ? "paused" : "live", paused ? "warning" : "live");
    if (!held()) show();
  });
  fresh.addEventListener("click", () => {
    if (paused) button.click();
    scrollTo({ top: 0 });
    show();
  });
  addEventListener("scroll", () => waiting.length && !held() && show(), { passive: true });
  document.addEventListener("visibilitychange", () => !document.hidden && again && ask());
  follow(
    (news) => {
      if (news.logs || news.missed) ask();
    },
    {
      connected: (yes) => {
        if (!paused) say(yes ? "live" : "not connected, trying again", yes ? "live" : "warning");
        if (yes) ask();
      },
    },
  );
}
