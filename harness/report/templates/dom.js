const data = JSON.parse(document.getElementById("data").textContent);
const STATUSES = ["fail", "error", "flaky", "known", "degraded", "pass"];
const BAD = new Set(["fail", "error", "flaky"]);
const MARKS = { fail: "✗", error: "!", flaky: "±", known: "≡", degraded: "↓", pass: "" };
const MEANINGS = {
  fail: "a check does not hold",
  error: "the harness could not tell",
  flaky: "run again alone, it came out otherwise",
  known: "it fails as the ledger says",
  degraded: "the build or the model cannot do it, and the subject said so",
  pass: "the server started and does what was asked",
};

const byId = (id) => document.getElementById(id);
const unique = (items) => [...new Set(items)];
const count = (cells, status) => cells.reduce((sum, cell) => sum + (cell.status === status), 0);
const tally = (cells) => STATUSES.map((status) => [status, count(cells, status)]).filter(([, number]) => number)
  .map(([status, number]) => `${number} ${status}`).join(", ");
const worst = (cells) => STATUSES.find((status) => cells.some((cell) => cell.status === status));

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const tag = (status, text = status) => make("span", { class: `tag ${status}`, title: MEANINGS[status] }, text);
const headRow = (names) => make("thead", {}, make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name))));

function fill(select, values, all) {
  const chosen = select.value;
  select.replaceChildren(...(all ? [make("option", { value: "" }, all)] : []), ...values.map((value) => {
    const [key, name] = Array.isArray(value) ? value : [value, value];
    return make("option", { value: key }, name);
  }));
  if ([...select.options].some((option) => option.value === chosen)) select.value = chosen;
}

/* What a cell says of itself: its parts stay on one line each. */
function label(cell) {
  const mark = MARKS[cell.status] ? `${MARKS[cell.status]}\u00a0` : "";
  const parts = BAD.has(cell.status) ? cell.label.split(" ") : cell.label.split(" + ").map((part, place) => (place ? `+ ${part}` : part));
  return parts.flatMap((part, place) => [place ? " " : "", make("span", { class: "word" }, (place ? "" : mark) + part.replaceAll(" ", "\u00a0"))]);
}
