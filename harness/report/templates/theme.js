const themes = ["auto", "light", "dark"];
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
  try { localStorage.setItem("llama-harness-theme", theme); } catch { /* a file page may have no storage */ }
}
let stored = "auto";
try { stored = localStorage.getItem("llama-harness-theme") ?? "auto"; } catch { /* as above */ }
setTheme(themes.includes(stored) ? stored : "auto");
byId("theme").addEventListener("click", () => setTheme(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length]));

const tabs = [...document.querySelectorAll("[role=tab]")];
const onFirstShow = new Map();
function showTab(tab) {
  for (const other of tabs) {
    const on = other === tab;
    other.setAttribute("aria-selected", String(on));
    other.tabIndex = on ? 0 : -1;
    byId(other.getAttribute("aria-controls")).hidden = !on;
  }
  onFirstShow.get(tab.id)?.();
  onFirstShow.delete(tab.id);
}
tabs.forEach((tab, place) => {
  tab.addEventListener("click", () => showTab(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(place + step + tabs.length) % tabs.length];
    next.focus();
    showTab(next);
  });
});
