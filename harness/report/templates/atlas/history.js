/* The history of an option: how it is spelled, what it was at last, and everything that happened to it. */
const detailTitle = (option) => [make("code", {}, option.id), " ", make("span", { class: `tag ${option.state}` }, WORDS[option.state])];
const values = (count) => ["no value", "one value", "two values"][count] ?? `${count} values`;
/* A flag that leads to its own history. */
function flagLink(flag) {
  const owners = ownersOf(flag);
  return owners.length ? make("button", { type: "button", class: "link", onclick: () => openDetail(owners.at(-1), []) }, make("code", {}, flag)) : make("code", {}, flag);
}
const flagLinks = (flags) => flags.flatMap((flag, place) => [place ? ", " : "", flagLink(flag)]);
const instead = (event) => {
  const flags = unique([...(event.use ?? []), ...(event.replacement ?? []), ...(event.renamed_to ? [event.renamed_to] : [])]);
  return flags.length ? ["; write ", ...flagLinks(flags)] : [];
};
const SAID = {
  added: ({ renamed_from: old }) => (old ? ["added, in place of ", flagLink(old)] : ["added"]),
  returned: () => ["back again"],
  gone: (event) => ["removed", ...instead(event)],
  merged: (event) => ["part of ", flagLink(event.into), " from now on, as ", ...codes(event.as), ...(event.lost ? ["; no longer ", ...codes([event.lost].flat())] : [])],
  stub: (event) => ["removed: it stops the start with a message", ...instead(event)],
  deprecated: (event) => ["deprecated", ...instead(event)],
  "live-again": () => ["no longer deprecated"],
  "spelling-added": (event) => ["also spelled ", ...codes(event.names)],
  "negation-added": (event) => ["negated by ", ...codes(event.names)],
  "spelling-removed": (event) => ["no longer spelled ", ...codes(event.names)],
  "now-negation": (event) => [...codes(event.names), " listed as its negation"],
  arity: (event) => [`takes ${values(event.to)}, before ${values(event.from)}`],
  placeholder: (event) => ["shown with ", make("code", {}, String(event.to)), ", before ", make("code", {}, String(event.from))],
  type: (event) => [event.to === "int" ? "takes only a whole number" : "takes more than a whole number"],
  "env-added": (event) => ["reads ", make("code", {}, event.to)],
  "env-removed": (event) => ["no longer reads ", make("code", {}, event.from)],
  "env-renamed": (event) => ["reads ", make("code", {}, event.to), " in place of ", make("code", {}, event.from), event.from_still_works ? ", which still works" : ", which is ignored"],
  default: (event) => ["default ", make("code", {}, event.to), ", before ", make("code", {}, event.from)],
  values: (event) => [
    ...(event.added ? ["takes ", ...codes(event.added)] : []),
    ...(event.removed ? [event.added ? "; " : "", "no longer takes ", ...codes(event.removed)] : []),
    ...Object.entries(event.renamed ?? {}).flatMap(([from, to], place) => [place || event.added || event.removed ? "; " : "", make("code", {}, from), " is ", make("code", {}, to), " from now on"]),
  ],
};
const said = (event) => SAID[event.kind]?.(event) ?? [event.kind];
const notesOn = (option) => data.notes.filter((note) => note.flags.some((flag) => option.flags.includes(flag)));
const noteItem = (note) => make("li", {}, make("span", { class: "when" }, ...placeOf(note), note.until ? `, until b${note.until}` : ""), " ", note.what);

/* What there is to say of an option at a build, by the name of each fact. */
function told(facts) {
  const takes = facts.placeholder ?? (facts.arity ? values(facts.arity) : "no value");
  return {
    spelled: facts.spellings.join(", "), "negated by": facts.negations.join(", "), takes, "one of": facts.values.join(", "), default: facts.default ?? "", variable: facts.env ?? "",
    "write instead": facts.use.join(", "), needs: facts.condition ? `${facts.condition} compiled in` : "",
  };
}

function* detail(option) {
  yield make("div", {}, bar(option.spans, option.events), make("p", {}, `${tell(option.spans)}.`));
  yield make("h3", {}, option.state === "gone" ? "As it was at last" : "Now");
  yield make("table", { class: "facts", id: "facts" }, make("tbody", {}, ...Object.entries(told(option.latest)).filter(([, text]) => text).map(([name, text]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, text)))));
  yield make("h3", {}, "History");
  yield make("ol", { id: "events" }, ...option.events.map((event) => make("li", { class: breaks(event) ? "breaks" : "", "data-build": event.b, "data-kind": event.kind }, make("span", { class: "when" }, ...placeOf(event)), " ", ...said(event))));
  if (!option.events.length) yield make("p", { class: "quiet" }, `Nothing changed since b${FIRST}.`);
  const notes = notesOn(option);
  if (notes.length) {
    yield make("h3", {}, "What it does");
    yield make("ul", {}, ...notes.map(noteItem));
  }
  if (option.flags.length > 1) {
    yield make("h3", {}, "Spellings");
    yield make("table", { class: "facts" }, make("tbody", {}, ...option.flags.map((flag) => make("tr", {}, make("th", { scope: "row" }, make("code", {}, flag)),
      make("td", {}, tell(overTime((build) => ({ state: flagState(flag, build) }))))))));
  }
}
const flagState = (flag, build) => spelled(flag, build)?.state ?? (rowsOf(flag)[0][0] <= build ? "gone" : "absent");
