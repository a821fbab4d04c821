// The review form: C, O and U choose, Enter signs; only the questions that the choice needs are shown.
import { announce, isTyping } from "./page.js";

const KEYS = { c: "confirm", o: "override", u: "uninterpretable" };

const showQuestions = (form) => {
  const decision = form.querySelector("[name=decision]:checked")?.value ?? "";
  for (const part of form.querySelectorAll("[data-shown-for]")) {
    const shown = part.dataset.shownFor.split(" ").includes(decision);
    part.hidden = !shown;
    for (const field of part.querySelectorAll("select, input, textarea")) field.disabled = !shown;
  }
  const sign = form.querySelector("[data-sign]");
  sign.disabled = decision === "";
  const words = form.querySelector(`[name=decision]:checked`)?.dataset.signWords;
  sign.querySelector("span").textContent = words ?? "Choose a decision first";
};

document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-review]");
  if (form && event.target.name === "decision") showQuestions(form);
});

document.addEventListener("keydown", (event) => {
  const decision = KEYS[event.key.toLowerCase()];
  if (!decision || document.documentElement.dataset.shortcuts === "off" || isTyping(event) || event.shiftKey) return;
  const form = document.activeElement.closest("[data-review]") ?? document.querySelector("[data-review]");
  const choice = form?.querySelector(`[name=decision][value=${decision}]`);
  if (!choice) return;
  event.preventDefault();
  choice.checked = true;
  showQuestions(form);
  const question = form.querySelector("[data-shown-for]:not([hidden]) select");
  (question ?? form.querySelector("[data-sign]")).focus();
  announce(`${choice.dataset.words} chosen.`);
});

const prepare = (element) => {
  for (const form of element.querySelectorAll("[data-review]")) showQuestions(form);
};

document.addEventListener("htmx:load", (event) => {
  prepare(event.detail.elt.parentElement ?? document);
  event.detail.elt.querySelector?.("[data-focus-on-load]")?.focus();
});
prepare(document);
