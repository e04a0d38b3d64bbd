// The switch between dark and light. A cookie, so that the server draws the next page right from its first byte.
const root = document.documentElement;
const button = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");

const shown = () => root.dataset.theme || (system.matches ? "dark" : "light");

const tell = () => button?.setAttribute("aria-label", shown() === "dark" ? "Change to light" : "Change to dark");

button?.addEventListener("click", () => {
  const theme = shown() === "dark" ? "light" : "dark";
  root.dataset.theme = theme;
  const preferred = theme === (system.matches ? "dark" : "light");
  // Back at what the system prefers there is nothing to remember.
  document.cookie = `otel_kpi_theme=${preferred ? "" : theme}; path=/; max-age=${preferred ? 0 : 31536000}; samesite=lax`;
  tell();
});
system.addEventListener("change", tell);
tell();
