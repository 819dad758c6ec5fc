/* Grids are made once for a run; filters then only show and hide. */
const modeOf = (cell) => cell.request.mode ?? "unset";
const haystack = (cell) => cell.haystack ??= JSON.stringify([cell.id, cell.argv, cell.checks, cell.failure, cell.reason, cell.short, cell.ledger, cell.attempts]).toLowerCase();
const cells = () => data.runs[Number(byId("run").value)].cells;
const SELECTS = { subject: (cell) => cell.subject, environment: (cell) => cell.environment, build: (cell) => cell.build, mode: modeOf };
let blocks = [], shown = [];

fill(byId("run"), data.runs.map((run, place) => [String(place), run.name]));
byId("run-choice").hidden = data.runs.length < 2;
const statusBoxes = STATUSES.map((status) => {
  const box = make("input", { type: "checkbox", id: `status-${status}`, value: status, checked: "" });
  byId("statuses").append(make("label", { title: MEANINGS[status] }, box, make("span", { class: `tag ${status}` }, status), make("span", { class: "number" })));
  return box;
});

function openRun() {
  for (const [id, of] of Object.entries(SELECTS)) fill(byId(id), unique(cells().map(of)), "all");
  for (const box of statusBoxes) {
    const number = count(cells(), box.value);
    box.parentElement.hidden = !number;
    box.parentElement.querySelector(".number").textContent = number;
  }
  byId("failures").hidden = !cells().some((cell) => BAD.has(cell.status));
  const grouped = new Map();
  for (const cell of cells()) {
    const key = JSON.stringify([cell.subject, cell.environment]);
    if (!grouped.has(key)) grouped.set(key, []);
    grouped.get(key).push(cell);
  }
  blocks = [...grouped.values()].map(block);
  byId("overview").replaceChildren(...(blocks.length > 1 ? [overview()] : []));
  byId("grids").replaceChildren(...blocks.map((one) => one.section));
  filter();
}

function block(members) {
  const { subject, environment } = members[0];
  const builds = unique(members.map((cell) => cell.build));
  const emulated = new Set(members.filter((cell) => cell.emulated).map((cell) => cell.build));
  const models = new Map();
  for (const cell of members) {
    const { model } = cell.request;
    if (!models.has(model)) models.set(model, new Map());
    const wishes = models.get(model);
    if (!wishes.has(cell.wish)) wishes.set(cell.wish, new Map());
    wishes.get(cell.wish).set(cell.build, cell);
  }
  const bodies = [...models].map(([model, wishes]) => {
    const rows = [...wishes].map(([wish, row]) => ({
      cells: [...row.values()],
      tr: make("tr", {}, rowHead(wish, model), ...builds.map((build) => make("td", {}, ...(row.has(build) ? [button(row.get(build))] : [])))),
    }));
    const body = make("tbody", {}, make("tr", { class: "group" }, make("th", { scope: "rowgroup", colspan: builds.length + 1 }, model)), ...rows.map((row) => row.tr));
    return { body, rows };
  });
  const head = make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "request"), ...builds.map((build) => make("th", { scope: "col", class: emulated.has(build) ? "emulated" : undefined }, build))));
  const table = make("table", { class: "grid" }, head, ...bodies.map((one) => one.body));
  table.addEventListener("keydown", moveInGrid);
  const host = members.find((cell) => cell.host)?.host;
  const gpus = host?.gpus?.length ? host.gpus.map((gpu) => gpu.name).join(", ") : "no GPU";
  const section = make("section", {}, make("h2", {}, `${subject} · ${environment} `, make("span", { class: "quiet" }, `(${gpus})`)), make("div", { class: "scroll" }, table));
  return { subject, environment, builds, members, bodies, section, table };
}

/* The mode and length of a request; its model stands above the rows. */
function rowHead(wish, model) {
  const [mode, ...rest] = wish.split(" ").filter((word) => word !== model);
  return make("th", { scope: "row" }, make("strong", {}, mode), ` ${rest.join(" ")}`);
}

function button(cell) {
  cell.button = make("button", {
    type: "button", class: `cell ${cell.status}${cell.remembered ? " remembered" : ""}`, "data-id": cell.id, title: `${cell.id}: ${cell.status}${cell.remembered ? `, remembered, found ${cell.remembered}` : ""}`,
    "aria-label": `${cell.id}: ${cell.status}, ${cell.short}${cell.remembered ? ", remembered" : ""}`, tabindex: "-1", onclick: () => openDetail(cell),
  }, ...label(cell));
  return cell.button;
}

/* A field for each block and build: how much of it is bad. A click filters to it. */
function overview() {
  const builds = unique(blocks.flatMap((one) => one.builds));
  const rows = blocks.map((one) => make("tr", {}, make("th", { scope: "row" }, make("strong", {}, one.subject), ` ${one.environment}`), ...builds.map((build) => {
    const here = one.members.filter((cell) => cell.build === build);
    if (!here.length) return make("td");
    const bad = here.filter((cell) => BAD.has(cell.status)).length;
    const status = bad ? worst(here) : count(here, "pass") ? "pass" : worst(here);
    return make("td", {}, make("button", {
      type: "button", class: `cell ${status}`, "aria-pressed": "false", title: `${one.subject}, ${one.environment}, ${build}: ${tally(here)}`,
      "data-subject": one.subject, "data-environment": one.environment, "data-build": build, onclick: focusOn,
    }, bad ? `${MARKS[status]}\u00a0${bad} of ${here.length}` : `✓\u00a0${here.length}`));
  })));
  return make("table", { class: "grid" }, headRow(["bad cells", ...builds]), make("tbody", {}, ...rows));
}
function focusOn(event) {
  const on = event.currentTarget.getAttribute("aria-pressed") !== "true";
  for (const id of ["subject", "environment", "build"]) byId(id).value = on ? event.currentTarget.dataset[id] : "";
  filter();
}

function filter() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = Object.entries(SELECTS).map(([id, of]) => [byId(id).value, of]).filter(([value]) => value);
  const statuses = new Set(statusBoxes.filter((box) => box.checked).map((box) => box.value));
  const chosen = (cell) => statuses.has(cell.status) && wanted.every(([value, of]) => of(cell) === value) && words.every((word) => haystack(cell).includes(word));
  const visible = [];
  for (const one of blocks) {
    let first = null;
    for (const { body, rows } of one.bodies) {
      let some = false;
      for (const row of rows) {
        const on = row.cells.filter(chosen);
        row.tr.hidden = !on.length;
        some ||= on.length > 0;
        const lit = new Set(on);
        for (const cell of row.cells) {
          cell.button.classList.toggle("dim", !lit.has(cell));
          cell.button.tabIndex = -1;
        }
        first ??= on[0] ?? null;
        for (const cell of on) visible.push(cell);
      }
      body.hidden = !some;
    }
    if (first) first.button.tabIndex = 0;
    one.section.hidden = !first;
    showColumns(one, byId("build").value);
  }
  shown = visible;
  const bad = STATUSES.filter((status) => BAD.has(status));
  byId("failures").setAttribute("aria-pressed", String(statusBoxes.every((box) => box.checked === bad.includes(box.value))));
  for (const field of byId("overview").querySelectorAll("button")) {
    field.setAttribute("aria-pressed", String(["subject", "environment", "build"].every((id) => byId(id).value === field.dataset[id])));
  }
  byId("summary").textContent = `${visible.length} of ${cells().length} cells${visible.length ? ": " : ""}${tally(visible)}`;
}

function showColumns(one, only) {
  if (one.only === only) return;
  one.only = only;
  for (const tr of one.table.querySelectorAll("tr:not(.group)")) {
    for (const [place, build] of one.builds.entries()) tr.cells[place + 1].hidden = Boolean(only) && build !== only;
  }
}

function moveInGrid(event) {
  const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
  if (!step || !event.target.classList.contains("cell")) return;
  event.preventDefault();
  const rows = [...event.currentTarget.querySelectorAll("tbody:not([hidden]) > tr:not([hidden]):not(.group)")];
  const td = event.target.closest("td");
  let row = rows.indexOf(td.parentElement), column = td.cellIndex;
  do { row += step[0]; column += step[1]; } while (rows[row]?.cells[column] && !rows[row].cells[column].querySelector(".cell"));
  const next = rows[row]?.cells[column]?.querySelector(".cell");
  if (next) { event.target.tabIndex = -1; next.tabIndex = 0; next.focus(); }
}

function failuresOnly() {
  const already = byId("failures").getAttribute("aria-pressed") === "true";
  for (const box of statusBoxes) box.checked = already || BAD.has(box.value);
  filter();
}
byId("failures").addEventListener("click", failuresOnly);
byId("run").addEventListener("change", openRun);
byId("search").addEventListener("input", filter);
for (const id of Object.keys(SELECTS)) byId(id).addEventListener("change", filter);
byId("statuses").addEventListener("change", filter);
byId("reset").addEventListener("click", () => {
  byId("search").value = "";
  for (const id of Object.keys(SELECTS)) byId(id).value = "";
  for (const box of statusBoxes) box.checked = true;
  filter();
});

/* On a phone the choices are folded away. */
const narrow = matchMedia("(max-width: 40rem)");
const fold = () => { byId("more").open = !narrow.matches; };
narrow.addEventListener("change", fold);
fold();
