const EVERY = 30_000;
const status = document.getElementById("status");
const pause = document.getElementById("pause");
const now = document.getElementById("now");
let paused = false;
let timer;

async function renew() {
  clearTimeout(timer);
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("figures");
    if (!fresh) throw new Error(`status ${response.status}`);
    document.getElementById("figures").replaceWith(document.adoptNode(fresh));
    status.textContent = `Updated at ${new Date().toLocaleTimeString()}`;
  } catch {
    status.textContent = `Not updated at ${new Date().toLocaleTimeString()}: the figures are the last that came`;
  }
  plan();
}

function plan() {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(renew, EVERY);
}

now.addEventListener("click", renew);
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  status.textContent = paused ? "Paused" : "Updated every 30 seconds";
  plan();
});
document.addEventListener("visibilitychange", () => (document.hidden || paused ? plan() : renew()));
for (const each of [now, pause]) each.hidden = false;
plan();
