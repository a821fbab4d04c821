// The box that says how a batch ended: what was received, what was rejected, and of whom.
import { plural } from "./upload-rows.js";

const LINKS_SHOWN = 8;
const LOOKS = { ok: "check-circle-fill", attention: "exclamation-triangle-fill", urgent: "exclamation-octagon-fill" };

const studyWords = (count) => (count === 1 ? "1 study" : `${count.toLocaleString("en-GB")} studies`);

const rejectedWords = (rejected, files) => {
  if (!rejected) return "";
  return ` ${rejected.toLocaleString("en-GB")} of ${plural(files, "file")} ${rejected === 1 ? "was" : "were"} rejected: its row says why.`.replace("were rejected: its row says", "were rejected: their rows say");
};

/* `nothingNew`: every file that could be stored was held before. */
export const wordsOf = ({ studies, rejected, files, nothingNew }) => {
  if (!studies) return rejected ? `Nothing could be stored.${rejectedWords(rejected, files)}` : "No study could be stored from these files. Each row below says why.";
  const received = nothingNew ? `${studyWords(studies)}: every file that could be stored was already held.` : `${studyWords(studies)} received. Classification has begun.`;
  return received + rejectedWords(rejected, files);
};

const linkTo = (study) => {
  const link = document.createElement("a");
  link.className = "btn btn-plain btn-study";
  link.href = study.url;
  link.dataset.study = "";
  const name = document.createElement("bdi");
  name.className = "strong";
  name.textContent = study.patient;
  const about = document.createElement("span");
  about.className = "soft";
  about.textContent = [study.patient_id, study.description].filter(Boolean).join(" · ");
  link.append(name, " ", about);
  return link;
};

/* Fill the box and show it; returns what it says. */
export const showResult = (part, icons, { studies, rejected, files, nothingNew, url }) => {
  const words = wordsOf({ studies: studies.length, rejected, files, nothingNew });
  const box = part("result");
  const look = studies.length === 0 ? "urgent" : rejected ? "attention" : "ok";
  box.className = `note note-${look}`;
  box.querySelector("use").setAttribute("href", `${icons}#${LOOKS[look]}`);
  part("result-words").textContent = words;
  for (const old of box.querySelectorAll("[data-study]")) old.remove();
  for (const study of studies.slice(0, LINKS_SHOWN)) part("result-batch").before(linkTo(study));
  const more = studies.length - LINKS_SHOWN;
  part("result-batch").textContent = more > 0 ? `See the whole batch (${more} more)` : "See the whole batch";
  part("result-batch").href = url;
  box.hidden = false;
  // Who pressed Send below a long list or form is to see what came of it.
  box.scrollIntoView({ block: "nearest" });
  return words;
};
