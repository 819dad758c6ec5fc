/* All options down, builds across. Rows are made once; a search then only shows and hides. */
const STATES = ["live", "deprecated", "stub", "gone"];
let shown = [];

const codes = (words) => words.flatMap((word, place) => [place ? ", " : "", make("code", {}, word)]);
for (const option of options) {
  option.spans = overTime((build) => ({ state: stateAt(option, build) }));
  option.state = option.spans.at(-1).state;
  option.changed = Math.max(0, ...option.events.map((event) => event.b));
  const others = [...option.latest.spellings, ...option.latest.negations].filter((flag) => flag !== option.id);
  option.found = make("span", { class: "found quiet" });
  option.button = make("button", { type: "button", class: "name", "aria-haspopup": "dialog", tabindex: "-1", "data-id": option.id, onclick: () => openDetail(option) },
    make("code", {}, option.id), ...(others.length ? [" ", make("span", { class: "quiet" }, ...codes(others))] : []), option.found);
  option.row = make("tr", {}, make("th", { scope: "row" }, option.button), make("td", {}, bar(option.spans, option.events)));
  const named = new Set([option.id, ...others]);
  option.texts = unique([
    ...option.flags,
    ...option.eras.flatMap(({ facts }) => [facts?.env, ...(facts?.values ?? [])]),
    ...option.events.filter((event) => event.kind.startsWith("env-")).flatMap((event) => [event.from, event.to]),
  ].filter(Boolean)).map((text) => ({ text, lower: text.toLowerCase(), seen: named.has(text) }));
}
const stateBoxes = STATES.map((state) => {
  const box = make("input", { type: "checkbox", id: `state-${state}`, value: state, checked: "" });
  const number = options.filter((option) => option.state === state).length;
  byId("states").append(make("label", {}, box, make("span", { class: `tag ${state}` }, WORDS[state]), make("span", { class: "number" }, String(number))));
  return box;
});

/* A word with a dash is the beginning of a flag; others are part of a flag, a variable or a value. */
const finds = (word, { lower }) => (word.startsWith("-") ? lower.startsWith(dashed(word)) : lower.includes(word));
function filter() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const states = new Set(stateBoxes.filter((box) => box.checked).map((box) => box.value));
  for (const option of options) {
    const hits = words.map((word) => option.texts.filter((text) => finds(word, text)));
    const on = states.has(option.state) && hits.every((hit) => hit.length);
    option.row.hidden = !on;
    option.button.tabIndex = -1;
    const elsewhere = unique(hits.flatMap((hit) => (hit.some((text) => text.seen) ? [] : hit.map((text) => text.text))));
    option.found.textContent = on && elsewhere.length ? `has ${elsewhere.slice(0, 3).join(", ")}${elsewhere.length > 3 ? ", …" : ""}` : "";
  }
  shown = sorted().filter((option) => !option.row.hidden);
  if (shown.length) shown[0].button.tabIndex = 0;
  byId("summary").textContent = `${shown.length} of ${options.length} options`;
}

const sorted = () => (byId("sort").value === "change" ? [...options].sort((one, other) => other.changed - one.changed) : options);
const rows = make("tbody", {});
function sort() {
  rows.append(...sorted().map((option) => option.row));
  filter();
}
byId("lives").append(make("table", { class: "lives" }, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "option"), make("th", { scope: "col", "aria-label": "builds" }, axis()))), rows));
rows.addEventListener("keydown", (event) => {
  const place = shown.findIndex((option) => option.button === event.target);
  const next = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: shown.length - 1 }[event.key];
  if (place < 0 || next === undefined) return;
  event.preventDefault();
  if (next < 0) byId("search").focus();
  else focusRow(next);
});
function focusRow(place) {
  if (!shown[place]) return;
  for (const option of shown) option.button.tabIndex = -1;
  shown[place].button.tabIndex = 0;
  shown[place].button.focus();
}
byId("search").addEventListener("input", filter);
byId("search").addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") { event.preventDefault(); focusRow(0); }
  if (event.key === "Enter" && shown.length) { event.preventDefault(); openDetail(shown[0]); }
});
byId("states").addEventListener("change", filter);
byId("sort").addEventListener("change", sort);
sort();
showBuilds();
