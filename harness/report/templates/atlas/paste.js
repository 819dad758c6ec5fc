/* The box to paste a command line into. */
function adviceOf({ instead, blame }) {
  if (!instead?.length) return [];
  if (instead[0] === "") return [blame.startsWith("LLAMA_") ? "leave it unset" : "leave it out"];
  return ["write ", ...instead.flatMap((text, place) => [place ? " or " : "", make("code", {}, text)])];
}
/* What upstream did where a span begins: date, pull request. */
function since(span, owners) {
  const events = owners.flatMap((option) => option.events).filter((event) => event.b === span.first || (span.state === "unknown" && event.after === span.first - 1));
  if (span.first <= FIRST || !events.length) return [];
  const [, ...rest] = placeOf(events.find((event) => event.pr) ?? events[0]);
  return rest.length ? [make("span", { class: "quiet" }, ...rest)] : [];
}
function spanItem(span, owners = []) {
  const advice = make("span", { class: "advice" }, ...adviceOf(span));
  return make("li", { "data-first": span.first, "data-last": span.last, "data-state": span.state, "data-blame": span.blame, "data-advice": advice.textContent },
    make("span", { class: "when" }, range(span)), " ", make("span", { class: `tag ${span.state}` }, `${SIGNS[span.state]} ${WORDS[span.state]}`),
    ...(span.why ? [` ${span.why}`] : []), ...(advice.textContent ? ["; ", advice] : []), " ", ...since(span, owners));
}

function judgeLine() {
  const line = commandLine(byId("line").value);
  if (!line.words.length && !line.variables.length) {
    byId("line-summary").textContent = "";
    byId("standing").replaceChildren();
    return;
  }
  const { whole, rows } = standing(line);
  const fine = whole.filter((span) => span.state === "accepted");
  const unsure = whole.filter((span) => ["unknown", "doubtful"].includes(span.state));
  byId("line-summary").textContent = [
    fine.length ? `By the atlas every argument is accepted: ${fine.map(range).join("; ")}.` : "By the atlas no build accepts every argument.",
    ...(unsure.length ? [`It cannot be told: ${unsure.map(range).join("; ")}.`] : []),
    ...(rows.some((row) => row.spans.some((span) => span.state === "ignored")) ? ["A variable is not read by every build."] : []),
  ].join(" ");
  const listed = unique(rows.flatMap((row) => row.owners));
  const head = (row) => (row.owners.length ? make("button", { type: "button", class: "name", "aria-haspopup": "dialog", onclick: () => openDetail(row.owners.at(-1), listed) }, make("code", {}, row.text)) : make("code", {}, row.text));
  const bodyRow = (name, spans, owners, kind) => make("tr", { class: kind }, make("th", { scope: "row" }, name), make("td", {}, bar(spans), make("ul", { class: "spans" }, ...spans.map((span) => spanItem(span, owners)))));
  const table = make("table", { class: "lives", "aria-label": "Where the command line is accepted" }, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "argument"), make("th", { scope: "col", "aria-label": "builds" }, axis()))),
    make("tbody", {}, bodyRow("the whole line", whole, [], "whole"), ...rows.map((row) => bodyRow(head(row), row.spans, row.owners, ""))));
  const notes = data.notes.filter((note) => listed.some((option) => note.flags.some((flag) => option.flags.includes(flag))));
  byId("standing").replaceChildren(table, ...(notes.length ? [make("h3", {}, "Accepted, and yet not the same everywhere"), make("ul", { id: "line-notes" }, ...notes.map((note) => noteItem(note)))] : []));
  showBuilds();
}
byId("line").addEventListener("input", judgeLine);
