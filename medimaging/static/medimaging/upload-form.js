// The form beside an upload: what it needs follows the files, and a typed patient ID shows who is known under it.
import { announce } from "./page.js";

const ASK_AFTER_MS = 400;
const ASKED = ["department", "patient_id", "issuer", "patient_name", "birth_date", "sex"];

export class UploadForm {
  #asking = null;
  #timer = 0;

  constructor(form, token) {
    this.form = form;
    this.token = token;
    this.known = form.querySelector("[data-part=known]");
    this.needsPatient = false;
    this.offered = new Map(Array.from(form.elements, (field) => [field.name, field.parentElement.querySelector(".optional")?.textContent]));
    form.addEventListener("input", (event) => {
      this.#clearError(event.target);
      if (ASKED.includes(event.target.name)) this.#askSoon();
    });
    this.known.addEventListener("click", (event) => {
      const chosen = event.target.closest("[data-use-known]")?.closest("[data-known]");
      if (chosen) this.#use(chosen.dataset);
    });
    if (form.elements.patient_id.value) this.#askSoon();
  }

  get values() {
    return new FormData(this.form);
  }

  /* A picture doesn't say whom it shows: the patient ID is needed as soon as one is chosen. */
  setNeedsPatient(isNeeded) {
    if (this.needsPatient === isNeeded) return;
    this.needsPatient = isNeeded;
    const field = this.form.elements.patient_id;
    field.toggleAttribute("required", isNeeded);
    const word = field.parentElement.querySelector(".optional");
    word.textContent = isNeeded ? "(needed for a picture)" : this.offered.get("patient_id");
    word.classList.toggle("is-needed", isNeeded);
    if (isNeeded) this.#open(field);
  }

  /* Whether everything that is needed is there; what isn't is said beside its field. */
  check() {
    const { department, patient_id: patientId } = this.form.elements;
    const errors = {};
    if (department.required && !department.value) errors.department = ["Choose the department that the images belong to."];
    if (this.needsPatient && !patientId.value.trim()) errors.patient_id = ["Enter whom the picture shows: it doesn't say so itself."];
    if (Object.keys(errors).length) this.showErrors(errors);
    return !Object.keys(errors).length;
  }

  showErrors(errors) {
    for (const field of this.form.querySelectorAll("[aria-invalid]")) this.#clearError(field);
    for (const old of this.form.querySelectorAll("[data-sent-error]")) old.remove();
    let first = null;
    for (const [name, messages] of Object.entries(errors)) {
      const field = this.form.elements[name];
      const box = document.createElement("div");
      box.className = "field-error";
      box.dataset.sentError = "";
      box.id = `sent_error_${name}`;
      box.textContent = messages.map((message) => message.message ?? message).join(" ");
      if (field) {
        field.setAttribute("aria-invalid", "true");
        field.setAttribute("aria-describedby", box.id);
        this.#open(field);
        field.after(box);
        first ??= field;
      } else {
        this.form.prepend(box);
      }
    }
    first?.focus();
    announce("The form has errors. Nothing was sent.");
  }

  lock(isLocked) {
    for (const field of this.form.elements) field.disabled = isLocked;
    this.form.classList.toggle("is-locked", isLocked);
    if (!isLocked) return;
    this.known.replaceChildren();
    // What is settled makes room for the verdicts.
    for (const details of this.form.querySelectorAll("details")) details.open = false;
  }

  focusOn(name) {
    const field = this.form.elements[name];
    this.#open(field);
    field.focus();
    field.select?.();
  }

  #open(field) {
    for (let around = field.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
  }

  #clearError(field) {
    if (field.getAttribute?.("aria-invalid") !== "true") return;
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
    document.getElementById(`sent_error_${field.name}`)?.remove();
  }

  #askSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), ASK_AFTER_MS);
  }

  /* Who is known, drawn by the server; an answer that came too late for what stands here now is dropped. */
  async #ask() {
    this.#asking?.abort();
    this.#asking = new AbortController();
    if (!this.form.elements.patient_id.value.trim()) {
      this.known.replaceChildren();
      return;
    }
    const body = new FormData();
    for (const [name, value] of this.values) if (ASKED.includes(name)) body.append(name, value);
    try {
      const answer = await fetch(this.form.dataset.knownUrl, { method: "POST", body, headers: { "X-CSRFToken": this.token }, signal: this.#asking.signal });
      if (answer.ok) this.known.innerHTML = await answer.text();
    } catch {
      // Without an answer the server still compares when the files arrive.
    }
  }

  #use({ name, birthDate, sex, issuer }) {
    const { elements } = this.form;
    elements.patient_name.value = name;
    elements.birth_date.value = birthDate;
    elements.sex.value = sex;
    elements.issuer.value = issuer;
    elements.patient_name.focus();
    this.#ask();
  }
}
