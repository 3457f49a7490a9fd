// Elements are made here, and text only ever becomes a text node: what comes from the data can't
// become markup.

/** Return an element: el("p", { class: "soft" }, "text", otherElement). */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

export const count = (number) => number.toLocaleString("en");
export const percent = (share) => `${(100 * share).toFixed(1)} %`;
export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

const MOST_BARS = 8;

/** Return probabilities as bars with numbers, likeliest first; the true label stands out. */
export function odds(pairs, truth) {
  const shown = pairs.slice(0, MOST_BARS);
  const more = pairs.length - shown.length;
  const bars = shown.map(([label, share]) => {
    const bar = el("i");
    bar.style.width = `${100 * share}%`;
    return el(
      "li",
      { class: label === truth ? "true" : null },
      el("span", { class: "label", title: label }, label),
      el("span", { class: "track", "aria-hidden": "true" }, bar),
      el("span", { class: "number" }, percent(share)),
    );
  });
  return [
    el("ol", { class: "odds" }, bars),
    more > 0 && el("p", { class: "soft" }, `and ${count(more)} less likely`),
  ];
}

/** Return one of the store's images. */
export function picture(about, row, alt, size = about.sizes.at(-1)) {
  return el("img", {
    src: `/images/${about.fingerprint}/${size}/${row}`,
    alt,
    width: size,
    height: size,
    loading: "lazy",
    decoding: "async",
    class: size <= 64 ? "coarse" : null,
  });
}

/** Return a labelled choice; options are [value, text], or { group, options }. */
export function choice(name, label, options, value, extra = {}) {
  const make = ([key, text]) => el("option", { value: key, selected: key === value }, text);
  const parts = options.map((option) =>
    Array.isArray(option)
      ? make(option)
      : el("optgroup", { label: option.group }, option.options.map(make)),
  );
  return el(
    "label",
    { class: "choice" },
    el("span", {}, label),
    el("select", { name, ...extra }, parts),
  );
}

/** Return links to a page's neighbours; `to` makes an address from a page's number. */
export function pager(page, pages, to) {
  if (pages <= 1) return null;
  const link = (number, text, name, there, kind = "") =>
    there
      ? el("a", { href: to(number), "data-go": true, "aria-label": name, class: kind }, text)
      : el("span", { class: `off ${kind}`, "aria-hidden": "true" }, text);
  return el(
    "nav",
    { class: "pager", "aria-label": "Pages" },
    link(1, "« First", "First page", page > 1, "far"),
    link(page - 1, "‹ Previous", "Previous page", page > 1),
    el("span", { "aria-current": "page" }, `Page ${count(page)} of ${count(pages)}`),
    link(page + 1, "Next ›", "Next page", page < pages),
    link(pages, "Last »", "Last page", page < pages, "far"),
  );
}

/** Return small images in a row, each a link to itself. */
export function strip(about, images, to, says) {
  return el(
    "ul",
    { class: "strip" },
    images.map((image) =>
      el(
        "li",
        {},
        el(
          "a",
          { href: to(image.row), "data-go": "panel" },
          picture(about, image.row, `image ${image.row}`),
          el("b", {}, image.label),
          el("span", { class: "soft" }, says(image)),
        ),
      ),
    ),
  );
}
