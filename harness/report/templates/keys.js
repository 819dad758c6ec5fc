document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("detail").open || typing(event)) return;
  if (event.key === "/") { event.preventDefault(); showTab(tabs[0]); byId("search").focus(); }
  if (event.key === "f") { showTab(tabs[0]); failuresOnly(); }
});

openRun();
const wanted = decodeURIComponent(location.hash.slice(1));
const linked = cells().find((cell) => cell.id === wanted);
if (linked) openDetail(linked);
