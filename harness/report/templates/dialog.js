/* One thing of many in a dialog. The page says with detailTitle and detail what is in it; a thing has an id and may have a button. */
let current = null, among = [], opener = null;
function openDetail(item, neighbours = shown) {
  if (!byId("detail").open) opener = document.activeElement;
  current = item;
  among = neighbours;
  byId("detail-title").replaceChildren(...detailTitle(item));
  byId("detail-body").replaceChildren(...detail(item));
  const place = among.indexOf(item);
  byId("previous").disabled = place < 1;
  byId("next").disabled = place < 0 || place === among.length - 1;
  byId("place").textContent = place < 0 ? "" : `${place + 1} of ${among.length}`;
  if (!byId("detail").open) byId("detail").showModal();
  byId("detail").scrollTop = 0;
  history.replaceState(null, "", `#${encodeURIComponent(item.id)}`);
}
function step(by) {
  const next = among[among.indexOf(current) + by];
  if (next) openDetail(next, among);
}
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
/* The browser tells of a dialog's end a little later, when another key may have been pressed: the first to come counts. */
function leave() {
  if (!current) return;
  const home = current.button?.offsetParent ? current.button : opener;
  current = null;
  history.replaceState(null, "", location.pathname + location.search);
  home?.focus();
}
function closeDetail() {
  byId("detail").close();
  leave();
}
byId("close").addEventListener("click", closeDetail);
byId("detail").addEventListener("click", (event) => { if (event.target === byId("detail")) closeDetail(); });
byId("detail").addEventListener("close", leave);
document.addEventListener("keydown", (event) => {
  if (!byId("detail").open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") { event.preventDefault(); closeDetail(); }
  if (event.key === "j") step(1);
  if (event.key === "k") step(-1);
});
const typing = (event) => /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
