document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("detail").open) return;
  if (event.key === "Escape" && typing(event)) { event.target.blur(); return; }
  if (typing(event)) return;
  const [tab, field] = { "/": [0, "search"], c: [1, "left"], p: [2, "line"] }[event.key] ?? [];
  if (field) { event.preventDefault(); showTab(tabs[tab]); byId(field).focus(); }
});
const [linked] = ownersOf(decodeURIComponent(location.hash.slice(1))).slice(-1);
if (linked) openDetail(linked);
