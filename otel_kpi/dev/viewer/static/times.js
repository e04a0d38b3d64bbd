// Times as a person here reads them: local, UTC on hover; so, too, below pictures. `local(node)` does it for what comes later.
const pad = (number, width = 2) => String(number).padStart(width, "0");

const clock = (date) => `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
const day = (date) => `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;

const ago = (milliseconds, now = Date.now()) => {
  const seconds = Math.max(0, Math.round((now - milliseconds) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
};

const write = (element, now) => {
  const milliseconds = Number(element.dataset.ns) / 1e6;
  const date = new Date(milliseconds);
  if (Number.isNaN(date.getTime())) return;
  const form = element.dataset.form;
  const today = day(date) === day(new Date(now));
  const text = form === "ago" ? ago(milliseconds, now) : form === "clock" || today ? clock(date) : `${day(date)} ${clock(date)}`;
  if (element.textContent !== text) element.textContent = text;
};

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// A mark of an axis keeps its form: it is as fine as its neighbours are far.
const mark = (date, form) => {
  const hours = `${pad(date.getHours())}:${pad(date.getMinutes())}`;
  if (/^\d\d:\d\d:\d\d$/.test(form)) return `${hours}:${pad(date.getSeconds())}`;
  if (/^\d\d:\d\d$/.test(form)) return hours;
  const said = `${pad(date.getDate())} ${months[date.getMonth()]}`;
  return hours === "00:00" ? said : `${said} ${hours}`;
};

export const local = (node = document) => {
  const now = Date.now();
  for (const element of node.querySelectorAll("time[data-ns]")) write(element, now);
  for (const element of node.querySelectorAll("text[data-ns]")) {
    const date = new Date(Number(element.dataset.ns) / 1e6);
    const said = element.lastChild;
    if (!Number.isNaN(date.getTime()) && said?.nodeType === Node.TEXT_NODE) said.data = mark(date, said.data.trim());
  }
};

local();
setInterval(() => {
  const now = Date.now();
  for (const element of document.querySelectorAll('time[data-form="ago"]')) write(element, now);
}, 5000);
