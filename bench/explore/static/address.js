// The page's address holds everything that it shows: it can be shared, and Back works.

const FILTERS = ["label", "split", "model", "predicted", "answer", "models", "sort", "page"];

/** Return what the address asks for. */
export function read() {
  const query = new URLSearchParams(location.search);
  const view = ["failed", "try"].includes(query.get("view")) ? query.get("view") : "images";
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  return { view, filters, kind: query.get("kind") ?? "", image: query.get("image") ?? "" };
}

/** Return an address made from nothing. */
export function fresh(query) {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
  return text.toString() ? `/?${text}` : "/";
}

/** Return this address with some values changed; "" takes one away. */
export function changed(changes) {
  return fresh({ ...Object.fromEntries(new URLSearchParams(location.search)), ...changes });
}
