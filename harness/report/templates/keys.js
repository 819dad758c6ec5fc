document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (byId("detail").open) {
    if (event.key === "j") step(1);
    if (event.key === "k") step(-1);
    return;
  }
  if (typing) return;
  if (event.key === "/") { event.preventDefault(); showTab(tabs[0]); byId("search").focus(); }
  if (event.key === "f") { showTab(tabs[0]); failuresOnly(); }
});

openRun();
const wanted = decodeURIComponent(location.hash.slice(1));
const linked = cells().find((cell) => cell.id === wanted);
if (linked) openDetail(linked);
