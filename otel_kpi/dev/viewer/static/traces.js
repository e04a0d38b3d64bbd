// The list of traces: a choice takes effect at once, two that are ticked can be compared, and a trace knows its neighbours.
const filters = document.getElementById("filters");
filters?.addEventListener("change", (event) => {
  if (!event.target.matches("select")) return;
  if (event.target.id === "service") filters.elements.operation.value = "";
  filters.requestSubmit();
});
// An address says what was asked, not what was left open.
filters?.addEventListener("formdata", ({ formData }) => {
  for (const [name, value] of [...formData]) if (!value) formData.delete(name);
});

const found = document.querySelector("form.found");
const compare = document.getElementById("compare");
const ticked = () => [...found.querySelectorAll('input[name="trace"]:checked')];
found?.addEventListener("change", () => {
  compare.disabled = ticked().length !== 2;
});
found?.addEventListener("submit", (event) => {
  event.preventDefault();
  const [a, b] = ticked().map((box) => box.value);
  if (a && b) location.assign(`/compare?${new URLSearchParams({ a, b })}`);
});

// For next and previous in a trace that is opened from here.
try {
  const listed = [...document.querySelectorAll("[data-trace]")].map((row) => row.dataset.trace);
  sessionStorage.setItem("otel-kpi/1/listed", JSON.stringify({ listed, from: location.pathname + location.search }));
} catch {
  // no storage, no neighbours
}
