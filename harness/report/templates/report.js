"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const STATUSES = ["fail", "error", "flaky", "known", "degraded", "pass"];
  const BAD = new Set(["fail", "error", "flaky"]);
  const byId = (id) => document.getElementById(id);
  const unique = (items) => [...new Set(items)];

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

  const modeOf = (cell) => cell.request.mode ?? "unset";
  for (const run of data.runs) {
    for (const cell of run.cells) cell.haystack = JSON.stringify([cell.id, cell.argv, cell.checks, cell.failure, cell.reason, cell.short, cell.ledger, cell.attempts]).toLowerCase();
  }

  /* theme */
  const themes = ["auto", "light", "dark"];
  function setTheme(theme) {
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = `Theme: ${theme}`;
    try { localStorage.setItem("llama-harness-theme", theme); } catch { /* a file page may have no storage */ }
  }
  let stored = "auto";
  try { stored = localStorage.getItem("llama-harness-theme") ?? "auto"; } catch { /* as above */ }
  setTheme(themes.includes(stored) ? stored : "auto");
  byId("theme").addEventListener("click", () => setTheme(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length]));

  /* tabs */
  const tabs = [...document.querySelectorAll("[role=tab]")];
  function showTab(tab) {
    for (const other of tabs) {
      const on = other === tab;
      other.setAttribute("aria-selected", String(on));
      other.tabIndex = on ? 0 : -1;
      byId(other.getAttribute("aria-controls")).hidden = !on;
    }
  }
  tabs.forEach((tab, place) => {
    tab.addEventListener("click", () => showTab(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(place + step + tabs.length) % tabs.length];
      next.focus();
      showTab(next);
    });
  });

  /* filters */
  function fill(select, values, all) {
    select.replaceChildren(...(all ? [make("option", { value: "" }, all)] : []), ...values.map((value) => {
      const [key, name] = Array.isArray(value) ? value : [value, value];
      return make("option", { value: key }, name);
    }));
  }
  fill(byId("run"), data.runs.map((run, place) => [String(place), run.name]));
  byId("run-choice").hidden = data.runs.length < 2;
  for (const status of STATUSES) {
    const box = make("input", { type: "checkbox", id: `status-${status}`, value: status, checked: "" });
    byId("statuses").append(make("label", {}, box, make("span", { class: `tag ${status}` }, status)));
  }
  const statusBoxes = [...byId("statuses").querySelectorAll("input")];
  const cells = () => data.runs[Number(byId("run").value)].cells;
  function fillChoices() {
    fill(byId("subject"), unique(cells().map((cell) => cell.subject)), "all");
    fill(byId("environment"), unique(cells().map((cell) => cell.environment)), "all");
    fill(byId("mode"), unique(cells().map(modeOf)), "all");
    const present = new Set(cells().map((cell) => cell.status));
    for (const box of statusBoxes) box.parentElement.hidden = !present.has(box.value);
  }
  function chosen(cell) {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    return (!byId("subject").value || cell.subject === byId("subject").value)
      && (!byId("environment").value || cell.environment === byId("environment").value)
      && (!byId("mode").value || modeOf(cell) === byId("mode").value)
      && statusBoxes.some((box) => box.checked && box.value === cell.status)
      && words.every((word) => cell.haystack.includes(word));
  }

  /* heat map */
  let shown = [];
  function draw() {
    const visible = new Set(cells().filter(chosen));
    shown = [];
    const grids = byId("grids");
    grids.replaceChildren();
    for (const subject of unique(cells().map((cell) => cell.subject))) {
      for (const environment of unique(cells().map((cell) => cell.environment))) {
        const block = cells().filter((cell) => cell.subject === subject && cell.environment === environment);
        if (block.some((cell) => visible.has(cell))) grids.append(grid(subject, environment, block, visible));
      }
    }
    const counts = STATUSES.map((status) => [status, [...visible].filter((cell) => cell.status === status).length]).filter(([, count]) => count);
    byId("failures").hidden = !cells().some((cell) => BAD.has(cell.status));
    byId("summary").textContent = `${visible.size} of ${cells().length} cells` + (counts.length ? ": " + counts.map(([status, count]) => `${count} ${status}`).join(", ") : "");
  }
  function grid(subject, environment, block, visible) {
    const builds = unique(block.map((cell) => cell.build));
    const emulated = new Set(block.filter((cell) => cell.emulated).map((cell) => cell.build));
    const head = make("tr", {}, make("th", { scope: "col" }, "request"), ...builds.map((build) => make("th", { scope: "col", class: emulated.has(build) ? "emulated" : undefined }, build)));
    const body = make("tbody");
    for (const request of unique(block.map((cell) => cell.wish))) {
      const row = block.filter((cell) => cell.wish === request);
      if (!row.some((cell) => visible.has(cell))) continue;
      const tr = make("tr", {}, make("th", { scope: "row" }, request));
      for (const build of builds) {
        const cell = row.find((one) => one.build === build);
        if (!cell) { tr.append(make("td")); continue; }
        const on = visible.has(cell);
        const button = make("button", {
          type: "button", class: `cell ${cell.status}${on ? "" : " dim"}`, "data-id": cell.id,
          title: `${cell.id}: ${cell.status}`, "aria-label": `${cell.id}: ${cell.status}, ${cell.short}`, tabindex: "-1",
          onclick: () => openDetail(cell),
        }, ...label(cell));
        if (on) shown.push(cell);
        tr.append(make("td", {}, button));
      }
      body.append(tr);
    }
    const host = block.find((cell) => cell.host)?.host;
    const gpus = host?.gpus?.length ? host.gpus.map((gpu) => gpu.name).join(", ") : "no GPU";
    const table = make("table", { class: "grid" }, make("thead", {}, head), body);
    const first = table.querySelector(".cell:not(.dim)") ?? table.querySelector(".cell");
    if (first) first.tabIndex = 0;
    table.addEventListener("keydown", moveInGrid);
    return make("section", {}, make("h2", {}, `${subject} · ${environment} (${gpus})`), make("div", { class: "scroll" }, table));
  }
  const words = (text) => text.split(" ").flatMap((word, place) => [place ? " " : "", make("span", { class: "word" }, word)]);
  const label = (cell) => words(BAD.has(cell.status) ? `✗\u00a0${cell.label}` : cell.label);
  function moveInGrid(event) {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step || !event.target.classList.contains("cell")) return;
    event.preventDefault();
    const rows = [...event.currentTarget.tBodies[0].rows];
    const td = event.target.closest("td");
    let row = rows.indexOf(td.parentElement), column = td.cellIndex;
    do { row += step[0]; column += step[1]; } while (rows[row]?.cells[column] && !rows[row].cells[column].querySelector(".cell"));
    const next = rows[row]?.cells[column]?.querySelector(".cell");
    if (next) { event.target.tabIndex = -1; next.tabIndex = 0; next.focus(); }
  }

  /* detail */
  let current = null, among = [], opener = null;
  function openDetail(cell, neighbours = shown) {
    if (!byId("detail").open) opener = document.activeElement;
    current = cell;
    among = neighbours;
    byId("detail-title").replaceChildren(make("span", { class: `tag ${cell.status}` }, cell.status), ` ${cell.id}`);
    byId("detail-body").replaceChildren(...detail(cell));
    if (!byId("detail").open) byId("detail").showModal();
    history.replaceState(null, "", `#${encodeURIComponent(cell.id)}`);
  }
  function* detail(cell) {
    if (cell.emulated) yield make("p", {}, "This build is emulated: it is a server of the harness's own, not llama.cpp.");
    if (cell.ledger) yield make("p", {}, `Known: the ledger's entry ${cell.ledger}`);
    if (cell.attempts.length) {
      yield make("p", {}, "Run again alone, this cell came out otherwise; every try follows.");
      for (const [place, attempt] of cell.attempts.entries()) {
        yield make("section", { class: "attempt" }, make("h3", {}, `Try ${place + 1}: `, make("span", { class: `tag ${attempt.status}` }, attempt.status)), ...evidence(attempt));
      }
    } else yield* evidence(cell);
    yield make("h3", {}, "Run it alone");
    const copy = make("button", { type: "button", id: "copy", onclick: () => copyText(cell.repro, copy) }, "Copy");
    yield make("div", { class: "copy-row" }, make("pre", { id: "repro", tabindex: "0" }, cell.repro), copy);
    const started = cell.startup_ms === null ? "never healthy" : `healthy after ${cell.startup_ms.toFixed(0)} ms`;
    yield make("p", {}, `${started}; whole cell ${cell.wall_ms.toFixed(0)} ms`);
  }
  function* evidence(cell) {
    if (cell.failure) yield make("p", {}, make("strong", {}, cell.failure.kind), `: ${cell.failure.message}`);
    if (cell.reason) yield make("p", {}, `The subject says: ${cell.reason}`);
    yield make("h3", {}, "Command line");
    const offending = new Set(cell.offending);
    yield make("pre", { class: "argv" }, "llama-server", ...cell.argv.flatMap((word) => [" ", make(offending.has(word) ? "mark" : "span", { class: "word", title: offending.has(word) ? "offending" : undefined }, word)]));
    yield make("h3", {}, "Checks");
    yield make("div", { class: "scroll" }, make("table", { class: "facts" }, make("thead", {}, make("tr", {}, ...["", "check", "expected", "observed"].map((head) => make("th", { scope: "col" }, head)))),
      make("tbody", {}, ...[...cell.checks].sort((a, b) => a.ok - b.ok).map((check) => make("tr", { class: check.ok ? "" : "bad" },
        make("td", {}, check.ok ? "✓" : "✗"), make("td", {}, check.name), make("td", {}, check.expected), make("td", {}, check.observed, check.ok || !check.argument ? "" : make("div", {}, "blames ", make("code", {}, check.argument))))))));
    yield make("h3", {}, `Effective: ${cell.short}`);
    yield make("div", { class: "witnesses" }, ...cell.witnesses.map((witness) => {
      const supports = Object.entries(cell.witnessed_by).filter(([, names]) => names.includes(witness.witness)).map(([name]) => name);
      return make("div", { class: `witness${witness.speaks ? "" : " silent"}` }, make("h4", {}, `${witness.witness} (${witness.basis})`),
        witness.speaks ? witness.detail : "nothing to say on this build", supports.length ? make("div", {}, `supports ${supports.join(", ")}`) : "");
    }));
    if (cell.failure?.log_tail?.length) {
      yield make("h3", {}, "Log, last lines");
      yield make("pre", { tabindex: "0" }, cell.failure.log_tail.join("\n"));
    }
  }
  async function copyText(text, button) {
    try { await navigator.clipboard.writeText(text); }
    catch {
      /* A page opened from a file may not use the clipboard directly. */
      const area = make("textarea");
      area.value = text;
      byId("detail").append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    button.dataset.copied = text;
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }
  function step(by) {
    const next = among[among.indexOf(current) + by];
    if (next) openDetail(next, among);
  }
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => byId("detail").close());
  byId("detail").addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    const seen = byId("view-matrix").hidden ? null : byId("grids").querySelector(`.cell[data-id="${CSS.escape(current.id)}"]`);
    (seen ?? opener)?.focus();
  });

  /* comparison: two runs, or two subjects of one run */
  const sides = data.runs.flatMap((run, place) => unique(run.cells.map((cell) => cell.subject)).map((subject) => ({
    subject, name: data.runs.length > 1 ? `${run.name}: ${subject}` : subject, place, cells: data.runs[place].cells.filter((cell) => cell.subject === subject),
  })));
  fill(byId("left"), sides.map((side, place) => [String(place), side.name]));
  fill(byId("right"), sides.map((side, place) => [String(place), side.name]));
  const otherRun = sides.findIndex((side) => side.place === 1 && side.subject === sides[0]?.subject);
  byId("right").value = String(otherRun > 0 ? otherRun : Math.min(1, sides.length - 1));
  const keyOf = (cell) => `${cell.build} · ${cell.environment} · ${cell.wish}`;
  function normalised(cell) {
    /* Ports and the folders of models differ from run to run. */
    return cell.argv.map((word, place) => (cell.argv[place - 1] === "--port" ? "PORT" : word.endsWith(".gguf") ? word.split(/[\\/]/).pop() : word)).join(" ");
  }
  function compare() {
    if (!sides.length) return;
    const left = new Map(sides[Number(byId("left").value)].cells.map((cell) => [keyOf(cell), cell]));
    const right = new Map(sides[Number(byId("right").value)].cells.map((cell) => [keyOf(cell), cell]));
    const keys = unique([...left.keys(), ...right.keys()]);
    const rows = [], lonely = [], listed = [];
    let differing = 0;
    for (const key of keys) {
      const pair = [left.get(key), right.get(key)];
      const what = [];
      if (!pair[0] || !pair[1]) what.push("only on one side");
      else {
        if (pair[0].status !== pair[1].status) what.push("verdict");
        if (pair[0].short !== pair[1].short) what.push("effective state");
        if (normalised(pair[0]) !== normalised(pair[1])) what.push("command line");
      }
      if (pair.every(Boolean) && what.length) differing += 1;
      else if (byId("only-differences").checked) continue;
      listed.push(...pair.filter(Boolean));
      (pair.every(Boolean) ? rows : lonely).push(make("tr", {}, make("th", { scope: "row" }, key), ...pair.map((cell) => make("td", {}, cell
        ? make("button", { type: "button", class: `cell ${cell.status}`, onclick: () => openDetail(cell, listed) }, `${cell.status}: `, ...label(cell)) : "—")), make("td", {}, what.join(", ") || "same")));
    }
    const both = keys.filter((key) => left.has(key) && right.has(key)).length;
    byId("compare-summary").textContent = `${differing} of ${both} cells differ` + (keys.length > both ? `; ${keys.length - both} are only on one side` : "");
    byId("comparison").replaceChildren(make("table", { class: "grid" }, make("thead", {}, make("tr", {}, ...["cell", sides[Number(byId("left").value)].name, sides[Number(byId("right").value)].name, "what differs"].map((head) => make("th", { scope: "col" }, head)))), make("tbody", {}, ...rows, ...lonely)));
  }
  for (const id of ["left", "right", "only-differences"]) byId(id).addEventListener("change", compare);

  /* timeline */
  function timeline() {
    const { builds, flags } = data.timeline;
    byId("timeline").replaceChildren(make("table", { class: "grid" }, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "flag"), ...builds.map((build) => make("th", { scope: "col" }, build)))),
      make("tbody", {}, ...flags.map((life) => make("tr", {}, make("th", { scope: "row" }, make("code", {}, life.flag)), ...life.states.map((state) => make("td", {}, make("span", { class: `life ${state}`, title: state }, { offered: "✓", removed: "✗", unknown: "–" }[state]))))))));
  }

  /* keys */
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (byId("detail").open) {
      if (event.key === "j") step(1);
      if (event.key === "k") step(-1);
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") { event.preventDefault(); showTab(tabs[0]); byId("search").focus(); }
    if (event.key === "f") { showTab(tabs[0]); failuresOnly(); }
  });

  function failuresOnly() {
    for (const box of statusBoxes) box.checked = BAD.has(box.value);
    draw();
  }
  byId("failures").addEventListener("click", failuresOnly);
  byId("run").addEventListener("change", () => { fillChoices(); draw(); });
  byId("search").addEventListener("input", draw);
  for (const id of ["subject", "environment", "mode"]) byId(id).addEventListener("change", draw);
  byId("statuses").addEventListener("change", draw);
  byId("reset").addEventListener("click", () => {
    byId("search").value = "";
    for (const id of ["subject", "environment", "mode"]) byId(id).value = "";
    for (const box of statusBoxes) box.checked = true;
    draw();
  });
  fillChoices();
  draw();
  compare();
  timeline();
  const wanted = decodeURIComponent(location.hash.slice(1));
  const linked = cells().find((cell) => cell.id === wanted);
  if (linked) openDetail(linked);
})();
