/* Two builds side by side. */
const FACTS = ["state", "spelled", "negated by", "takes", "one of", "default", "variable", "write instead", "needs"];
const comparable = (facts) => (facts ? { state: facts.state === "live" ? "" : WORDS[facts.state], ...told(facts) } : null);
/* Of two lists, the words that the other has not. */
function apart(one, other) {
  if (!one.includes(", ") && !other.includes(", ")) return [one, other];
  const [left, right] = [one, other].map((text) => text.split(", ").filter(Boolean));
  return [left.filter((word) => !right.includes(word)), right.filter((word) => !left.includes(word))].map((words) => words.join(", "));
}
function differences(left, right) {
  return FACTS.filter((name) => left[name] !== right[name]).map((name) => [name, ...(["spelled", "negated by", "one of"].includes(name) ? apart(left[name], right[name]) : [left[name], right[name]])]);
}
const factLines = (pairs) => pairs.map(([name, text]) => make("div", {}, make("span", { class: "quiet" }, `${name} `), text ? make("code", {}, text) : "–"));
function compare() {
  const [left, right] = ["left", "right"].map((id) => buildOf(byId(id).value));
  for (const [id, build] of [["left", left], ["right", right]]) byId(id).setAttribute("aria-invalid", String(build === null));
  if (left === null || right === null) {
    byId("compare-summary").textContent = `Builds from b${FIRST} to b${LAST} are known.`;
    byId("comparison").replaceChildren();
    byId("changed-notes").replaceChildren();
    return;
  }
  const [early, late] = [Math.min(left, right), Math.max(left, right)];
  const words = byId("compare-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const count = { added: 0, removed: 0, different: 0, unsure: 0 };
  const rows = [], listed = [];
  for (const option of options) {
    const sides = [left, right].map((build) => optionAt(option, build));
    if (sides.every(({ facts, sure }) => !facts && sure)) continue;
    if (!words.every((word) => option.texts.some((text) => finds(word, text)))) continue;
    const [one, other] = sides.map(({ facts }) => comparable(facts));
    const differ = one && other ? differences(one, other) : [];
    const unsure = sides.some(({ sure }) => !sure);
    const events = option.events.filter((event) => early < event.b && (event.b <= late || (event.after ?? late) < late));
    const kind = unsure ? "unsure" : !one !== !other ? (one ? "removed" : "added") : differ.length ? "different" : "";
    if (kind) count[kind] += 1;
    if (!kind && byId("only-differences").checked) continue;
    const [from, to] = [0, 1].map((side) => {
      if (!sides[side].sure) return ["not known: it changed between the archives around this build"];
      const facts = [one, other][side];
      if (!facts) return [stateAt(option, [left, right][side]) === "gone" ? "removed" : "not there"];
      if (differ.length) return factLines(differ.map(([name, ...texts]) => [name, name === "state" ? texts[side] || "live" : texts[side]]));
      return factLines(Object.entries(facts).filter(([, text]) => text));
    });
    listed.push(option);
    rows.push(make("tr", { class: events.some(breaks) ? "breaks" : "", "data-id": option.id, "data-kind": kind },
      make("th", { scope: "row" }, make("button", { type: "button", class: "name", "aria-haspopup": "dialog", onclick: () => openDetail(option, listed) }, make("code", {}, option.id))),
      make("td", { "data-build": `b${left}: ` }, ...from), make("td", { "data-build": `b${right}: ` }, ...to), make("td", {}, ...events.map((event) => make("div", {}, make("span", { class: "when" }, ...placeOf(event)), " ", ...said(event))))));
  }
  byId("compare-summary").textContent = `${rows.length} options: ${count.added} added, ${count.removed} removed, ${count.different} different${count.unsure ? `, ${count.unsure} not known` : ""}`;
  byId("comparison").replaceChildren(...(rows.length ? [make("table", { class: "facts" }, headRow(["option", `b${left}`, `b${right}`, "what happened"]), make("tbody", {}, ...rows))] : []));
  const notes = data.notes.filter((note) => early < note.b && note.b <= late);
  byId("changed-notes").replaceChildren(...(notes.length ? [make("h3", {}, "What the options do not show"), make("ul", {}, ...notes.map(noteItem))] : []));
}
byId("left").value = `b${ARCHIVES.at(-2)}`;
byId("right").value = `b${LAST}`;
for (const id of ["left", "right", "compare-search"]) byId(id).addEventListener("input", compare);
byId("only-differences").addEventListener("change", compare);
byId("swap").addEventListener("click", () => {
  [byId("left").value, byId("right").value] = [byId("right").value, byId("left").value];
  compare();
});
onFirstShow.set("tab-compare", compare);
