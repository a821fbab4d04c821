// After many failed sign-ins: does the sums that the server asks for, while the password is typed.

import { solve } from "./sums.js";

const form = document.querySelector("form[data-challenge]");

if (form) {
  const state = form.querySelector("[data-work-state]");
  const { challenge, bits } = form.dataset;
  let isDone = false;
  const sums = solve(challenge, Number(bits)).then((number) => {
    form.elements.challenge.value = challenge;
    form.elements.work.value = String(number);
    isDone = true;
  });
  form.addEventListener("submit", (event) => {
    if (isDone) return;
    event.preventDefault();
    state.textContent = "Your browser is doing some sums first. This takes some seconds.";
    sums.then(() => form.submit());
  });
}
