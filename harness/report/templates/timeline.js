const SIGNS = { offered: "✓", removed: "✗", unknown: "" };
onFirstShow.set("tab-timeline", () => {
  const { builds, flags } = data.timeline;
  const bar = (states) => states.map((state, place) => make("td", {}, make("span", {
    class: ["life", state, state === states[place - 1] ? "" : "starts", state === states[place + 1] ? "" : "ends"].join(" "),
    title: state, "aria-label": `${builds[place]}: ${state}`, role: "img",
  }, SIGNS[state])));
  byId("timeline").replaceChildren(make("table", { class: "grid lives" }, headRow(["flag", ...builds]),
    make("tbody", {}, ...flags.map((life) => make("tr", {}, make("th", { scope: "row" }, make("code", {}, life.flag)), ...bar(life.states))))));
});
