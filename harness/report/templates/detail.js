const detailTitle = (cell) => [tag(cell.status), ` ${cell.id}`];
function* detail(cell) {
  yield make("p", {}, "Asked for ", make("strong", {}, cell.wish), `; effective: ${cell.short === "?" ? "nothing was seen" : cell.short}. ${MEANINGS[cell.status][0].toUpperCase()}${MEANINGS[cell.status].slice(1)}.`);
  if (cell.emulated) yield make("p", {}, "This build is emulated: it is a server of the harness's own, not llama.cpp.");
  if (cell.remembered) yield make("p", {}, `Remembered: an earlier run found this, ${cell.remembered}; nothing was launched for it now.`);
  if (cell.ledger) yield make("p", {}, `Known: the ledger's entry ${cell.ledger}`);
  yield make("h3", {}, "Run it alone");
  const copy = make("button", { type: "button", id: "copy", onclick: () => copyText(cell.repro, copy) }, "Copy");
  yield make("div", { class: "copy-row" }, make("pre", { id: "repro", tabindex: "0" }, cell.repro), copy);
  if (cell.attempts.length) {
    yield make("p", {}, "Run again alone, this cell came out otherwise; every try follows.");
    for (const [place, attempt] of cell.attempts.entries()) {
      yield make("section", { class: "attempt" }, make("h3", {}, `Try ${place + 1}: `, tag(attempt.status)), ...evidence(attempt));
    }
  } else yield* evidence(cell);
  const started = cell.startup_ms === null ? "never healthy" : `healthy after ${cell.startup_ms.toFixed(0)} ms`;
  yield make("p", { class: "quiet" }, `${started}; whole cell ${cell.wall_ms.toFixed(0)} ms`);
}
function* evidence(cell) {
  if (cell.failure) yield make("p", {}, make("strong", {}, cell.failure.kind), `: ${cell.failure.message}`);
  if (cell.reason) yield make("p", {}, `The subject says: ${cell.reason}`);
  yield make("h3", {}, "Command line");
  const offending = new Set(cell.offending);
  yield make("pre", { class: "argv", tabindex: "0" }, "llama-server", ...cell.argv.flatMap((word) => [" ", make(offending.has(word) ? "mark" : "span", { class: "word", title: offending.has(word) ? "offending" : undefined }, word)]));
  if (cell.checks.length) {
    yield make("h3", {}, "Checks");
    yield make("div", { class: "scroll" }, make("table", { class: "facts" }, headRow(["", "check", "expected", "observed"]),
      make("tbody", {}, ...[...cell.checks].sort((a, b) => a.ok - b.ok).map((check) => make("tr", { class: check.ok ? "" : "bad" },
        make("td", {}, check.ok ? "✓" : "✗"), make("td", {}, check.name), make("td", {}, check.expected), make("td", {}, check.observed, check.ok || !check.argument ? "" : make("div", {}, "blames ", make("code", {}, check.argument))))))));
  }
  if (cell.witnesses.length) {
    yield make("h3", {}, "Witnesses");
    yield make("div", { class: "witnesses" }, ...[...cell.witnesses].sort((a, b) => b.speaks - a.speaks).map((witness) => {
      const drafts = Object.keys(cell.effective?.speculation ?? {});
      const of = witness.setting === "speculation" ? drafts : [witness.setting];
      const supports = of.filter((name) => (cell.witnessed_by[name] ?? []).includes(witness.witness));
      return make("div", { class: `witness${witness.speaks ? "" : " silent"}` }, make("h4", {}, witness.witness, make("span", { class: "quiet" }, ` ${witness.basis}`)),
        witness.speaks ? witness.detail : "nothing to say on this build", supports.length ? make("div", { class: "supports" }, `supports ${supports.join(", ")}`) : "");
    }));
  }
  const settings = Object.entries(cell.effective ?? {}).filter(([name]) => name !== "speculation");
  if (settings.length) {
    const asked = new Set(cell.witnesses.map((witness) => witness.setting));
    settings.sort(([one], [other]) => asked.has(other) - asked.has(one));
    yield make("h3", {}, "Settings");
    yield make("details", { class: "settings" }, make("summary", {}, `${settings.length} settings are told`),
      make("div", { class: "scroll" }, make("table", { class: "facts" }, headRow(["setting", "effective", "told by"]),
        make("tbody", {}, ...settings.map(([name, value]) => make("tr", {}, make("td", {}, asked.has(name) ? make("strong", {}, name) : name),
          make("td", {}, typeof value === "object" ? JSON.stringify(value) : String(value)), make("td", {}, (cell.witnessed_by[name] ?? []).join(", "))))))));
  }
  for (const [heading, remarks] of [["Without effect", cell.silent], ["Left out", cell.left_out]]) {
    if (remarks.length) {
      yield make("h3", {}, heading);
      yield make("ul", {}, ...remarks.map((one) => make("li", {}, one.why)));
    }
  }
  if (cell.not_seen.length) yield make("p", {}, `Asked for, and nothing tells: ${cell.not_seen.join(", ")}`);
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
