/* Two runs, or two subjects of one run. */
const sides = data.runs.flatMap((run, place) => unique(run.cells.map((cell) => cell.subject)).map((subject) => ({
  subject, name: data.runs.length > 1 ? `${run.name}: ${subject}` : subject, place, cells: run.cells.filter((cell) => cell.subject === subject),
})));
for (const id of ["left", "right"]) fill(byId(id), sides.map((side, place) => [String(place), side.name]));
const otherRun = sides.findIndex((side) => side.place === 1 && side.subject === sides[0]?.subject);
byId("right").value = String(otherRun > 0 ? otherRun : Math.min(1, sides.length - 1));
const keyOf = (cell) => `${cell.build} · ${cell.environment} · ${cell.wish}`;
/* Ports and the folders of models differ from run to run. */
const normalised = (cell) => cell.argv.map((word, place) => (cell.argv[place - 1] === "--port" ? "PORT" : word.endsWith(".gguf") ? word.split(/[\\/]/).pop() : word));
function wordsOnlyIn(words, others) {
  const left = [...others];
  return words.filter((word) => {
    const place = left.indexOf(word);
    if (place >= 0) left.splice(place, 1);
    return place < 0;
  });
}
function difference(one, other) {
  const what = [];
  if (one.status !== other.status) what.push("verdict");
  if (one.short !== other.short) what.push("effective state");
  const [before, after] = [normalised(one), normalised(other)];
  const changed = before.join(" ") !== after.join(" ");
  if (changed && (what.length || byId("command-lines").checked)) what.push("command line");
  if (!what.length) return { what, details: [] };
  const [gone, come] = [wordsOnlyIn(before, after), wordsOnlyIn(after, before)];
  const details = [[gone, "-"], [come, "+"]].filter(([words]) => words.length).map(([words, sign]) => make("div", {}, make("code", {}, `${sign} ${words.join(" ")}`)));
  return { what, details };
}
function compare() {
  if (!sides.length) return;
  const [first, second] = ["left", "right"].map((id) => sides[Number(byId(id).value)]);
  const left = new Map(first.cells.map((cell) => [keyOf(cell), cell]));
  const right = new Map(second.cells.map((cell) => [keyOf(cell), cell]));
  const rows = [], lonely = [], listed = [];
  let differing = 0, both = 0;
  const keys = unique([...left.keys(), ...right.keys()]);
  for (const key of keys) {
    const pair = [left.get(key), right.get(key)];
    const whole = pair.every(Boolean);
    const { what, details } = whole ? difference(...pair) : { what: ["only on one side"], details: [] };
    both += whole;
    differing += whole && what.length > 0;
    if ((!whole || !what.length) && byId("only-differences").checked) continue;
    listed.push(...pair.filter(Boolean));
    (whole ? rows : lonely).push(make("tr", {}, make("th", { scope: "row" }, key), ...pair.map((cell) => make("td", {}, cell
      ? make("button", { type: "button", class: `cell ${cell.status}`, onclick: () => openDetail(cell, listed) }, `${cell.status}: `, ...label(cell)) : "—")), make("td", {}, what.join(", ") || "same", ...details)));
  }
  byId("compare-summary").textContent = `${differing} of ${both} cells differ` + (keys.length > both ? `; ${keys.length - both} are only on one side` : "");
  const table = make("table", { class: "grid" }, headRow(["cell", first.name, second.name, "what differs"]), make("tbody", {}, ...rows, ...lonely));
  byId("comparison").replaceChildren(...(rows.length + lonely.length ? [table] : []));
}
function compareSides() {
  byId("command-lines").checked = sides[Number(byId("left").value)]?.subject === sides[Number(byId("right").value)]?.subject;
  compare();
}
for (const id of ["left", "right"]) byId(id).addEventListener("change", compareSides);
for (const id of ["only-differences", "command-lines"]) byId(id).addEventListener("change", compare);
onFirstShow.set("tab-compare", compareSides);
