// Frames as the server draws them: fetched once, kept within bounds, and given up when nobody waits for them.

const KEPT_BYTES = 64 * 1024 * 1024;

const kept = new Map(); // address → PNG
const loading = new Map(); // address → { promise, controller }
let keptBytes = 0;

const keep = (url, blob) => {
  if (kept.has(url) || blob.size > KEPT_BYTES / 2) return;
  kept.set(url, blob);
  keptBytes += blob.size;
  for (const [oldest, old] of kept) {
    if (keptBytes <= KEPT_BYTES) return;
    kept.delete(oldest);
    keptBytes -= old.size;
  }
};

/* What the server says against it is the reason that staff read. */
export const fetchOrExplain = async (url, signal, type) => {
  let response;
  try {
    response = await fetch(url, { signal, headers: { Accept: `${type}, text/plain` } });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Error("The server can't be reached. Check the network.");
  }
  const sent = response.headers.get("Content-Type") ?? "";
  if (response.ok && sent.startsWith(type)) return response;
  if (response.redirected) throw new Error("You have been signed out. Reload the page and sign in again.");
  throw new Error(sent.startsWith("text/plain") ? await response.text() : `The server answered ${response.status}.`);
};

const load = async (url, signal) => {
  const response = await fetchOrExplain(url, signal, "image/png");
  const blob = await response.blob();
  keep(url, blob);
  return blob;
};

export const fetchFrame = (url) => {
  if (kept.has(url)) return Promise.resolve(kept.get(url));
  const known = loading.get(url);
  if (known) return known.promise;
  const controller = new AbortController();
  const promise = load(url, controller.signal).finally(() => {
    if (loading.get(url)?.controller === controller) loading.delete(url);
  });
  loading.set(url, { promise, controller });
  return promise;
};

export const isKept = (url) => kept.has(url);

/* Nobody waits for the others any more. */
export const giveUpAllBut = (urls) => {
  for (const [url, { controller }] of loading) {
    if (urls.has(url)) continue;
    loading.delete(url);
    controller.abort();
  }
};
