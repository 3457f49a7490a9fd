// Questions to the server.

/** The server refused; the message is a line for people. */
export class Refusal extends Error {}

async function answer(request) {
  let response;
  try {
    response = await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("No answer: `bench explore` has ended, or could not take the file.");
  }
  const found = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return {};
  });
  if (!response.ok) throw new Refusal(found.error ?? `The server said ${response.status}.`);
  return found;
}

/** Return what an address answers; empty values are left out of the query. */
export function ask(path, query = {}, signal = undefined) {
  const given = Object.entries(query).filter(([, value]) => value);
  const text = new URLSearchParams(given).toString();
  return answer(fetch(text ? `${path}?${text}` : path, { signal }));
}

/** Send a file, and return what the models say of it. */
export function send(file, networks, signal) {
  const query = networks ? "?networks=1" : "";
  const headers = { "Content-Type": "application/octet-stream" };
  return answer(fetch(`/api/predict${query}`, { method: "POST", body: file, headers, signal }));
}
