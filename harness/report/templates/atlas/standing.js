/* A command line against every build: what each accepts of it, what it refuses, and what to write there instead.
   Judged by the atlas alone: flags, how many values, whole numbers and enumerated values. */
const RANK = ["accepted", "deprecated", "value", "doubtful", "refused"];
const worse = (one, other) => (RANK.indexOf(other.state) > RANK.indexOf(one.state) ? other : one);
const OFF = new Set(["off", "false", "0", "disabled"]);
const MOST = 2 ** 31;
const wholeNumber = (text) => {
  const found = /^\s*[+-]?\d+/.exec(text);
  return found !== null && -MOST <= Number(found[0]) && Number(found[0]) < MOST;
};
/* As harness/flags/standing.py has it, tried on the builds of the catalogue: an option with listed values takes no others. */
const TRUE_OR_FALSE = new Set(["on", "off", "true", "false", "1", "0", "enabled", "disabled"]);
const ALSO_TAKEN = { "--reasoning-format": ["deepseek-legacy"], "--numa": [""], "--tools": ["all"] };
/* Synonyms of on and off, where a placeholder names these; --flash-attn had others at first. */
function synonyms({ placeholder, values }, build) {
  if (placeholder === "FA") return ["enabled", "disabled"];
  if (!placeholder?.startsWith("[on|off")) return [];
  return ["1", "0", "enabled", "disabled", ...(values.includes("auto") ? ["-1"] : []), ...(build > WORDS_AFTER ? ["true", "false"] : [])];
}
const ANY_VALUE = new Set(["--chat-template"]);
const TOOLS_CHECKED = 9093;
/* What a shell, a template or an application puts something else in place of. */
const STANDS_FOR = /\$\w|\$\{|\{\w+\}|%\w+%/;

function judgeValue({ option, facts }, flag, text, build) {
  if (STANDS_FOR.test(text) || ANY_VALUE.has(option.id)) return null;
  if (facts.type === "int") return wholeNumber(text) ? null : { state: "refused", blame: flag, why: `takes a whole number, not ${quoted(text)}` };
  if (!facts.values.length) return null;
  if (isFlag(text) && rowsOf(text).length) return { state: "refused", blame: flag, why: `takes a value, and takes ${text} for it` };
  const numbers = facts.placeholder === "N" || facts.values.every((value) => value === "0" || value === "1");
  if ((numbers && wholeNumber(text)) || (option.id === "--tools" && build < TOOLS_CHECKED)) return null;
  const taken = new Set([...facts.values, ...(ALSO_TAKEN[option.id] ?? []), ...synonyms(facts, build)]);
  const parts = facts.placeholder === "LIST" || option.id === "--tools" ? text.split(",") : [text];
  const other = parts.find((part) => !taken.has(part));
  const inWindow = ["true", "false"].includes(text) && taken.has("enabled") && WORDS_AFTER < build && build < WORDS_SINCE;
  if (inWindow && other === undefined) return { state: "doubtful", blame: flag, why: `${quoted(text)} is taken from some build on after b${WORDS_AFTER}, by b${WORDS_SINCE}` };
  return other === undefined ? null : { state: "refused", blame: other, why: `does not take ${quoted(other)}; it takes ${facts.values.join(", ")}` };
}

function judge(known, flag, given, build) {
  const { facts, state } = known;
  if (given.length < facts.arity) return { state: "refused", blame: flag, why: `takes ${values(facts.arity)}` };
  for (const text of given) {
    const wrong = judgeValue(known, flag, text, build);
    if (wrong) return wrong;
  }
  if (facts.condition) return { state: "doubtful", blame: flag, why: `needs ${facts.condition} compiled in` };
  return state === "deprecated" ? { state, blame: flag } : { state: "accepted" };
}

function unknownFlag(flag, build) {
  const past = rowsOf(flag).findLast(([first]) => first <= build);
  if (past?.[4] === "stub") return "removed, a stub is left";
  return past ? "removed" : rowsOf(flag).length ? "not there yet" : "no build knows it";
}

/* A word that belongs to nothing. Where the flag before it takes more values on other builds, that is to blame. */
function leftOver(word, before) {
  if (!before) return { state: "refused", blame: word, why: `${quoted(word)} is no flag` };
  const { flag, facts, option } = before;
  const fewer = facts.arity && option.eras.some((era) => era.facts?.arity > facts.arity);
  return { state: "refused", blame: fewer ? flag : word, why: `${quoted(word)} is left over: ${flag} takes ${values(facts.arity)}` };
}

/* What a build makes of each word. After an unknown flag it reads on at the next one, to find more. */
function read(words, build) {
  const found = [];
  let place = 0, before = null;
  while (place < words.length) {
    const flag = words[place];
    const known = spelled(flag, build);
    if (!known || known.state === "stub") {
      found[place] = isFlag(flag) ? { state: "refused", blame: flag, why: unknownFlag(flag, build) } : leftOver(flag, before);
      place += 1;
      while (isFlag(flag) && place < words.length && !isFlag(words[place])) found[place++] = { state: "accepted" };
      continue;
    }
    const given = words.slice(place + 1, place + 1 + known.facts.arity);
    found[place] = judge(known, flag, given, build);
    given.forEach((text, nth) => { found[place + 1 + nth] = isFlag(text) ? { state: "value", blame: text, why: `taken for the value of ${flag}` } : { state: "accepted" }; });
    place += 1 + given.length;
    before = { ...known, flag };
  }
  return found;
}

/* Which options upstream, or we, name in place of each: the flags that came after it, and those before it. */
for (const option of options) {
  const named = unique(option.events.flatMap((event) => [event.use ?? [], event.replacement ?? [], event.renamed_to ?? []].flat()));
  option.successors = unique(named.flatMap((flag) => (flag.includes("*") ? [...spellings.keys()].filter((one) => new RegExp(`^${flag.replaceAll("*", ".+")}$`).test(one)) : [flag])));
}
for (const option of options) option.predecessors = options.filter((one) => one.successors.some((flag) => option.flags.includes(flag))).flatMap((one) => one.flags);

const isNegation = (flag) => flag.startsWith("--no-") || rowsOf(flag).some((row) => row[3] === "-");
const isLive = (flag, build) => ["live", "deprecated"].includes(spelled(flag, build)?.state);
/* What a switch says as the value of an option that took over from several: --mlock as mlock, --no-mmap as none. */
function valueOfSwitch(flag, taken) {
  const own = ownersOf(flag).flatMap((option) => option.flags).map((one) => one.replace(/^-+/, ""));
  const value = taken.find((one) => own.includes(one));
  if (!isNegation(flag)) return value;
  const usual = ownersOf(flag).flatMap((option) => option.eras).findLast((era) => era.facts?.default)?.facts.default;
  return value && usual === "on" ? taken.find((one) => one === "none") : undefined;
}
/* The words by which another flag says the same; null where it cannot. */
function translated(flag, given, other, build) {
  const { facts } = spelled(other, build);
  if (facts.arity === given.length) return [other, ...given];
  if (facts.arity === 1 && !given.length) {
    const value = valueOfSwitch(flag, facts.values);
    return value ? [other, value] : null;
  }
  if (facts.arity === 0 && given.length === 1) {
    const taken = ownersOf(flag).flatMap((option) => option.eras.flatMap((era) => era.facts?.values ?? []));
    return valueOfSwitch(other, taken) === given[0] ? [other] : null;
  }
  return null;
}
/* What stands for a flag on a build, as lists of words: its option's other spellings, else what came after or before it. */
function substitutes(flag, given, build, line) {
  const owners = ownersOf(flag);
  const same = owners.flatMap((option) => option.flags.filter((one) => isNegation(one) === isNegation(flag)));
  const named = owners.flatMap((option) => [...option.successors, ...option.predecessors]);
  for (const group of [same, named]) {
    const live = unique(group).filter((one) => one !== dashed(flag) && isLive(one, build));
    const byOption = unique(live.map((one) => spelled(one, build).option)).map((option) => live.filter((one) => spelled(one, build).option === option));
    const found = byOption.map((flags) => [...flags].sort((one, other) => other.length - one.length).map((one) => translated(flag, given, one, build)).find(Boolean)).filter(Boolean);
    if (found.length) return fitting(found, line);
  }
  return [];
}
/* Of several, those for the kind of speculation that the line asks for. */
function fitting(found, line) {
  const types = line.flatMap((word, place) => (word === "--spec-type" ? (line[place + 1] ?? "").split(",") : [])).filter((type) => type.startsWith("ngram"));
  const fit = found.filter(([flag]) => (types.length ? types.some((type) => flag.includes(`${type}-`)) : !flag.includes("ngram")));
  return fit.length ? fit : found;
}

const isAddress = (word) => /^\d+(\.\d+){3}$|^[\da-f]*:[\da-f:]+$/i.test(word);
/* A flag that differs from a live one only in its dashes, or in one or two letters. */
function nearest(flag, build) {
  const bare = flag.replace(/^-+/, "");
  const turned = (flag.startsWith("--") ? "-" : "--") + bare;
  if (isLive(turned, build)) return turned;
  if (bare.length < 5) return null;
  const live = [...spellings.keys()].filter((one) => isLive(one, build) && Math.abs(one.length - flag.length) < 3);
  const [best] = live.map((one) => [distance(flag, one), one]).sort(([one], [other]) => one - other);
  return best && best[0] <= 2 ? best[1] : null;
}
function distance(one, other) {
  let row = Array.from({ length: other.length + 1 }, (_, place) => place);
  for (let i = 1; i <= one.length; i += 1) {
    row = row.reduce((next, above, j) => [...next, j ? Math.min(above + 1, next[j - 1] + 1, row[j - 1] + (one[i - 1] === other[j - 1] ? 0 : 1)) : i], []);
  }
  return row[other.length];
}

/* What to write on a build in place of an argument that it does not take as it stands: lists of words; an empty one: leave it out. */
function rewrites([flag, ...given], found, build, line) {
  const [, name, value] = /^(--?[^=]+)=(.*)$/.exec(flag) ?? [];
  if (name && isLive(name, build)) return [[name, value, ...given]];
  const known = isLive(flag, build) ? spelled(flag, build) : null;
  if (!known) {
    const others = substitutes(flag, given, build, line);
    if (others.length) return others;
    if (!isFlag(flag)) return isAddress(flag) ? [["--host", flag]] : [[]];
    const near = rowsOf(flag).length ? null : nearest(flag, build);
    return [near ? [near, ...given] : []];
  }
  const { facts, option } = known;
  const [, number, next] = /^([^-\s].*?)(--?[A-Za-z][\w-]*)$/.exec(given[0] ?? "") ?? [];
  if (next && rowsOf(next).length) return [[flag, number, next, ...given.slice(1)]];
  if (known.state === "deprecated" && found.state === "deprecated") {
    const others = substitutes(flag, given, build, line);
    return others.length ? others : [[]];
  }
  if (given.length > facts.arity) {
    if (isAddress(found.blame)) return [[flag, ...given.filter((word) => word !== found.blame), "--host", found.blame]];
    if (!facts.arity && option.eras.some((era) => era.facts?.arity)) return [OFF.has(given[0]) ? [] : [flag]];
    if (facts.placeholder?.includes(":") && given.length === 2) return [[flag, given.join(":")]];
    return [[flag, ...given.slice(0, facts.arity)]];
  }
  const colon = given[0]?.lastIndexOf(":") ?? -1;
  if (given.length < facts.arity) {
    if (facts.values.includes("on")) return [[flag, "on"]];
    return given.length === 1 && colon > 0 ? [[flag, given[0].slice(0, colon), given[0].slice(colon + 1)]] : [];
  }
  for (const event of option.events.filter((one) => one.renamed)) {
    for (const [from, to] of Object.entries(event.renamed).flatMap(([old, young]) => [[old, young], [young, old]])) {
      if (found.blame === from && facts.values.includes(to)) return [[flag, given[0].split(",").map((part) => (part === from ? to : part)).join(",")]];
    }
  }
  return [];
}

/* Variables: read, ignored without a word, or stopping the start as a flag does. */
const readBy = (name, build) => {
  const negated = name.replace("LLAMA_ARG_NO_", "LLAMA_ARG_");
  for (const option of options) {
    const facts = factsAt(option, build);
    if (facts && (facts.env === name || (facts.negations.length && negated !== name && facts.env === negated))) return { option, facts, state: facts.state };
  }
  return null;
};
function readVariable([name, value], build) {
  const known = readBy(name, build);
  if (!known) return { state: "ignored", blame: name, why: "not read" };
  if (known.state === "stub") return { state: "refused", blame: name, why: "removed: set, it stops the start" };
  if (known.facts.type === "bool" && known.facts.env === name && !TRUE_OR_FALSE.has(value)) return { state: "refused", blame: name, why: `takes on or off, not ${quoted(value)}` };
  return judge(known, name, known.facts.arity ? [value] : [], build);
}
const readersOf = (name) => options.filter((option) => option.texts.some(({ text }) => text === name || text === name.replace("LLAMA_ARG_NO_", "LLAMA_ARG_")));
function variableInstead([name, value], build, line) {
  const owners = readersOf(name);
  const flags = owners.length ? owners.flatMap((option) => unique([option.id, ...option.flags])).filter((flag) => isNegation(flag) === name.includes("_NO_")) : [`--${name.replace(/^LLAMA_(ARG_)?/, "").toLowerCase().replaceAll("_", "-")}`];
  for (const flag of flags) {
    const [option] = ownersOf(flag);
    const given = option?.latest.arity ? [value] : [];
    const [words] = spelled(flag, build)?.state === "live" ? [[flag, ...given]] : substitutes(flag, given, build, line);
    if (!words) continue;
    const { env } = spelled(words[0], build).facts;
    const same = env && env !== name && isNegation(words[0]) === env.includes("_NO_");
    return same ? [`${env}=${quoted(words[1] ?? value)}`] : [words.map(quoted).join(" ")];
  }
  return [""];
}

/* The arguments as written: a flag with the words up to the next. */
function grouped(words) {
  const groups = [];
  words.forEach((word, place) => {
    if (!groups.length || isFlag(word)) groups.push({ first: place, words: [] });
    groups.at(-1).words.push(word);
  });
  return groups;
}

/* Each argument and variable over all builds, and the whole line. */
function standing({ words, variables: all }) {
  const variables = all.filter(([name]) => name.startsWith("LLAMA_") || readersOf(name).length);
  const groups = grouped(words);
  const seen = new Map();
  const at = (build) => {
    if (!seen.has(build)) {
      const found = read(words, build);
      const ofGroups = groups.map((group) => {
        const worst = group.words.map((_, nth) => found[group.first + nth]).reduce(worse);
        if (["accepted", "value"].includes(worst.state)) return worst;
        return { ...worst, instead: rewrites(group.words, worst, build, words).map((one) => one.map(quoted).join(" ")) };
      });
      const ofVariables = variables.map((variable) => {
        const one = readVariable(variable, build);
        if (["accepted", "doubtful"].includes(one.state)) return one;
        const wrongValue = one.state === "refused" && readBy(variable[0], build).state !== "stub";
        return { ...one, instead: wrongValue ? [""] : variableInstead(variable, build, words) };
      });
      seen.set(build, [...ofGroups, ...ofVariables]);
    }
    return seen.get(build);
  };
  const whole = (build) => {
    const all = at(build);
    const refused = all.flatMap((one, place) => (one.state === "refused" ? [place] : []));
    const blamed = unique(refused.map((place) => all[place].blame));
    if (refused.length) return { state: "refused", refused, blame: blamed.join(" "), why: blamed.map(quoted).join(", ") };
    const doubtful = unique(all.filter((one) => one.state === "doubtful").map((one) => one.blame));
    return doubtful.length ? { state: "doubtful", blame: doubtful.join(" "), why: doubtful.map(quoted).join(", ") } : { state: "accepted" };
  };
  const alike = (one, other) => one.state === other.state && (one.state !== "refused" || one.refused.some((place) => other.refused.includes(place)));
  const rows = [
    ...groups.map((group) => ({ text: group.words.map(quoted).join(" "), owners: ownersOf(group.words[0].split("=")[0]) })),
    ...variables.map(([name, value]) => ({ text: `${name}=${quoted(value)}`, owners: readersOf(name) })),
  ];
  return {
    whole: overTime(whole, alike),
    rows: rows.map((row, place) => ({ ...row, spans: overTime((build) => at(build)[place]) })),
  };
}
