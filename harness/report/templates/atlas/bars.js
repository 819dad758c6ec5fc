/* Bars over builds: all share one axis, whose ends are two properties of the page. */
const BREAKING = new Set(["gone", "stub", "spelling-removed", "arity"]);
const breaks = (event) => BREAKING.has(event.kind) || (event.kind === "type" && event.to === "int") || Boolean(event.lost ?? event.removed ?? event.renamed);
const LIFE = new Set(["added", "returned", "gone", "stub", "deprecated", "live-again"]);

const tell = (spans) => spans.filter((span) => span.state !== "absent").map((span) => `${WORDS[span.state]} ${range(span)}`).join("; ");

function bar(spans, events = []) {
  return make("div", { class: "track", role: "img", "aria-label": tell(spans) },
    ...spans.filter((span) => span.state !== "absent").map((span) => make("span", { class: `span ${span.state}`, style: `--a:${span.first};--z:${span.last + 1}`, title: `${range(span)}: ${WORDS[span.state]}` }, SIGNS[span.state])),
    ...events.filter((event) => !LIFE.has(event.kind)).map((event) => make("span", { class: `tick${breaks(event) ? " breaks" : ""}`, style: `--a:${event.b}`, title: `b${event.b}: ${event.kind}` })));
}

/* Dates stand at the builds that have one; the one before a mark tells its month. */
const DATED = unique([...Object.keys(data.commits), ...ARCHIVES].map(Number)).sort((one, other) => one - other);
function marks(from, to) {
  const step = [50, 100, 200, 500, 1000].find((size) => (to - from) / size <= 9) ?? 1000;
  const builds = [];
  for (let build = Math.ceil(from / step) * step; build <= to; build += step) builds.push(build);
  return builds.map((build) => make("span", { class: "mark", style: `--a:${build}` }, `b${build}`, make("span", { class: "quiet" }, dateOf(DATED.findLast((one) => one <= build) ?? DATED[0]).slice(0, 7))));
}
const axis = () => make("div", { class: "track axis", "aria-hidden": "true" });
function showBuilds() {
  const [from, to] = ["from", "to"].map((id) => buildOf(byId(id).value));
  const wrong = from === null || to === null || from >= to;
  for (const id of ["from", "to"]) byId(id).setAttribute("aria-invalid", String(wrong));
  if (wrong) return;
  document.documentElement.style.setProperty("--from", from);
  document.documentElement.style.setProperty("--to", to + 1);
  for (const one of document.querySelectorAll(".axis")) one.replaceChildren(...marks(from, to));
}
byId("from").value = `b${FIRST}`;
byId("to").value = `b${LAST}`;
for (const id of ["from", "to"]) byId(id).addEventListener("input", showBuilds);
byId("known-builds").append(...DATED.map((build) => make("option", { value: `b${build}` }, dateOf(build))));
