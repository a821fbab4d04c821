// What every page needs: menus that remember, keys, polite announcements, and forms that ask before they act.

import { announce, isTyping } from "./page.js";

const root = document.documentElement;

const remember = (key, value) => {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage is switched off: the choice lasts until the page is left.
  }
};

const toast = (text, linkText, href) => {
  const box = document.createElement("div");
  box.className = "note note-urgent";
  const words = document.createElement("p");
  words.textContent = text;
  if (href) {
    const link = document.createElement("a");
    link.href = href;
    link.textContent = linkText;
    words.append(" ", link);
  }
  const close = document.createElement("button");
  close.type = "button";
  close.className = "btn btn-ghost btn-small";
  close.textContent = "Close";
  close.addEventListener("click", () => box.remove());
  box.append(words, close);
  document.getElementById("toasts").replaceChildren(box);
};

/* ── Theme, rail, shortcuts: kept in this browser ── */
const showTheme = () => {
  for (const item of document.querySelectorAll("[data-theme]")) {
    item.setAttribute("aria-checked", String(item.dataset.theme === root.dataset.themeChoice));
  }
};

const showRail = () => {
  const narrow = root.dataset.rail === "narrow";
  for (const button of document.querySelectorAll("[data-rail-toggle]")) {
    button.setAttribute("aria-pressed", String(narrow));
    button.querySelector(".rail-word").textContent = narrow ? "Widen menu" : "Narrow menu";
  }
};

const showShortcuts = () => {
  const on = root.dataset.shortcuts !== "off";
  for (const button of document.querySelectorAll("[data-shortcuts-toggle]")) {
    button.setAttribute("aria-pressed", String(on));
    for (const word of button.querySelectorAll("[data-shortcuts-word]")) word.textContent = on ? "on" : "off";
  }
};

document.addEventListener("click", (event) => {
  const theme = event.target.closest("[data-theme]");
  if (theme) {
    remember("theme", theme.dataset.theme);
    root.dataset.themeChoice = theme.dataset.theme;
    document.dispatchEvent(new Event("theme:changed"));
    showTheme();
  }
  if (event.target.closest("[data-rail-toggle]")) {
    root.dataset.rail = root.dataset.rail === "narrow" ? "wide" : "narrow";
    remember("rail", root.dataset.rail);
    showRail();
  }
  if (event.target.closest("[data-shortcuts-toggle]")) {
    root.dataset.shortcuts = root.dataset.shortcuts === "off" ? "on" : "off";
    remember("shortcuts", root.dataset.shortcuts);
    showShortcuts();
    announce(`Single-key shortcuts are ${root.dataset.shortcuts}.`);
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).value).then(() => announce("Copied."));
  }
  const row = event.target.closest("tr[data-href]");
  if (row && !event.target.closest("a, button, input, label") && !getSelection().toString()) {
    location.assign(row.dataset.href);
  }
});

/* ── Single keys, which can be switched off in the account menu ── */
document.addEventListener("keydown", (event) => {
  if (root.dataset.shortcuts === "off" || isTyping(event)) return;
  if (event.key === "/") {
    const field = document.querySelector("[data-shortcut='/']");
    if (field) {
      event.preventDefault();
      field.focus();
    }
  }
});

/* ── Forms ── */
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-autosubmit]");
  if (form && event.target.matches("select, input[type=date], input[type=checkbox]")) form.requestSubmit();
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.confirm && !window.confirm(form.dataset.confirm)) {
    event.preventDefault();
    return;
  }
  if (form.matches("form[data-autosubmit]") && !event.submitter?.hasAttribute("data-keep-post")) {
    // Search text may name a patient and is posted; plain filters make a link that can be kept.
    const texts = [...form.querySelectorAll("[data-private]")];
    if (!texts.some((field) => field.value.trim())) {
      form.method = "get";
      for (const field of [...form.querySelectorAll("[name=csrfmiddlewaretoken]"), ...texts]) field.disabled = true;
      for (const field of form.querySelectorAll("select, input")) if (!field.value) field.disabled = true;
    }
  }
});

addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("form[data-autosubmit] :disabled")) field.disabled = false;
});

/* ── Running seconds ── */
const tick = () => {
  for (const element of document.querySelectorAll("time[data-elapsed]")) {
    const seconds = Math.max(0, Math.round((Date.now() - Date.parse(element.dateTime)) / 1000));
    element.textContent = seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
  }
};
setInterval(tick, 1000);

/* ── htmx: say what changed, notice a lost session, keep quiet about the rest ── */
const announced = new Map();
document.addEventListener("htmx:load", (event) => {
  tick();
  const element = event.detail.elt;
  const said = element.matches?.("[data-announce]") ? element : element.querySelector?.("[data-announce]");
  if (said && announced.get(said.id) !== said.dataset.announce) {
    if (announced.has(said.id)) announce(said.dataset.announce);
    announced.set(said.id, said.dataset.announce);
  }
});

const keeps = (event) => (event.detail.elt.closest("[data-draft-url]") ? " What you typed is kept." : "");

document.addEventListener("htmx:beforeSwap", (event) => {
  const address = event.detail.xhr.responseURL;
  const signIn = document.body.dataset.signInUrl;
  if (address && signIn && new URL(address).pathname === signIn) {
    event.detail.shouldSwap = false;
    toast(`You have been signed out. What is on this page may be out of date.${keeps(event)}`, "Sign in again", `${signIn}?next=${encodeURIComponent(location.pathname)}`);
  }
});

document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.requestConfig.verb === "get") return;
  toast(`That wasn't saved: the server refused it.${keeps(event)}`, "Reload the page", location.href);
});

document.addEventListener("htmx:sendError", (event) => {
  if (event.detail.requestConfig.verb === "get") return;
  toast(`That wasn't saved: the server can't be reached.${keeps(event)} Check the network and try again.`);
});

for (const element of document.querySelectorAll("[data-announce]")) announced.set(element.id, element.dataset.announce);
document.querySelector("[data-focus-on-load]")?.focus();
showTheme();
showRail();
showShortcuts();
tick();
