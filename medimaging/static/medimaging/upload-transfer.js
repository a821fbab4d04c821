// One file on its way: by tus, in chunks, with a way back after any break. Knows nothing of the page.

const CHUNK_BYTES = 16 * 2 ** 20;
const EDGE_BYTES = 64 * 1024;
// Starts again as soon as bytes have got through; in all about a quarter of an hour of trying.
const DELAYS = [1, 2, 4, 8, 15, ...Array(30).fill(30)].map((seconds) => seconds * 1000);
const FULL = ["storage_low", "disk_full"];
// The server's own fault with this very file: soon a person should hear of it.
const NOT_TAKEN = "intake_failed";
const TRIES_OF_NOT_TAKEN = 3;
const WORTH_ANOTHER_TRY = [0, 409, 423, 429];

/* By its name and date, and by both ends of its content, where a DICOM file says which image it is. Only the hash
   leaves this function. Without a secure origin there is no hash, and a reload begins the file again. */
export const fingerprintOf = async (file) => {
  if (!globalThis.crypto?.subtle) return "";
  const stated = [file.path ?? file.name, file.size, file.lastModified].join("\n");
  const known = await new Blob([stated, file.slice(0, EDGE_BYTES), file.slice(-EDGE_BYTES)]).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", known));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
};

/* The files of a folder that was dropped, each with its path. */
export const filesBelow = async (entry, path = "") => {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    file.path = path + file.name;
    return [file];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const child of some) found.push(...(await filesBelow(child, `${path}${entry.name}/`)));
  }
};

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const parse = (text) => {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
};

/* The verdict on a file that came in several requests: the server may still be looking at it. */
const askForVerdicts = async (url) => {
  for (let wait = 250; ; wait = Math.min(2 * wait, 5000)) {
    const answer = await fetch(url, { headers: { Accept: "application/json" } }).catch(() => null);
    const told = answer ? parse(await answer.text()) : {};
    if (told.files?.length) return told.files;
    if (answer && answer.status >= 400 && answer.status < 500) throw Object.assign(new Error(told.detail), { refusal: told });
    await pause(wait);
  }
};

const answerTo = (error) => ({ status: error.originalResponse?.getStatus() ?? 0, told: error.refusal ?? parse(error.originalResponse?.getBody() ?? "") });

const isWorthAnotherTry = (error, tried) => {
  const { status, told } = answerTo(error);
  if (told.code === NOT_TAKEN && tried >= TRIES_OF_NOT_TAKEN) return false;
  return WORTH_ANOTHER_TRY.includes(status) || (status >= 500 && !FULL.includes(told.code));
};

const failureOf = (error) => {
  const { status, told } = answerTo(error);
  return {
    message: told.detail ?? (status ? "The server couldn't take the file." : "The connection broke before the file arrived."),
    action: told.action ?? "Retry it.",
    concernsAll: [401, 403].includes(status) || FULL.includes(told.code),
  };
};

/* Take back what the server holds of a file. A moment ago it may still have been written: tried again then. */
export const dropUpload = (url, token) => window.tus.Upload.terminate(url, { headers: { "X-CSRFToken": token }, retryDelays: DELAYS.slice(0, 4) }).catch(() => {});

/* Send `file` to `endpoint`, or go on with it at `url`. Calls `on.progress(bytes)`, `on.begun(url)` and `on.stalled()`.
   `done` resolves to {files}, {failure}, or {stopped: true} after `stop()`, which drops the file at the server if asked to. */
export const transfer = ({ file, fingerprint, endpoint, url, token, on }) => {
  let settle;
  const done = new Promise((resolve) => {
    settle = resolve;
  });
  const metadata = { filename: file.path ?? file.name, ...(fingerprint && { fingerprint }) };
  const upload = new window.tus.Upload(file, {
    endpoint,
    uploadUrl: url,
    metadata,
    chunkSize: CHUNK_BYTES,
    // A small file is one request. A large one learns its address first, so that its first chunk can break too.
    uploadDataDuringCreation: file.size <= CHUNK_BYTES,
    storeFingerprintForResuming: false,
    retryDelays: DELAYS,
    headers: { "X-CSRFToken": token, Accept: "application/json" },
    onUploadUrlAvailable: () => on.begun(upload.url),
    onProgress: (sent) => on.progress(sent),
    onShouldRetry: (error, tried) => {
      const again = isWorthAnotherTry(error, tried);
      if (again) on.stalled();
      return again;
    },
    onError: (error) => settle({ failure: failureOf(error) }),
    onSuccess: async ({ lastResponse }) => {
      const { files } = parse(lastResponse.getBody());
      try {
        settle({ files: files?.length ? files : await askForVerdicts(upload.url) });
      } catch (error) {
        settle({ failure: failureOf(error) });
      }
    },
  });
  const goOnNow = () => {
    upload.abort();
    upload.start();
  };
  upload.start();
  return {
    done,
    goOnNow,
    stop: ({ drop = false } = {}) => {
      settle({ stopped: true });
      upload.abort();
      return drop && upload.url ? dropUpload(upload.url, token) : Promise.resolve();
    },
  };
};
