// What is typed into a review is kept: by the server within seconds, and in this tab until the server has it.

const WAIT_MS = 1000;
const AT_LATEST_MS = 5000;
const PREFIX = "draft:";

const pending = new Map();

const stored = {
  read(key) {
    try {
      return JSON.parse(sessionStorage.getItem(PREFIX + key) ?? "null");
    } catch {
      return null;
    }
  },
  write(key, values) {
    try {
      sessionStorage.setItem(PREFIX + key, JSON.stringify(values));
    } catch {
      // Storage is switched off or full: the server's copy is the only one.
    }
  },
  remove(key) {
    try {
      sessionStorage.removeItem(PREFIX + key);
    } catch {
      // There was none.
    }
  },
  // On a shared computer a tab may pass from one person to the next.
  dropOthers(person) {
    try {
      for (const key of Object.keys(sessionStorage)) {
        if (key.startsWith(PREFIX) && !key.startsWith(`${PREFIX}${person}:`)) sessionStorage.removeItem(key);
      }
    } catch {
      // There are none.
    }
  },
};

const valuesOf = (form) => {
  const values = {};
  for (const name of ["decision", "label", "reason", "comment"]) values[name] = new FormData(form).get(name) ?? "";
  return values;
};

const say = (form, words) => {
  form.querySelector("[data-draft-said]").textContent = words;
};

// Send what is entered now. Whatever happens, the tab's own copy goes only when the server has this very text.
const send = async (form, { keepalive = false } = {}) => {
  const entry = pending.get(form);
  if (!entry) return;
  clearTimeout(entry.timer);
  entry.timer = null;
  entry.since = null;
  const values = valuesOf(form);
  const body = new FormData();
  body.append("csrfmiddlewaretoken", form.querySelector("[name=csrfmiddlewaretoken]").value);
  for (const [name, value] of Object.entries(values)) body.append(name, value);
  try {
    // Signed out, the server leads to its sign-in page: that is no answer of the draft's.
    const answer = await fetch(form.dataset.draftUrl, { method: "POST", body, keepalive, redirect: "manual" });
    if (!answer.ok) throw new Error(String(answer.status));
    const words = await answer.text();
    if (JSON.stringify(valuesOf(form)) === JSON.stringify(values)) {
      stored.remove(form.dataset.draftKey);
      pending.delete(form);
      say(form, words);
    }
  } catch {
    say(form, "Not saved on the server yet. It is kept in this tab.");
  }
};

const changed = (form) => {
  const now = Date.now();
  const entry = pending.get(form) ?? { timer: null, since: null, sending: null };
  entry.since ??= now;
  clearTimeout(entry.timer);
  stored.write(form.dataset.draftKey, valuesOf(form));
  entry.timer = setTimeout(() => {
    // One request at a time, so that an older text never arrives behind a newer one.
    entry.sending = (entry.sending ?? Promise.resolve()).then(() => send(form));
  }, Math.max(0, Math.min(WAIT_MS, entry.since + AT_LATEST_MS - now)));
  pending.set(form, entry);
};

// Bring back what this tab has and the server has not. Returns whether there was something.
export const restoreDraft = (form) => {
  stored.dropOthers(form.dataset.draftKey.split(":")[0]);
  const values = stored.read(form.dataset.draftKey);
  if (!values || JSON.stringify(values) === JSON.stringify(valuesOf(form))) return false;
  const choice = form.querySelector(`[name=decision][value="${CSS.escape(values.decision)}"]`);
  if (choice) choice.checked = true;
  for (const name of ["label", "reason", "comment"]) {
    const field = form.querySelector(`[name=${name}]`);
    if (field) field.value = values[name];
  }
  say(form, "Draft kept in this tab, not signed");
  changed(form);
  return true;
};

document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-draft-url]");
  if (form) changed(form);
});

document.addEventListener("review:chosen", (event) => changed(event.target));

// The decision itself goes after the draft that is under way, which would else arrive when it is signed.
document.addEventListener("htmx:confirm", (event) => {
  const form = event.target.closest?.("[data-draft-url]");
  const entry = form && pending.get(form);
  if (!entry || event.detail.elt !== form) return;
  clearTimeout(entry.timer);
  if (!entry.sending) return;
  event.preventDefault();
  entry.sending.then(() => event.detail.issueRequest(true));
});

document.addEventListener("htmx:afterRequest", (event) => {
  // The answer has replaced the form by now: the event's own element is what stands around it.
  const { requestConfig: { elt: form }, xhr } = event.detail;
  if (!form.matches("[data-draft-url]")) return;
  const isAnswered = [200, 409].includes(xhr.status) && xhr.getResponseHeader("HX-Trigger-After-Swap");
  if (isAnswered) {
    stored.remove(form.dataset.draftKey);
    pending.delete(form);
  } else if (pending.has(form)) {
    changed(form);
  }
});

const sendAll = () => {
  for (const form of pending.keys()) send(form, { keepalive: true });
};

addEventListener("pagehide", sendAll);
// Signing out, for one, ends what a later request would need.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-draft-url]")) sendAll();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") sendAll();
});
