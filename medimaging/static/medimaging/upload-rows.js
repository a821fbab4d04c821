// The table of an upload: a row for each file that somebody may want to look at, drawn once per frame.

const SHOWN = 100;

export const plural = (count, word) => `${count.toLocaleString("en-GB")} ${word}${count === 1 ? "" : "s"}`;
/* As the server writes sizes. */
export const sizeWords = (bytes) => {
  const power = bytes < 2 ** 20 ? 1 : bytes < 2 ** 30 ? 2 : 3;
  return `${(bytes / 1024 ** power).toFixed(1)} ${["KB", "MB", "GB"][power - 1]}`;
};

const MEANINGS = {
  waiting: ["neutral", "clock", "Waiting"],
  sending: ["info", "arrow-repeat", "Sending"],
  stalled: ["attention", "exclamation-triangle-fill", "Reconnecting"],
  checking: ["info", "arrow-repeat", "Checking"],
  stored: ["ok", "check-circle-fill", "Stored"],
  check: ["attention", "exclamation-triangle-fill", "Stored, check"],
  duplicate: ["neutral", "layers", "Already held"],
  rejected: ["urgent", "exclamation-octagon-fill", "Rejected"],
  left_out: ["neutral", "slash-circle", "Left out"],
  failed: ["urgent", "exclamation-octagon-fill", "Not sent"],
  cancelled: ["neutral", "slash-circle", "Cancelled"],
};
const SETTLED_WELL = ["stored", "duplicate"];
const MOVING = ["sending", "stalled", "checking"];
const NEEDS_SOMEBODY = ["stalled", "failed", "rejected", "check"];
const CAN_BE_TAKEN_BACK = ["waiting", "sending", "stalled", "failed"];

/* `entry` has name, size (null for what an archive held), sent, kind (a key above), message, action, code and studyUrl.
   What needs somebody stands above the rest. */
export class Rows {
  #dirty = new Set();
  #isAsked = false;
  #showsAll = false;
  #count = 0;

  constructor({ body, template, more, icons, onTakeBack, onFix, isOver, onFrame }) {
    Object.assign(this, { body, template, more, icons, onTakeBack, onFix, isOver, onFrame });
    this.rows = new Map();
    this.hidden = new Set();
    more.querySelector("button").addEventListener("click", () => this.#showAll());
  }

  /* Draw the entry anew with the next frame; one not seen before gets its place in the table. */
  paint(entry) {
    if (entry.place === undefined) entry.place = this.#count++;
    this.#dirty.add(entry);
    if (this.#isAsked) return;
    this.#isAsked = true;
    requestAnimationFrame(() => this.#draw());
  }

  /* A file that was taken off the list leaves it; the focus goes to its neighbour. */
  remove(entry) {
    const row = this.rows.get(entry);
    const next = row?.nextElementSibling ?? row?.previousElementSibling;
    next?.querySelector("[data-take-back]:not([hidden])")?.focus();
    row?.remove();
    this.rows.delete(entry);
    this.hidden.delete(entry);
    this.#dirty.delete(entry);
    this.#showMore();
  }

  entriesOf(isWanted) {
    return [...this.rows.keys(), ...this.hidden].filter(isWanted);
  }

  paintAll() {
    for (const entry of this.rows.keys()) this.paint(entry);
  }

  #draw() {
    this.#isAsked = false;
    const fresh = document.createDocumentFragment();
    const drawn = [...this.#dirty];
    this.#dirty.clear();
    for (const entry of drawn) this.#drawOne(entry, fresh);
    this.body.append(fresh);
    for (const entry of drawn) this.#putInPlace(entry);
    this.#showMore();
    this.onFrame();
  }

  #drawOne(entry, fresh) {
    const isWanted = this.#showsAll || entry.place < SHOWN || (entry.kind !== "waiting" && !SETTLED_WELL.includes(entry.kind));
    let row = this.rows.get(entry);
    if (!isWanted) {
      row?.remove();
      this.rows.delete(entry);
      this.hidden.add(entry);
      return;
    }
    this.hidden.delete(entry);
    if (!row) {
      row = this.#makeRow(entry);
      fresh.append(row);
    }
    this.#fill(row, entry);
  }

  /* Moved only when it begins or ends to need somebody, and never out of the focus. */
  #putInPlace(entry) {
    const row = this.rows.get(entry);
    const rank = NEEDS_SOMEBODY.includes(entry.kind) ? 0 : 1;
    if (!row || row.rank === rank || (row.rank === undefined && rank === 1)) {
      if (row) row.rank = rank;
      return;
    }
    row.rank = rank;
    row.place = entry.place;
    const others = Array.from(this.body.children).filter((other) => other !== row);
    const next = others.find((other) => (other.rank ?? 1) > rank || ((other.rank ?? 1) === rank && (other.place ?? 0) > entry.place));
    const focused = row.contains(document.activeElement) ? document.activeElement : null;
    this.body.insertBefore(row, next ?? null);
    focused?.focus({ preventScroll: true });
  }

  #makeRow(entry) {
    const row = this.template.content.firstElementChild.cloneNode(true);
    const button = row.querySelector("[data-take-back]");
    button.addEventListener("click", () => this.onTakeBack(entry));
    row.querySelector("[data-fix]").addEventListener("click", () => this.onFix(entry));
    row.place = entry.place;
    this.rows.set(entry, row);
    return row;
  }

  #fill(row, entry) {
    const [meaning, icon, word] = MEANINGS[entry.kind];
    const chip = row.querySelector(".chip");
    row.querySelector(".file-name").textContent = entry.shownAs || entry.name;
    row.querySelector("[data-fix]").hidden = entry.kind !== "rejected" || !this.isOver();
    row.querySelector("[data-size]").textContent = entry.size === null ? "" : sizeWords(entry.size);
    const bar = row.querySelector("progress");
    bar.hidden = entry.size === null || !(MOVING.includes(entry.kind) || entry.sent > 0) || [...SETTLED_WELL, "check", "rejected", "left_out", "cancelled"].includes(entry.kind);
    bar.value = entry.size ? entry.sent / entry.size : 1;
    chip.className = `chip chip-${meaning}`;
    chip.querySelector("use").setAttribute("href", `${this.icons}#${icon}`);
    chip.querySelector(".chip-word").textContent = word;
    const words = row.querySelector("[data-words]");
    words.textContent = [entry.message, entry.action].filter(Boolean).join(" ");
    if (entry.studyUrl) {
      const link = document.createElement("a");
      link.href = entry.studyUrl;
      link.textContent = "Open study";
      words.append(" ", link);
    }
    const button = row.querySelector("[data-take-back]");
    button.hidden = !CAN_BE_TAKEN_BACK.includes(entry.kind);
    button.closest("td").classList.toggle("card-skip", button.hidden && row.querySelector("[data-fix]").hidden);
    button.setAttribute("aria-label", `${MOVING.includes(entry.kind) ? "Cancel" : "Remove"} ${entry.name}`);
  }

  #showMore() {
    this.more.hidden = this.hidden.size === 0;
    if (this.hidden.size === 0) return;
    const waiting = [...this.hidden].filter((entry) => entry.kind === "waiting").length;
    const done = this.hidden.size - waiting;
    const parts = [done && `${plural(done, "file")} arrived`, waiting && `${waiting.toLocaleString("en-GB")} waiting`].filter(Boolean);
    this.more.querySelector("span").textContent = `Not listed: ${parts.join(", ")}.`;
  }

  #showAll() {
    this.#showsAll = true;
    const first = [...this.hidden][0];
    for (const entry of this.hidden) this.paint(entry);
    requestAnimationFrame(() => this.rows.get(first)?.scrollIntoView({ block: "nearest" }));
    this.body.closest("table").focus();
  }
}
