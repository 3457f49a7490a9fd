// The view of the records that are not in the data.

import { changed, fresh } from "./address.js";
import { choice, count, el, pager, plural } from "./dom.js";
import { ask } from "./server.js";

const COLUMNS = [
  ["Kind", "kind"],
  ["Record", "id"],
  ["Named in", "source"],
  ["What happened", "detail"],
  ["What to do", "advice"],
];

/** Return the view. */
export async function showFailed(about, kind, page, go, signal) {
  const found = await ask("/api/failed", { kind, page }, signal);
  const says = `${count(found.total)} of ${plural(found.of, "record", "records")}`;
  const to = (number) => changed({ page: number > 1 ? number : "" });
  return {
    rows: [],
    says,
    parts: [
      el("h2", {}, "Failed records"),
      el(
        "p",
        { class: "lead" },
        "Every record that the source named and that is not in the data, with why and what can be done. ",
        "Those left out on purpose are shown when they are chosen.",
      ),
      kinds(about, kind, go),
      el("div", { class: "bar-of-counts" }, el("p", { class: "count" }, says), pager(found.page, found.pages, to)),
      found.records.length ? table(found.records) : nothing(found),
      pager(found.page, found.pages, to),
    ],
  };
}

function nothing(found) {
  return el("p", { class: "none" }, found.total ? "There is no such page." : "No record failed.");
}

function kinds(about, kind, go) {
  const options = (status) =>
    about.kinds
      .filter((found) => found.status === status)
      .map((found) => [found.kind, `${found.kind} (${count(found.count)})`]);
  const failed = about.kinds
    .filter((found) => found.status === "failed")
    .reduce((sum, found) => sum + found.count, 0);
  const parts = [["", `every failure (${count(failed)})`], ...options("failed")];
  const leftOut = options("left_out");
  if (leftOut.length) parts.push({ group: "left out on purpose", options: leftOut });
  const change = (event) => go(fresh({ view: "failed", kind: event.target.value }), { focus: "kind" });
  return el(
    "form",
    { class: "filters", onsubmit: (event) => event.preventDefault() },
    choice("kind", "Kind", parts, kind, { onchange: change }),
  );
}

// Roles are named because narrow screens show the rows as blocks, and browsers would then forget
// that this is a table.
function table(records) {
  const columns = COLUMNS.filter(([, key]) => records.some((record) => record[key]));
  const head = columns.map(([name]) => el("th", { scope: "col", role: "columnheader" }, name));
  const cell = (record, [name, key]) =>
    el(
      "td",
      { role: "cell", class: record[key] ? key : "empty" },
      el("span", { class: "name", "aria-hidden": "true" }, name),
      el("span", {}, record[key]),
    );
  const rows = records.map((record) =>
    el("tr", { role: "row" }, columns.map((column) => cell(record, column))),
  );
  return el(
    "table",
    { role: "table", class: "records" },
    el("caption", { class: "hidden" }, "Failed records"),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, head)),
    el("tbody", { role: "rowgroup" }, rows),
  );
}
