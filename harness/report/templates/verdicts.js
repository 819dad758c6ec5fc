/* What verdicts are called and mean. */
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

const count = (cells, status) => cells.reduce((sum, cell) => sum + (cell.status === status), 0);
const tally = (cells) => STATUSES.map((status) => [status, count(cells, status)]).filter(([, number]) => number)
  .map(([status, number]) => `${number} ${status}`).join(", ");
const worst = (cells) => STATUSES.find((status) => cells.some((cell) => cell.status === status));
const tag = (status, text = status) => make("span", { class: `tag ${status}`, title: MEANINGS[status] }, text);

/* What a cell says of itself: its parts stay on one line each. */
function label(cell) {
  const mark = MARKS[cell.status] ? `${MARKS[cell.status]}\u00a0` : "";
  const parts = BAD.has(cell.status) ? cell.label.split(" ") : cell.label.split(" + ").map((part, place) => (place ? `+ ${part}` : part));
  return parts.flatMap((part, place) => [place ? " " : "", make("span", { class: "word" }, (place ? "" : mark) + part.replaceAll(" ", "\u00a0"))]);
}
