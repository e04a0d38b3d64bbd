// Times below pictures as a person here reads them: local; pointing at one says it in UTC.
const pad = (number) => String(number).padStart(2, "0");
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const written = (date, form) => {
  const clock = `${pad(date.getHours())}:${pad(date.getMinutes())}`;
  if (/^\d\d:\d\d:\d\d$/.test(form)) return `${clock}:${pad(date.getSeconds())}`;
  if (/^\d\d:\d\d$/.test(form)) return clock;
  const day = `${pad(date.getDate())} ${months[date.getMonth()]}`;
  return clock === "00:00" ? day : `${day} ${clock}`;
};

for (const text of document.querySelectorAll("text[data-ns]")) {
  const date = new Date(Number(text.dataset.ns) / 1e6);
  const said = text.lastChild;
  if (!Number.isNaN(date.getTime()) && said && said.nodeType === Node.TEXT_NODE) said.data = written(date, said.data.trim());
}
