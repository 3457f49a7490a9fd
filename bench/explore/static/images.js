// The view of images: filters, a grid, pages.

import { changed, fresh } from "./address.js";
import { choice, count, el, pager, percent, picture } from "./dom.js";
import { ask } from "./server.js";

const NARROW = matchMedia("(max-width: 46rem)");

/** Return the view, and an answer that says which images are on the page. */
export async function showImages(about, filters, go, signal) {
  const found = await ask("/api/images", filters, signal);
  const images = found.total === 1 ? "image" : "images";
  const says = `${count(found.total)} of ${count(found.of)} ${images}`;
  const to = (page) => changed({ page: page > 1 ? page : "", image: "" });
  return {
    rows: found.items.map((item) => item.row),
    says,
    parts: [
      el("h2", { class: "hidden" }, "Images"),
      filterForm(about, filters, go),
      el(
        "div",
        { class: "bar-of-counts" },
        el("p", { class: "count" }, says),
        pager(found.page, found.pages, to),
      ),
      found.items.length ? grid(about, filters, found.items) : nothing(found),
      pager(found.page, found.pages, to),
    ],
  };
}

function nothing(found) {
  const beyond = found.total ? "There is no such page." : "No image fits all of these filters.";
  return el(
    "p",
    { class: "none" },
    `${beyond} `,
    el("a", { href: "/", "data-go": true }, "Show all images"),
  );
}

function filterForm(about, filters, go) {
  const any = ["", "any"];
  const named = (list) => [any, ...list.map((o) => [o.name, `${o.name} (${count(o.count)})`])];
  const controls = [
    choice("label", "True label", named(about.labels), filters.label),
    choice("split", "Split", named(about.splits), filters.split),
  ];
  if (about.models.length) controls.push(...modelChoices(about, filters));
  const used = Object.entries(filters).filter(
    ([name, value]) => value && !["page", "model", "sort"].includes(name),
  ).length;
  const form = el(
    "form",
    {
      class: "filters",
      onsubmit: (event) => event.preventDefault(),
      onchange: (event) => {
        const asked = Object.fromEntries(new FormData(form));
        go(fresh({ ...asked, page: "" }), { focus: event.target.name });
      },
    },
    controls,
    used > 0 && el("a", { class: "clear", href: "/", "data-go": true }, "Clear filters"),
  );
  return el(
    "details",
    { class: "filter-box", open: !NARROW.matches || used > 0 },
    el("summary", {}, used ? `Filters (${used})` : "Filters"),
    form,
    !about.models.length && el("p", { class: "soft" }, "There are no predictions on this store."),
  );
}

function modelChoices(about, filters) {
  const models = about.models.map(({ key, title, dev }) => [
    key,
    dev == null ? title : `${title} (${percent(dev)} on dev)`,
  ]);
  models[0][0] = ""; // the best on dev, unless told
  const asked = filters.model === about.models[0].key ? "" : filters.model;
  const answers = [["", "any"], ...about.answers.map((name) => [name, name])];
  const found = [
    choice("model", "Model", models, asked),
    choice("predicted", "Predicts", answers, filters.predicted),
    choice("answer", "Prediction", [["", "any"], ["right", "right"], ["wrong", "wrong"]], filters.answer),
  ];
  const sorts = [["", "as stored"], ["surest", "surest first"], ["unsure", "least sure first"]];
  if (about.models.length > 1) {
    const all = [["", "any"], ["differ", "differ"], ["agree", "agree"]];
    found.push(choice("models", "Models", all, filters.models));
    sorts.push(["answers", "most different answers first"]);
  }
  found.push(choice("sort", "Order", sorts, filters.sort === "row" ? "" : filters.sort));
  return found;
}

function grid(about, filters, items) {
  const cards = items.map((item) => el("li", {}, card(about, filters, item)));
  return el("ul", { class: "grid", onkeydown: walk }, cards);
}

function card(about, filters, item) {
  const told = item.predicted != null;
  const lines = [el("b", { class: "line" }, item.label)];
  if (told) {
    const mark = item.right ? "✓" : "✗";
    lines.push(
      el(
        "span",
        { class: `line told ${item.right ? "right" : "wrong"}` },
        el("span", { "aria-hidden": "true" }, mark),
        el("span", { class: "hidden" }, item.right ? "rightly told " : "wrongly told "),
        el("span", { class: "word" }, item.predicted),
        el("span", { class: "number" }, `${Math.round(100 * item.sureness)} %`),
      ),
    );
  } else if (about.models.length) {
    lines.push(el("span", { class: "line soft" }, item.split));
  }
  const differ = item.answers > 1 && (filters.models === "differ" || filters.sort === "answers");
  if (differ) lines.push(el("span", { class: "line soft" }, `${item.answers} answers`));
  return el(
    "a",
    { class: "card", href: changed({ image: item.row }), "data-go": "panel", id: `row-${item.row}` },
    picture(about, item.row, `image ${item.row}`),
    lines,
  );
}

/** Arrow keys go from card to card. */
function walk(event) {
  const cards = [...event.currentTarget.querySelectorAll("a")];
  const here = cards.indexOf(document.activeElement);
  if (here < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  const top = cards[0].getBoundingClientRect().top;
  const beside = cards.findIndex((other) => other.getBoundingClientRect().top > top);
  const columns = beside < 0 ? cards.length : beside;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  const there = { Home: 0, End: cards.length - 1 }[event.key] ?? here + (steps[event.key] ?? NaN);
  if (!cards[there]) return;
  event.preventDefault();
  cards[there].focus();
}
