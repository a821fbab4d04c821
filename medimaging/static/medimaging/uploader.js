// Sends a batch of files: three at a time, each in pieces that a break doesn't lose, a verdict per file.
import { announce } from "./page.js";
import { showResult } from "./upload-end.js";
import { UploadForm } from "./upload-form.js";
import { Rows, plural, sizeWords } from "./upload-rows.js";
import { dropUpload, filesBelow, fingerprintOf, pause, transfer } from "./upload-transfer.js";

const AT_ONCE = 3;
const BUSY = 423;
const CLOSING_TRIES = 10;
const FIRST_BYTES = 64 * 1024;
const NO_STUDY = "00000000-0000-0000-0000-000000000000";

const root = document.querySelector("[data-uploader]");
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const token = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
const formElement = document.getElementById(root.dataset.form ?? "");
const form = formElement && new UploadForm(formElement, token);

const batch = { uploadUrl: root.dataset.uploadUrl ?? "", closeUrl: root.dataset.closeUrl ?? "", url: root.dataset.url ?? "", sending: false, paused: false, finished: false, stored: 0, pass: null };
const entries = new Set();
const running = new Map();
/* What of this batch came only in part, before a break: by fingerprint, as the server knows it. */
const unfinished = new Map(JSON.parse(document.getElementById("unfinished-uploads")?.textContent ?? "[]").map((known) => [known.fingerprint, known]));

const rows = new Rows({ body: part("rows"), template: part("row"), more: part("more"), icons: root.dataset.icons, onTakeBack: (entry) => takeBack(entry), onFix: (entry) => fix(entry), isOver: () => batch.finished || !batch.uploadUrl, onFrame: () => showTotals() });

const JUDGED = ["stored", "check", "duplicate", "rejected", "left_out"];
const SETTLED = [...JUDGED, "failed", "cancelled"];
const totals = () => {
  const found = { count: entries.size, waiting: 0, stalled: 0, failed: 0, settled: 0, bytes: 0, sent: 0 };
  for (const { kind, size, sent } of entries) {
    if (kind === "waiting") found.waiting += 1;
    if (kind === "stalled") found.stalled += 1;
    if (kind === "failed") found.failed += 1;
    if (SETTLED.includes(kind)) found.settled += 1;
    found.bytes += size;
    found.sent += Math.min(sent, size);
  }
  return found;
};

/* ── Progress of the whole ── */
const pace = { since: 0, sent: 0, quarter: 0 };

const timeLeft = ({ bytes, sent }) => {
  const seconds = (Date.now() - pace.since) / 1000;
  const rate = (sent - pace.sent) / seconds;
  if (seconds < 5 || rate <= 0 || sent >= bytes) return "";
  const left = (bytes - sent) / rate;
  return left < 90 ? `, about ${Math.ceil(left / 10) * 10} s left` : `, about ${plural(Math.round(left / 60), "minute")} left`;
};

const isCutOff = ({ stalled }) => batch.sending && !batch.paused && (stalled > 0 || !navigator.onLine);

const summaryOf = (found) => {
  const { count, settled, failed, bytes, sent } = found;
  if (!batch.sending && !settled) return `${plural(count, "file")}, ${sizeWords(bytes)}`;
  const moved = isCutOff(found) ? " · no connection" : batch.sending && !batch.paused ? ` · ${sizeWords(sent)} of ${sizeWords(bytes)}${timeLeft(found)}` : "";
  return `${settled.toLocaleString("en-GB")} of ${plural(count, "file")} done${failed ? `, ${failed} not sent` : ""}${moved}`;
};

const announceQuarters = ({ bytes, sent }) => {
  const quarter = bytes ? Math.floor((4 * sent) / bytes) : 0;
  if (batch.sending && quarter > pace.quarter && quarter < 4) announce(`${25 * quarter} % sent.`);
  pace.quarter = quarter;
};

const showTotals = () => {
  const found = totals();
  const { count, waiting, failed, settled, bytes, sent } = found;
  part("list").hidden = count === 0;
  part("cut-off").hidden = !isCutOff(found);
  part("drop").classList.toggle("is-small", count > 0);
  part("bar").value = bytes ? sent / bytes : 0;
  part("progress").hidden = !batch.sending && settled === 0;
  part("summary").textContent = summaryOf(found);
  announceQuarters(found);
  part("send").hidden = batch.finished || batch.sending;
  part("send").disabled = waiting === 0;
  part("send").querySelector("span").textContent = waiting ? `Send ${plural(waiting, "file")}` : "Send";
  part("pause").hidden = batch.finished || !batch.sending;
  part("pause").textContent = batch.paused ? "Go on" : "Pause";
  part("retry").hidden = batch.sending || failed === 0 || batch.finished;
  part("finish").hidden = batch.sending || !batch.closeUrl || batch.finished || (waiting > 0 && settled === 0);
};

const showProblem = (text) => {
  part("problem").hidden = text === "";
  part("problem-words").textContent = text;
};

/* ── Choosing ── */
const limit = Number(root.dataset.maxBytes || 0);
const isPicture = ({ name, type }) => /\.(png|jpe?g|webp|tiff?|bmp)$/i.test(name) || type.startsWith("image/");
const isArchive = ({ name }) => /\.zip$/i.test(name);
/* What the form needs follows the files that are still to be sent. */
const showNeeds = () => form?.setNeedsPatient(Array.from(entries).some(({ kind, file }) => kind === "waiting" && isPicture(file)));

const change = (entry, values) => {
  Object.assign(entry, values);
  rows.paint(entry);
};

/* Where the server holds a part of this very file already, it is only sent from there. */
const recognise = async (entry) => {
  entry.fingerprint = await fingerprintOf(entry.file);
  const known = unfinished.get(entry.fingerprint);
  if (!known) return;
  unfinished.delete(entry.fingerprint);
  part("unfinished").querySelector(`[data-fingerprint="${entry.fingerprint}"]`).remove();
  part("unfinished").hidden = !part("unfinished").querySelector("[data-fingerprint]");
  change(entry, { url: known.url, sent: known.offset, message: `${sizeWords(known.offset)} of it are here already; sending goes on from there.` });
};

const addFiles = (files) => {
  if (batch.finished) return;
  const partly = new Set(Array.from(unfinished.values(), (known) => known.size));
  for (const file of files) {
    const entry = { file, name: file.path ?? file.name, size: file.size, kind: "waiting", sent: 0 };
    entries.add(entry);
    if (limit && file.size > limit) Object.assign(entry, { kind: "failed", isFinal: true, message: `The file is larger than ${sizeWords(limit)}.`, action: "Send it in smaller parts." });
    rows.paint(entry);
    if (partly.has(file.size)) entry.known = recognise(entry);
  }
  showNeeds();
  announce(`${plural(entries.size, "file")} chosen.`);
};

const takeDrop = async (dropped, files) => {
  if (!dropped.length) return addFiles(files);
  for (const entry of dropped) addFiles(await filesBelow(entry));
  return undefined;
};

/* ── Sending ── */
/* Where the rules choose the department, they go by the first file: its beginning tells what it is an image of. */
const asked = () => {
  const body = form.values;
  const first = Array.from(entries).find(({ kind, file }) => kind === "waiting" && !isPicture(file) && !isArchive(file));
  if (!body.get("department") && first) body.append("first", first.file.slice(0, FIRST_BYTES), "first");
  return body;
};

const openBatch = async () => {
  if (batch.uploadUrl) return true;
  let answer;
  try {
    answer = await fetch(root.dataset.createUrl, { method: "POST", body: asked(), headers: { "X-CSRFToken": token, Accept: "application/json" } });
  } catch {
    showProblem("The server can't be reached. Nothing was sent. Check the network and send again.");
    return false;
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    if (body.errors) form.showErrors(body.errors);
    else showProblem([body.message ?? "The batch couldn't be opened.", body.action ?? "Reload the page and try again."].join(" "));
    return false;
  }
  Object.assign(batch, { uploadUrl: body.upload_url, closeUrl: body.close_url, url: body.url });
  form.lock(true);
  rows.paintAll();
  // Whoever reloads, or has the browser restore its pages, comes back to this very batch.
  history.replaceState(null, "", batch.url);
  return true;
};

/* A stored file with something left to do, such as a patient ID other than the one entered, must not look settled. */
const asShown = ({ verdict, code, message, action, study }) => {
  if (verdict === "stored") batch.stored += 1;
  return { kind: verdict === "stored" && action ? "check" : verdict, code, message, action, studyUrl: study && root.dataset.studyUrl.replace(NO_STUDY, study) };
};

/* What an archive held is named by its path inside, after the archive. */
const showVerdicts = (entry, [first, ...others]) => {
  change(entry, { shownAs: others.length ? first.name : entry.name, sent: entry.size, ...asShown(first) });
  entry.members = others.map((verdict) => ({ name: verdict.name, size: null, sent: 0, parent: entry, ...asShown(verdict) }));
  for (const member of entry.members) rows.paint(member);
};

const showEnd = (entry, { files, failure, stopped }) => {
  if (files) showVerdicts(entry, files);
  else if (stopped) change(entry, entry.kind === "cancelled" ? {} : { kind: "waiting", message: "" });
  else if (failure.concernsAll) {
    change(entry, { kind: "waiting", message: "" });
    pauseAll();
    showProblem(`${failure.message} ${failure.action} What arrived is kept.`);
  } else change(entry, { kind: "failed", ...failure });
};

const send = async (entry) => {
  change(entry, { kind: "sending", message: "", action: "" });
  await (entry.known ?? (entry.fingerprint === undefined && recognise(entry)));
  if (entry.kind !== "sending" || batch.paused) return showEnd(entry, { stopped: true });
  const on = {
    begun: (url) => Object.assign(entry, { url }),
    progress: (sent) => change(entry, { sent, kind: sent === entry.size ? "checking" : "sending", message: "" }),
    stalled: () => change(entry, { kind: "stalled", message: "The connection broke. Trying again by itself." }),
  };
  const sending = transfer({ file: entry.file, fingerprint: entry.fingerprint, endpoint: batch.uploadUrl, url: entry.url, token, on });
  running.set(entry, sending);
  const end = await sending.done;
  running.delete(entry);
  return showEnd(entry, end);
};

const sendAll = async () => {
  if (!batch.uploadUrl && form && !form.check()) return;
  await batch.pass;
  showProblem("");
  batch.sending = true;
  batch.paused = false;
  Object.assign(pace, { since: Date.now(), sent: totals().sent });
  showTotals();
  part("pause").focus();
  if (await openBatch()) {
    const queue = entries.values();
    const worker = async () => {
      for (const entry of queue) if (entry.kind === "waiting" && !batch.paused) await send(entry);
    };
    batch.pass = Promise.all(Array.from({ length: AT_ONCE }, worker));
    await batch.pass;
    if (batch.paused) return;
  }
  batch.sending = false;
  showTotals();
  const { waiting, failed } = totals();
  if (failed) announce(`${plural(failed, "file")} could not be sent. Retry or finish without them.`);
  else if (!waiting && Array.from(entries).some(({ kind }) => JUDGED.includes(kind))) await finish();
};

const pauseAll = () => {
  batch.paused = true;
  for (const sending of running.values()) sending.stop();
  showTotals();
};

const takeBack = (entry) => {
  const sending = running.get(entry);
  if (sending || entry.url) {
    change(entry, { kind: "cancelled", message: "Taken back before it had arrived.", action: "", sent: entry.size });
    entry.dropped = sending ? sending.stop({ drop: true }) : dropUpload(entry.url, token);
    announce(`${entry.name} cancelled.`);
    return;
  }
  entries.delete(entry);
  rows.remove(entry);
  showNeeds();
  showTotals();
  if (!root.contains(document.activeElement)) part("files-button").focus();
  announce(`${entry.name} removed.`);
};

/* ── Mending what was rejected ── */
const startAgain = () => {
  if (!batch.finished) return;
  Object.assign(batch, { uploadUrl: "", closeUrl: "", url: "", sending: false, paused: false, finished: false, stored: 0, pass: null });
  entries.clear();
  form.lock(false);
  part("drop").hidden = false;
  history.replaceState(null, "", root.dataset.submitUrl);
};

const sendAnew = (entry, file = entry.file) => {
  for (const member of entry.members ?? []) rows.remove(member);
  entries.add(entry);
  change(entry, { file, name: file.path ?? file.name, size: file.size, kind: "waiting", sent: 0, message: "", action: "", code: "", studyUrl: "", shownAs: "", members: [], url: undefined, known: undefined, fingerprint: undefined, dropped: undefined });
};

const chooseInstead = (entry) => {
  const input = part("instead-input");
  input.onchange = () => {
    if (!input.files.length) return;
    startAgain();
    sendAnew(entry, input.files[0]);
    input.value = "";
    showNeeds();
    showTotals();
    part("send").focus();
  };
  input.click();
};

/* What the form can mend goes back on the list with it; a file that is wrong itself is replaced by another. */
const MENDED_BY = { patient_required: "patient_id", held_by_other_department: "department", department_unclear: "department" };

const fix = (chosen) => {
  const field = MENDED_BY[chosen.code];
  if (!form) {
    location.href = root.dataset.againUrl;
    return;
  }
  if (!field) {
    chooseInstead(chosen.parent ?? chosen);
    return;
  }
  const alike = new Set(rows.entriesOf((entry) => entry.kind === "rejected" && entry.code === chosen.code).map((entry) => entry.parent ?? entry));
  startAgain();
  for (const entry of alike) sendAnew(entry);
  showNeeds();
  showTotals();
  form.focusOn(field);
  announce(`${plural(alike.size, "file")} to send again. Correct the form, then send.`);
};

/* ── The end ── */
/* A file that was cancelled a moment ago may still be written to: that passes. */
const closeBatch = async () => {
  await Promise.all(Array.from(entries, (entry) => entry.dropped));
  for (let tries = 1; ; tries += 1) {
    const answer = await fetch(batch.closeUrl, { method: "POST", headers: { "X-CSRFToken": token, Accept: "application/json" } });
    if (answer.status !== BUSY || tries === CLOSING_TRIES) return answer;
    await pause(1000);
  }
};

const finish = async () => {
  let body = {};
  try {
    const answer = await closeBatch();
    body = await answer.json();
    if (!answer.ok) throw new Error(body.code);
  } catch {
    showProblem(["The files arrived, but the batch couldn't be closed.", body.message, "Choose “Finish” again."].filter(Boolean).join(" "));
    showTotals();
    return;
  }
  batch.finished = true;
  showTotals();
  rows.paintAll();
  part("drop").hidden = true;
  const chip = document.querySelector("[data-batch-chip]");
  if (chip && body.chip) chip.innerHTML = body.chip;
  const { studies = [], rejected = 0, files = entries.size, url = batch.url } = body;
  // A batch resumed after a break may have stored its files before this page was opened.
  announce(showResult(part, root.dataset.icons, { studies, rejected, files, url, nothingNew: entries.size > 0 && !batch.stored }));
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
  // Read now: the browser empties what was dropped as soon as this handler returns.
  const { items, files } = event.dataTransfer;
  takeDrop([...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean), [...files]);
});
for (const name of ["files", "folder", "camera"]) {
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
part("pause").addEventListener("click", () => {
  if (batch.paused) sendAll();
  else {
    pauseAll();
    announce("Paused. What arrived is kept.");
  }
});
part("retry").addEventListener("click", () => {
  for (const entry of entries) if (entry.kind === "failed" && !entry.isFinal) change(entry, { kind: "waiting", message: "", action: "" });
  sendAll();
});
formElement?.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!part("send").disabled && !batch.sending) sendAll();
});
addEventListener("offline", () => showTotals());
addEventListener("online", () => {
  showTotals();
  for (const [entry, sending] of running) if (entry.kind === "stalled") sending.goOnNow();
});
addEventListener("beforeunload", (event) => {
  const { waiting, failed } = totals();
  if (!batch.finished && entries.size && (batch.sending || waiting || failed)) event.preventDefault();
});
showTotals();
