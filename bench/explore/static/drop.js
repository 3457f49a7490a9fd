// The view that shows any image to the models.

import { changed, fresh } from "./address.js";
import { count, el } from "./dom.js";
import { neighbours, says } from "./panel.js";
import { Refusal, send } from "./server.js";

let file = null; // what was chosen last; it stays while the view is left and come back to
let networks = false;
let shown = null; // the address of the preview
let asking = null;

/** Return the view. */
export function showDrop(about) {
  const result = el("div", { id: "heard" });
  const status = el("p", { class: "soft", role: "status", id: "drop-status" });
  const again = () => file && hear(about, result, status);
  const input = el("input", {
    type: "file",
    id: "file",
    accept: "image/*",
    onchange: () => {
      if (!input.files.length) return;
      [file] = input.files;
      again();
    },
  });
  const more = el("input", {
    type: "checkbox",
    id: "networks",
    checked: networks,
    onchange: () => {
      networks = more.checked;
      again();
    },
  });
  const parts = [
    el("h2", {}, "Try an image"),
    el(
      "p",
      { class: "lead" },
      "Any image, treated just as those of the store. It stays on this computer.",
    ),
    el(
      "div",
      { class: "zone" },
      el("label", { for: "file" }, "Choose an image"),
      input,
      el("p", { class: "soft" }, `or drop one anywhere on this page; at most ${megabytes(about)}`),
    ),
    el(
      "p",
      { class: "check" },
      more,
      el("label", { for: "networks" }, "Ask the networks too: the first time they take seconds to load"),
    ),
    status,
    result,
  ];
  if (file) queueMicrotask(again);
  return { rows: [], says: "", parts };
}

/** Remember a file that was dropped; the view shows it when it is drawn. */
export function take(dropped) {
  file = dropped;
}

const megabytes = (about) => `${about.limits.most_bytes / 1e6} MB`;

async function hear(about, result, status) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const name = file.name;
  if (shown) URL.revokeObjectURL(shown);
  shown = URL.createObjectURL(file);
  result.replaceChildren();
  if (file.size > about.limits.most_bytes) {
    refuse(result, status, `${name} is larger than ${megabytes(about)}.`);
    return;
  }
  status.textContent = networks ? "Asking the models and the networks …" : "Asking the models …";
  try {
    const heard = await send(file, networks, signal);
    status.textContent = `Done: ${name}`;
    result.replaceChildren(...describe(about, heard, name));
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Refusal)) throw error;
    refuse(result, status, `${name} can't be used: ${error.message}`);
  }
}

function refuse(result, status, text) {
  status.textContent = "";
  result.replaceChildren(el("p", { class: "note", role: "alert" }, text));
}

function describe(about, heard, name) {
  const to = (row) => fresh({ view: "try", image: row });
  const size = `${count(heard.width)} × ${count(heard.height)} px, ${heard.format}, ${count(heard.bytes)} bytes`;
  const same =
    heard.row == null
      ? null
      : el(
          "p",
          {},
          "This very file is in the store: ",
          el("a", { href: changed({ image: heard.row }), "data-go": "panel" }, `image ${heard.row}`),
        );
  const unasked = heard.networks.length
    ? el("p", { class: "soft" }, `Not asked: ${heard.networks.join(", ")}.`)
    : null;
  return [
    el(
      "div",
      { class: "heard" },
      el(
        "figure",
        {},
        el("img", { src: shown, alt: `the image ${name}` }),
        el("figcaption", {}, el("b", {}, name), el("br"), size),
      ),
      el(
        "div",
        {},
        same,
        heard.models.length
          ? el("div", { class: "says" }, heard.models.map(says))
          : el("p", { class: "none" }, "There are no models that could be asked."),
        unasked,
      ),
    ),
    el("h3", {}, "Nearest neighbours in the store"),
    el("p", { class: "soft" }, `Cosine similarity of ${about.backbone}'s embeddings.`),
    neighbours(about, heard.neighbours, to),
  ];
}
