// Sends a batch of files: three at a time, a row per file, a verdict per file, and a way back after a break.
import { announce } from "./page.js";

const AT_ONCE = 3;
const TRIES = 3;

const root = document.querySelector("[data-uploader]");
const form = document.getElementById(root.dataset.form ?? "");
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const token = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];

const batch = { uploadUrl: root.dataset.uploadUrl ?? "", closeUrl: root.dataset.closeUrl ?? "", url: root.dataset.url ?? "", sending: false, finished: false, stored: 0 };
const entries = [];
const totals = () => ({
  count: entries.length,
  waiting: entries.filter((entry) => entry.state === "waiting").length,
  failed: entries.filter((entry) => entry.state === "failed").length,
  settled: entries.filter((entry) => ["done", "failed", "refused"].includes(entry.state)).length,
});

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/* ── Rows ── */
const MEANINGS = {
  waiting: ["neutral", "clock", "Waiting"],
  sending: ["info", "arrow-repeat", "Sending"],
  checking: ["info", "arrow-repeat", "Checking"],
  stored: ["ok", "check-circle-fill", "Stored"],
  check: ["attention", "exclamation-triangle-fill", "Stored, check"],
  duplicate: ["neutral", "layers", "Already held"],
  rejected: ["urgent", "exclamation-octagon-fill", "Rejected"],
  failed: ["urgent", "exclamation-octagon-fill", "Not sent"],
};

const setChip = (row, kind) => {
  const [meaning, icon, word] = MEANINGS[kind] ?? MEANINGS.stored;
  const chip = row.querySelector(".chip");
  chip.className = `chip chip-${meaning}`;
  chip.querySelector("use").setAttribute("href", `${root.dataset.icons}#${icon}`);
  chip.querySelector(".chip-word").textContent = word;
};

const setWords = (row, message, action, studyUrl) => {
  const words = row.querySelector("[data-words]");
  words.textContent = [message, action].filter(Boolean).join(" ");
  if (studyUrl) {
    const link = document.createElement("a");
    link.href = studyUrl;
    link.textContent = "Open study";
    words.append(" ", link);
  }
};

const addRow = (name, bytes) => {
  const row = part("row").content.firstElementChild.cloneNode(true);
  row.querySelector(".file-name").textContent = name;
  row.querySelector("[data-size]").textContent = bytes === null ? "" : size(bytes);
  part("rows").append(row);
  return row;
};

const showTotals = () => {
  const { count, waiting, failed, settled } = totals();
  const bytes = entries.reduce((sum, entry) => sum + entry.file.size, 0);
  const sent = entries.reduce((sum, entry) => sum + entry.sent, 0);
  part("list").hidden = count === 0;
  part("drop").classList.toggle("is-small", count > 0);
  part("bar").value = bytes ? sent / bytes : 0;
  part("progress").hidden = !batch.sending && settled === 0;
  part("summary").textContent = settled ? `${settled} of ${plural(count, "file")} done${failed ? `, ${failed} not sent` : ""}` : `${plural(count, "file")}, ${size(bytes)}`;
  part("send").hidden = batch.finished;
  part("send").disabled = waiting === 0 || batch.sending;
  part("send").querySelector("span").textContent = batch.sending ? "Sending…" : waiting ? `Send ${plural(waiting, "file")}` : "Send";
  part("retry").hidden = batch.sending || failed === 0 || batch.finished;
  part("finish").hidden = batch.sending || !batch.closeUrl || batch.finished || (waiting > 0 && settled === 0);
};

/* ── Choosing ── */
const limit = Number(root.dataset.maxBytes || 0);

const refuse = (entry, message, action) => {
  entry.state = "refused";
  entry.row.querySelector("progress").hidden = true;
  setChip(entry.row, "failed");
  setWords(entry.row, message, action);
};

const needsPatient = (name) => /\.(png|jpe?g|webp|tiff?|bmp)$/i.test(name);

const addFiles = (files) => {
  if (batch.finished) return;
  for (const file of files) {
    const entry = { file, row: addRow(file.path ?? file.name, file.size), state: "waiting", sent: 0, tries: 0 };
    entries.push(entry);
    if (limit && file.size > limit) refuse(entry, `The file is larger than ${size(limit)}.`, "Send it in smaller parts.");
  }
  const details = document.querySelector("[data-patient-details]");
  if (details && entries.some((entry) => needsPatient(entry.file.name))) {
    details.open = true;
  }
  showTotals();
  announce(`${plural(entries.length, "file")} chosen.`);
};

const walk = async (entry, path = "") => {
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
    for (const child of some) found.push(...(await walk(child, `${path}${entry.name}/`)));
  }
};

const takeDrop = async (transfer) => {
  const dropped = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!dropped.length) return addFiles(transfer.files);
  for (const entry of dropped) addFiles(await walk(entry));
  return undefined;
};

/* ── Sending ── */
const showFormErrors = (errors) => {
  for (const old of form.querySelectorAll("[data-sent-error]")) old.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  let first = null;
  for (const [name, messages] of Object.entries(errors)) {
    const field = form.elements[name];
    const box = document.createElement("div");
    box.className = "field-error";
    box.dataset.sentError = "";
    box.id = `sent_error_${name}`;
    box.textContent = messages.map((message) => message.message ?? message).join(" ");
    if (field) {
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", box.id);
      field.closest("details")?.setAttribute("open", "");
      field.after(box);
      first ??= field;
    } else {
      form.prepend(box);
    }
  }
  first?.focus();
  announce("The form has errors. Nothing was sent.");
};

const openBatch = async () => {
  if (batch.uploadUrl) return true;
  let answer;
  try {
    answer = await fetch(root.dataset.createUrl, { method: "POST", body: new FormData(form), headers: { "X-CSRFToken": token, Accept: "application/json" } });
  } catch {
    showProblem("The server can't be reached. Nothing was sent. Check the network and send again.");
    return false;
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    if (body.errors) showFormErrors(body.errors);
    else showProblem([body.message ?? "The batch couldn't be opened.", body.action ?? "Reload the page and try again."].join(" "));
    return false;
  }
  Object.assign(batch, { uploadUrl: body.upload_url, closeUrl: body.close_url, url: body.url });
  for (const field of form.elements) field.disabled = true;
  return true;
};

const showProblem = (text) => {
  part("problem").hidden = text === "";
  part("problem-words").textContent = text;
};

const post = (entry) =>
  new Promise((resolve) => {
    const request = new XMLHttpRequest();
    const body = new FormData();
    body.append("file", entry.file, entry.file.path ?? entry.file.name);
    request.open("POST", batch.uploadUrl);
    request.setRequestHeader("X-CSRFToken", token);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      entry.sent = Math.min(event.loaded, entry.file.size);
      entry.row.querySelector("progress").value = event.total ? event.loaded / event.total : 0;
      if (event.loaded === event.total) setChip(entry.row, "checking");
      showTotals();
    });
    request.addEventListener("loadend", () => resolve(request));
    request.send(body);
  });

/* A stored file with something left to do, such as a patient ID other than the one entered, must not look settled. */
const showVerdict = (row, { verdict, message, action, study_url: studyUrl }) => {
  if (verdict === "stored") batch.stored += 1;
  row.querySelector("progress").hidden = true;
  setChip(row, verdict === "stored" && action ? "check" : verdict);
  setWords(row, message, action, studyUrl);
};

const showVerdicts = (entry, verdicts) => {
  const [first, ...others] = verdicts;
  showVerdict(entry.row, first);
  if (!others.length) return;
  entry.row.querySelector(".file-name").textContent = `${entry.file.name} › ${first.name}`;
  for (const verdict of others) {
    showVerdict(addRow(`${entry.file.name} › ${verdict.name}`, null), verdict);
  }
};

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const send = async (entry) => {
  entry.state = "sending";
  setChip(entry.row, "sending");
  setWords(entry.row, "");
  for (entry.tries = 1; ; entry.tries += 1) {
    const request = await post(entry);
    const verdicts = request.response?.files;
    if (verdicts?.length) {
      entry.state = "done";
      entry.sent = entry.file.size;
      showVerdicts(entry, verdicts);
      break;
    }
    // No answer or a busy server is worth another try; a refusal is not.
    const again = request.status === 0 || request.status === 429 || request.status >= 500;
    if (again && entry.tries < TRIES) {
      await pause(1000 * 2 ** entry.tries);
      continue;
    }
    entry.state = "failed";
    entry.sent = 0;
    entry.row.querySelector("progress").value = 0;
    setChip(entry.row, "failed");
    const { message, action } = request.response ?? {};
    setWords(entry.row, message ?? (request.status === 0 ? "The connection broke before the file arrived." : "The server couldn't take the file."), action ?? "Retry it.");
    break;
  }
  showTotals();
};

const sendAll = async () => {
  showProblem("");
  batch.sending = true;
  showTotals();
  if (!(await openBatch())) {
    batch.sending = false;
    showTotals();
    return;
  }
  const worker = async () => {
    for (let next = entries.find((entry) => entry.state === "waiting"); next; next = entries.find((entry) => entry.state === "waiting")) await send(next);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  batch.sending = false;
  showTotals();
  if (totals().failed) announce(`${plural(totals().failed, "file")} could not be sent. Retry or finish without them.`);
  else await finish();
};

const outcome = (count) => {
  if (!count) return "No study could be stored from these files. Each row below says why.";
  const studies = count === 1 ? "1 study" : `${count} studies`;
  // A batch resumed after a break may have stored its files before this page was opened.
  if (entries.length && !batch.stored) return `${studies}: every file that could be stored was already held.`;
  return `${studies} received. Classification has begun.`;
};

const finish = async () => {
  let body = null;
  try {
    const answer = await fetch(batch.closeUrl, { method: "POST", headers: { "X-CSRFToken": token, Accept: "application/json" } });
    body = await answer.json();
    if (!answer.ok) throw new Error(body.message);
  } catch {
    showProblem("The files arrived, but the batch couldn't be closed. Choose “Finish” again.");
    showTotals();
    return;
  }
  batch.finished = true;
  showTotals();
  part("drop").hidden = true;
  part("result").hidden = false;
  const studies = body.studies ?? [];
  part("result-words").textContent = outcome(studies.length);
  part("result").classList.add(studies.length ? "note-ok" : "note-urgent");
  for (const study of studies) {
    const link = document.createElement("a");
    link.className = "btn btn-plain";
    link.href = study.url ?? study;
    link.textContent = study.description || "Open study";
    part("result-batch").before(link);
  }
  part("result-batch").href = body.url ?? batch.url;
  announce(part("result-words").textContent);
};

/* ── Wiring ── */
const drop = part("drop");
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("is-over");
  });
}
drop.addEventListener("dragleave", () => drop.classList.remove("is-over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("is-over");
  takeDrop(event.dataTransfer);
});
for (const name of ["files", "folder"]) {
  const input = part(`${name}-input`);
  part(`${name}-button`).addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const chosen = [...input.files];
    for (const file of chosen) if (file.webkitRelativePath) file.path = file.webkitRelativePath;
    addFiles(chosen);
    input.value = "";
  });
}
part("send").addEventListener("click", sendAll);
part("finish").addEventListener("click", finish);
part("retry").addEventListener("click", () => {
  for (const entry of entries.filter((item) => item.state === "failed")) {
    entry.state = "waiting";
    setChip(entry.row, "waiting");
  }
  sendAll();
});
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!part("send").disabled) sendAll();
});
addEventListener("beforeunload", (event) => {
  if (!batch.finished && entries.length && (batch.sending || totals().waiting || totals().failed)) event.preventDefault();
});
showTotals();
