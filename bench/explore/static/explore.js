// Shows what the address asks for, and changes the address.

import { changed, fresh, read } from "./address.js";
import { count, el, plural } from "./dom.js";
import { showDrop, take } from "./drop.js";
import { showFailed } from "./failed.js";
import { showImages } from "./images.js";
import { fillPanel } from "./panel.js";
import { ask, Refusal } from "./server.js";

const main = document.getElementById("found");
const panel = document.getElementById("panel");
const dropHere = document.getElementById("drop-here");
// Read aloud when it changes; the count in the page is drawn anew each time and would not be.
const aloud = el("p", { class: "hidden", role: "status", id: "aloud" });
document.body.append(aloud);

let about = null;
let rows = []; // the images of the page, in order
let drawn = null; // what the main part shows
let drawing = new AbortController();
let filling = new AbortController();

/** Go to an address of this page. Steps into the panel are counted, so that closing it is one. */
function go(address, { replace = false, depth = 0, focus = "" } = {}) {
  if (replace) history.replaceState({ depth }, "", address);
  else history.pushState({ depth }, "", address);
  draw({ focus, scroll: !focus && depth === 0 });
}

async function draw({ focus = "", scroll = false } = {}) {
  const asked = read();
  views(asked.view);
  await Promise.all([drawMain(asked, focus, scroll), drawPanel(asked)]);
}

async function drawMain(asked, focus, scroll) {
  const { image, ...rest } = asked;
  const key = JSON.stringify(rest);
  if (key === drawn && !focus) return;
  drawn = key;
  drawing.abort();
  drawing = new AbortController();
  const { signal } = drawing;
  main.setAttribute("aria-busy", "true");
  try {
    const view = await {
      images: () => showImages(about, asked.filters, go, signal),
      failed: () => showFailed(about, asked.kind, asked.filters.page, go, signal),
      try: () => showDrop(about),
    }[asked.view]();
    if (signal.aborted) return;
    rows = view.rows;
    main.replaceChildren(...view.parts.filter(Boolean));
    aloud.textContent = view.says;
    if (focus) main.querySelector(`[name="${focus}"]`)?.focus();
    if (scroll) window.scrollTo(0, Math.min(window.scrollY, main.offsetTop));
  } catch (error) {
    if (error.name === "AbortError") return;
    drawn = null; // the same address may be tried again
    main.replaceChildren(complaint(error));
  } finally {
    if (!signal.aborted) main.removeAttribute("aria-busy");
  }
}

async function drawPanel({ image }) {
  filling.abort();
  filling = new AbortController();
  if (image === "") {
    if (panel.open) panel.close();
    return;
  }
  const { signal } = filling;
  const depth = history.state?.depth ?? 0;
  const actions = {
    show: () => panel.open || panel.showModal(),
    move: (row) => go(changed({ image: row }), { replace: true, depth }),
    close: leavePanel,
  };
  try {
    await fillPanel(panel, about, image, rows, actions, signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    const close = el("button", { type: "button", onclick: leavePanel }, "Close");
    const title = el("h2", { id: "panel-title" }, "No image");
    const body = el("div", { class: "panel-error" }, complaint(error));
    panel.replaceChildren(el("div", { class: "panel-head" }, title, close), body);
    actions.show();
  }
}

function leavePanel() {
  const depth = history.state?.depth ?? 0;
  if (depth) history.go(-depth);
  else go(changed({ image: "" }), { depth: 0 });
}

function complaint(error) {
  if (!(error instanceof Refusal)) console.error(error);
  return el("p", { class: "note", role: "alert" }, String(error.message));
}

function views(now) {
  const failed = about.kinds
    .filter(({ status }) => status === "failed")
    .reduce((sum, kind) => sum + kind.count, 0);
  const links = [
    ["images", "Images", fresh({})],
    ["failed", `Failed records (${count(failed)})`, fresh({ view: "failed" })],
    ["try", "Try an image", fresh({ view: "try" })],
  ].map(([view, text, address]) =>
    el("li", {}, el("a", { href: address, "data-go": true, "aria-current": view === now ? "page" : null }, text)),
  );
  document.getElementById("views").replaceChildren(...links);
}

function introduce() {
  document.title = `${about.title} · bench explore`;
  document.getElementById("title").textContent = about.title;
  const parts = [
    about.store,
    plural(about.images, "image", "images"),
    plural(about.labels.length, "label", "labels"),
    about.results ? `${plural(about.models.length, "model", "models")} in ${about.results}` : "no results",
  ];
  document.getElementById("summary").textContent = parts.join(" · ");
  const note = document.getElementById("note");
  note.textContent = about.note;
  note.hidden = !about.note;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-go]");
  const wanted = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (!link || !wanted || event.defaultPrevented) return;
  event.preventDefault();
  const deeper = link.dataset.go === "panel" ? (history.state?.depth ?? 0) + 1 : 0;
  // Inside a panel that an address opened, there is no page below to go back to.
  const inside = deeper === 1 && panel.open;
  go(link.getAttribute("href"), { depth: inside ? 0 : deeper });
});

panel.addEventListener("cancel", (event) => {
  event.preventDefault(); // Escape changes the address, and the address closes the panel
  leavePanel();
});
// A second Escape closes it whatever we say.
panel.addEventListener("close", () => read().image !== "" && leavePanel());
panel.addEventListener("click", (event) => {
  if (event.target === panel) leavePanel(); // beside the panel
});
panel.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const here = rows.indexOf(Number(read().image));
  const other = by && here >= 0 ? rows[here + by] : undefined;
  if (other == null || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  go(changed({ image: other }), { replace: true, depth: history.state?.depth ?? 0 });
});
window.addEventListener("popstate", () => draw());

// A file may be dropped anywhere. Without this, a browser would leave the page to show it.
const brings = (event) => event.dataTransfer?.types.includes("Files");
let inside = 0;
window.addEventListener("dragenter", (event) => {
  if (!brings(event)) return;
  inside += 1;
  dropHere.hidden = false;
});
window.addEventListener("dragleave", (event) => {
  if (!brings(event)) return;
  inside -= 1;
  if (inside <= 0) dropHere.hidden = true;
});
window.addEventListener("dragover", (event) => brings(event) && event.preventDefault());
window.addEventListener("drop", (event) => {
  if (!brings(event)) return;
  event.preventDefault();
  inside = 0;
  dropHere.hidden = true;
  const [dropped] = event.dataTransfer.files;
  if (!dropped) return;
  take(dropped);
  drawn = null; // also where this view is shown already
  go(fresh({ view: "try" }));
});

try {
  about = await ask("/api/about");
  introduce();
  await draw();
} catch (error) {
  main.replaceChildren(complaint(error));
}
