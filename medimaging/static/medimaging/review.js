// The review form: C, O and U choose, Enter signs; only the questions that the choice needs are shown.
import { restoreDraft } from "./drafts.js";
import { announce, isTyping } from "./page.js";

const KEYS = { c: "confirm", o: "override", u: "uninterpretable" };

// The result stays where it is while one decides: focus never scrolls it away.
const focusOn = (element) => element?.focus({ preventScroll: true });

const chosen = (form) => form.querySelector("[name=decision]:checked");

const showReasons = (form, decision) => {
  const select = form.querySelector("[name=reason]");
  for (const option of select.options) {
    const fits = !option.dataset.for || option.dataset.for.split(" ").includes(decision);
    option.hidden = option.disabled = !fits;
    if (!fits && option.selected) select.value = "";
  }
};

const signWords = (form) => {
  const words = chosen(form)?.dataset.signWords;
  if (!words) return "Choose a decision first";
  const label = form.querySelector("[name=label]");
  const finding = !label.disabled && label.value ? label.selectedOptions[0].textContent : "";
  return finding ? `${words}: ${finding}` : words;
};

const showQuestions = (form) => {
  const decision = chosen(form)?.value ?? "";
  for (const part of form.querySelectorAll("[data-shown-for]")) {
    const shown = part.dataset.shownFor.split(" ").includes(decision);
    part.hidden = !shown;
    for (const field of part.querySelectorAll("select, input, textarea")) field.disabled = !shown;
  }
  showReasons(form, decision);
  const sign = form.querySelector("[data-sign]");
  sign.disabled = decision === "";
  sign.querySelector("span").textContent = signWords(form);
};

document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-review]");
  if (form && ["decision", "label"].includes(event.target.name)) showQuestions(form);
});

document.addEventListener("keydown", (event) => {
  const decision = KEYS[event.key.toLowerCase()];
  if (!decision || document.documentElement.dataset.shortcuts === "off" || isTyping(event) || event.shiftKey) return;
  const form = document.activeElement.closest("[data-review]") ?? document.querySelector("[data-review]");
  if (!form) return;
  const choice = form.querySelector(`[name=decision][value=${decision}]`);
  event.preventDefault();
  if (!choice) {
    announce("There is no answer to confirm. State a finding with O, or that it can't be assessed with U.");
    return;
  }
  choice.checked = true;
  showQuestions(form);
  form.dispatchEvent(new CustomEvent("review:chosen", { bubbles: true }));
  focusOn(form.querySelector("[data-shown-for]:not([hidden]) select") ?? form.querySelector("[data-sign]"));
  announce(`${choice.dataset.words} chosen.`);
});

// After a decision focus goes where the next one is: another answer of this study, else the way on.
const goOn = (panel) => {
  const next = document.querySelector("[data-review] [name=decision]") ?? panel.querySelector("[data-next-action]");
  panel.closest(".study-opinion")?.scrollTo({ top: Math.max(0, panel.offsetTop - 16) });
  focusOn(next);
};

const prepare = (element) => {
  for (const form of element.querySelectorAll("[data-review]:not([data-ready])")) {
    form.dataset.ready = "";
    restoreDraft(form);
    showQuestions(form);
  }
};

document.addEventListener("htmx:load", (event) => {
  const element = event.detail.elt;
  prepare(element.parentElement ?? document);
  if (!element.querySelector) return;
  const said = element.querySelector("[data-focus-on-load]");
  if (said) said.focus();
  else if (element.querySelector("[data-signed-now]")) goOn(element);
});
prepare(document);
