// The panel of one image: what is known of it, what models say, what is like it.

import { changed } from "./address.js";
import { count, el, odds, percent, picture, plural, strip } from "./dom.js";
import { ask } from "./server.js";

/**
 * Fill the panel, and then its neighbours.
 *
 * Of the actions, `show` is called when there is something to see, `move` goes to another image by
 * its row, and `close` away from it.
 */
export async function fillPanel(panel, about, row, rows, actions, signal) {
  const found = await ask(`/api/images/${encodeURIComponent(row)}`, {}, signal);
  const to = (other) => changed({ image: other });
  const near = el("div", {}, el("p", { class: "soft" }, "Looking for them …"));
  const held = document.activeElement?.dataset?.step; // so that pressing it again goes on
  panel.replaceChildren(
    head(found, rows, actions),
    el(
      "div",
      { class: "panel-body" },
      el("div", { class: "panel-image" }, ...pictures(about, found), facts(found)),
      el(
        "div",
        { class: "panel-rest" },
        models(about, found),
        el("h3", {}, "Nearest neighbours"),
        el("p", { class: "soft" }, `Cosine similarity of ${about.backbone}'s embeddings.`),
        near,
        duplicates(about, found.group, to),
      ),
    ),
  );
  actions.show();
  panel.scrollTop = 0;
  const button = held && panel.querySelector(`[data-step="${held}"]:enabled`);
  (button || panel.querySelector("#panel-title")).focus();
  const answer = await ask(`/api/images/${row}/neighbours`, {}, signal);
  near.replaceChildren(neighbours(about, answer.neighbours, to));
}

/** Return the nearest neighbours with their similarities. */
export function neighbours(about, images, to) {
  if (!images.length) return el("p", { class: "none" }, "There are no other images.");
  return strip(about, images, to, (image) => `${image.similarity.toFixed(3)} · ${image.split}`);
}

function head(found, rows, actions) {
  const here = rows.indexOf(found.row);
  const step = (by, text, name) => {
    const other = here < 0 ? undefined : rows[here + by];
    const label = `${name} on this page`;
    return el(
      "button",
      {
        type: "button",
        "aria-label": label,
        title: label,
        "data-step": by,
        disabled: other == null,
        onclick: () => actions.move(other),
      },
      text,
    );
  };
  return el(
    "div",
    { class: "panel-head" },
    el("h2", { id: "panel-title", tabindex: "-1" }, `Image ${found.row}: `, el("span", {}, found.label)),
    el(
      "div",
      { class: "buttons" },
      step(-1, "‹", "Previous image"),
      step(1, "›", "Next image"),
      el("button", { type: "button", class: "close", onclick: actions.close }, "Close"),
    ),
  );
}

function pictures(about, found) {
  const [least] = about.sizes;
  const size = about.sizes.at(-1);
  const alt = `image ${found.row}, label ${found.label}`;
  const parts = [picture(about, found.row, alt)];
  if (size !== least) {
    parts.push(
      el(
        "p",
        { class: "soft thumb" },
        picture(about, found.row, `the same at ${least} pixels a side`, least),
        `stored at ${about.sizes.join(" and ")} px`,
      ),
    );
  }
  return parts;
}

function facts(found) {
  const pairs = [
    ["Label", found.label + (found.weak ? " (weakly labelled)" : "")],
    ["Split", found.split],
    ["Votes", votes(found)],
    ["File", found.id],
    ["Named in", found.source],
    ["Size", `${count(found.width)} × ${count(found.height)} px, ${found.format}, ${count(found.bytes)} bytes`],
    ["SHA-256", found.sha256.slice(0, 16) + "…"],
    ["Group", group(found.group)],
  ];
  return el(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value)
      .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
  );
}

function votes(found) {
  return found.votes
    .map(({ label, share, agree, disagree }) => {
      const asked = agree + disagree;
      return `${label} ${percent(share)}` + (asked > 1 ? ` (${agree} of ${asked})` : "");
    })
    .join(", ");
}

function group({ number, total }) {
  if (number == null) return "";
  if (!total) return "no near-duplicates in the store";
  return `${number}, with ${plural(total, "near-duplicate", "near-duplicates")}`;
}

function models(about, found) {
  if (!about.models.length) return null;
  const parts = [el("h3", {}, "What the models say")];
  if (!found.models.length) {
    parts.push(el("p", { class: "none" }, "Predictions are kept of images of dev and test alone."));
    return el("div", {}, parts);
  }
  return el("div", {}, parts, el("div", { class: "says" }, found.models.map(says)));
}

/** Return what a model says of an image, as a card. */
export function says(model) {
  if (model.error) {
    return el("section", { class: "say" }, el("h4", {}, model.title), el("p", { class: "note" }, model.error));
  }
  const verdict = { true: "✓ right", false: "✗ wrong" }[model.right];
  const dev = model.dev == null ? "" : `, ${percent(model.dev)} on dev`;
  return el(
    "section",
    { class: "say" },
    el(
      "h4",
      {},
      model.title,
      verdict && el("span", { class: model.right ? "right" : "wrong" }, verdict),
    ),
    odds(model.probabilities, model.true),
    el("p", { class: "soft" }, `${model.variant}, seed ${model.seed}${dev}`),
  );
}

function duplicates(about, { total, images }, to) {
  if (!total) return null;
  const more = total - images.length;
  return el(
    "div",
    {},
    el("h3", {}, "Near-duplicates"),
    strip(about, images, to, (image) => image.split),
    more > 0 && el("p", { class: "soft" }, `and ${count(more)} more`),
  );
}
