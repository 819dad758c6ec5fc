/* What the data says of options and flags, at a build and over time. */
const { first: FIRST, exact_to: EXACT, last: LAST } = data;
const ARCHIVES = Object.keys(data.late_snapshots).map(Number);
const EMPTY = { state: "live", spellings: [], negations: [], arity: 0, type: "flag", placeholder: null, env: null, default: null, values: [], use: [], condition: null };

const options = Object.entries(data.options).map(([id, { history, events }]) => {
  let facts = null;
  const eras = history.map(({ b, after, ...change }) => {
    facts = change.state === "absent" ? null : { ...(facts ?? EMPTY), ...change };
    return { first: b, facts };
  });
  return { id, events, eras, latest: eras.findLast((era) => era.facts).facts };
});
const optionOf = new Map(options.map((option) => [option.id, option]));
const factsAt = (option, build) => option.eras.findLast((era) => era.first <= build)?.facts ?? null;

const spellings = new Map(Object.entries(data.spellings));
for (const option of options) option.flags = [];
for (const [flag, rows] of spellings) for (const id of unique(rows.map((row) => row[2]))) optionOf.get(id).flags.push(flag);
const dashed = (word) => (word.startsWith("--") ? word.replaceAll("_", "-") : word);
const rowsOf = (flag) => spellings.get(dashed(flag)) ?? [];
const ownersOf = (flag) => unique(rowsOf(flag).map((row) => row[2])).map((id) => optionOf.get(id));
/* The option that a flag spells at a build; null where the build does not know the flag. */
function spelled(flag, build) {
  const row = rowsOf(flag).find(([first, last]) => first <= build && (last === null || build <= last));
  if (!row) return null;
  const option = optionOf.get(row[2]);
  return { option, state: row[4], facts: factsAt(option, build) };
}

/* Of the builds that were looked at the last that refuses the words true and false for on and off, and the first that takes them. */
const WORDS_AFTER = 7278, WORDS_SINCE = 7376;

/* Builds between which nothing changes. What lies between two archives nobody has seen: it names both. */
const stretches = (() => {
  const starts = unique([FIRST, WORDS_AFTER + 1, WORDS_SINCE, ...options.flatMap((option) => option.eras.map((era) => era.first))]).filter((build) => build <= EXACT).sort((one, other) => one - other);
  const exact = starts.map((first, place) => ({ first, last: (starts[place + 1] ?? EXACT + 1) - 1 }));
  const late = ARCHIVES.flatMap((build, place) => {
    const before = place ? ARCHIVES[place - 1] : EXACT;
    const unseen = { first: before + 1, last: build - 1, between: [before, build] };
    return [...(unseen.first > unseen.last ? [] : [unseen]), { first: build, last: build }];
  });
  return [...exact, ...late];
})();
const stretchOf = (build) => stretches.find(({ first, last }) => first <= build && build <= last);

/* What `look` finds at each build, as spans of builds that are alike. Between two archives that differ it is not known. */
function overTime(look, alike = (one, other) => one.state === other.state) {
  const seen = stretches.map((stretch) => (stretch.between ? null : look(stretch.first)));
  const spans = [];
  let last = null;
  stretches.forEach((stretch, place) => {
    const what = seen[place] ?? (alike(seen[place - 1], seen[place + 1]) ? seen[place - 1] : { state: "unknown" });
    const key = JSON.stringify(what);
    if (key === last) spans.at(-1).last = stretch.last;
    else spans.push({ first: stretch.first, last: stretch.last, ...what });
    last = key;
  });
  return spans;
}

/* An option at one build; not sure where it differs between the archives around it. */
function optionAt(option, build) {
  const { between } = stretchOf(build);
  const facts = factsAt(option, build);
  return { facts, sure: !between || JSON.stringify(facts) === JSON.stringify(factsAt(option, between[1])) };
}

/* One after the last life of an option is gone, not only absent. */
const stateAt = (option, build) => factsAt(option, build)?.state ?? (option.eras[0].first <= build ? "gone" : "absent");

const WORDS = {
  live: "live", deprecated: "deprecated", stub: "removed, a stub is left", gone: "removed", absent: "not there yet", unknown: "not known",
  accepted: "accepted", refused: "refused", ignored: "not read", doubtful: "cannot be told", value: "read as a value",
};
const SIGNS = { live: "", deprecated: "!", stub: "✗", gone: "", absent: "", unknown: "?", accepted: "✓", refused: "✗", ignored: "!", doubtful: "?", value: "!" };

function range({ first, last, state }) {
  if (state === "unknown") return `after b${first - 1}, by b${last + 1}`;
  if (first <= FIRST) return last >= LAST ? "every build" : `up to b${last}`;
  if (last >= LAST) return `from b${first} on`;
  return first === last ? `b${first}` : `b${first} to b${last}`;
}

const dateOf = (build) => data.commits[build]?.[0] ?? data.late_snapshots[build];
function pullRequest(number, sure = true) {
  return make("a", { href: `https://github.com/ggml-org/llama.cpp/pull/${number}`, target: "_blank", rel: "noreferrer" }, `#${number}${sure ? "" : " (likely)"}`);
}
/* Where something happened: a build, or a window, with what else is known of it. */
function placeOf({ b, after, pr = data.commits[b]?.[2], pr_sure: sure = true, reported }) {
  const date = dateOf(b);
  return [
    after ? `after b${after}, by b${b}` : `b${b}`,
    ...(date ? [` · ${after ? "by " : ""}${date}`] : []),
    ...(pr ? [" · ", pullRequest(pr, sure)] : []),
    ...(reported ? [` · seen at b${reported}`] : []),
  ];
}

/* The build that someone wrote, as b8955 or 8955; null where the data has none of that number. */
function buildOf(text) {
  const number = /^\s*b?(\d+)\s*$/.exec(text)?.[1];
  return number !== undefined && FIRST <= number && number <= LAST ? Number(number) : null;
}
