// The live page: figures and rows as they come. Who scrolls down is not moved: what came meanwhile waits behind "42 new".
import { follow } from "./live.js";
import { reachable } from "./scrolling.js";
import { local } from "./times.js";

const EVERY = 1_000; // figures; rows come at once
const MOST = 200;
const rows = document.getElementById("live-rows");
const figures = document.getElementById("live-now");
const state = document.getElementById("live-state");
const pause = document.getElementById("live-pause");
const fresh = document.getElementById("live-new");
const none = document.getElementById("live-none");

let paused = false;
let waiting = new Set(); // rows that came while paused or scrolled
let wanted = new Set(); // rows to ask for
let anew = false; // all of them are to be asked for
let asking = false;
let drawing = 0;

const held = () => paused || rows.getBoundingClientRect().top < 0;

const get = async (address) => {
  const response = await fetch(address, { headers: { accept: "text/html" } });
  if (!response.ok) throw new Error(String(response.status));
  return response.text();
};

const parsed = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html; // drawn and escaped by our own server
  local(template.content);
  return template.content;
};

const say = (text, kind = "") => {
  state.textContent = text;
  state.className = `chip ${kind}`;
};

const chip = () => {
  fresh.hidden = !waiting.size;
  fresh.textContent = `${waiting.size} new`;
};

const place = (content, whole) => {
  const known = new Map([...rows.children].map((row) => [row.dataset.number, row]));
  if (whole) rows.replaceChildren();
  for (const row of [...content.children].reverse()) {
    const seen = known.get(row.dataset.number);
    const old = whole ? undefined : seen;
    if (!seen) row.classList.add("came");
    if (old) old.replaceWith(row);
    else {
      const before = [...rows.children].find((other) => Number(other.dataset.number) < Number(row.dataset.number));
      rows.insertBefore(row, before ?? null);
    }
  }
  while (rows.children.length > MOST) rows.lastElementChild.remove();
  none.hidden = rows.children.length > 0;
};

const ask = async () => {
  if (asking || held() || document.hidden || !(wanted.size || anew)) return;
  asking = true;
  const whole = anew || wanted.size > 50;
  const address = whole ? "/live/rows" : `/live/rows?rows=${[...wanted].join(",")}`;
  wanted = new Set();
  anew = false;
  try {
    place(parsed(await get(address)), whole);
  } catch {
    anew = true; // the next news asks again
  }
  asking = false;
  if (wanted.size) ask();
};

const draw = () => {
  if (drawing || paused || document.hidden) return;
  drawing = setTimeout(async () => {
    try {
      if (!paused && !figures.contains(document.activeElement)) {
        figures.replaceChildren(parsed(await get("/live/now")));
        reachable(figures);
      }
    } catch {
      // said by the state of the connection
    }
    drawing = 0;
  }, EVERY);
};

const news = (told) => {
  if (told.missed) anew = true;
  const seen = new Set([...rows.children].map((row) => row.dataset.number));
  for (const row of told.traces) {
    wanted.add(String(row));
    if (held() && !seen.has(String(row))) waiting.add(row);
  }
  if (told.changed > told.traces.length) anew = true;
  if (held()) chip();
  else ask();
  draw();
};

const go = () => {
  if (held()) return;
  waiting = new Set();
  chip();
  ask();
};

pause.hidden = false;
document.getElementById("live-refresh").hidden = true;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Go on" : "Pause";
  say(paused ? "paused" : "live", paused ? "warning" : "live");
  if (!paused) {
    go();
    draw();
  }
});
fresh.addEventListener("click", () => {
  if (paused) pause.click();
  scrollTo({ top: 0 });
  anew = anew || waiting.size > 50;
  waiting = new Set();
  chip();
  ask();
});
addEventListener("scroll", () => waiting.size && go(), { passive: true });
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  go();
  draw();
});
setInterval(draw, 5_000); // what is not news any more goes by

follow(news, {
  connected: (yes) => {
    if (paused) return;
    say(yes ? "live" : "not connected, trying again", yes ? "live" : "warning");
    if (yes) {
      anew = true;
      go();
      draw();
    }
  },
});
