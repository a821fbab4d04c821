// The image viewer: frames drawn by the server. Every word on the stage is about the picture on screen, never about the one asked for.

import { isTyping } from "./page.js";
import { fetchFrame, giveUpAllBut, isKept } from "./viewer-frames.js";
import { listenToPointers, listenToWheel } from "./viewer-hands.js";
import { makeMap } from "./viewer-map.js";
import { makePlace } from "./viewer-place.js";
import { drawWindow, dropValues, fetchValues, valuesOf } from "./viewer-window.js";

const NIL = "00000000-0000-0000-0000-000000000000";
const FRAME = "999999999";
const NEAR = 2; // loads so few slices from the wanted one go on: they are on the way
const MODES = { fit: " · Fit", width: " · Fit width", free: "" };

const viewer = document.querySelector("[data-viewer]");
const data = JSON.parse(document.getElementById("viewer-data").textContent);
const part = (name) => viewer.querySelector(`[data-part="${name}"]`);
const stage = part("stage");
const layer = part("image");
const canvas = part("frame");
const slider = part("slider");

/* A view is a slice of a series in a window, null for the image's own. Two of them: */
let wanted = { series: null, index: 0, window: null }; // what the hands ask for
let shown = null; // what the picture is; `isBlank` where it couldn't be drawn
let isInverted = false;
let isWindowing = false;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const itemOf = (view) => view.series.slices[view.index];
const address = (pattern, item) => pattern.replace(NIL, item.instance).replace(FRAME, item.frame);
const isSameWindow = (first, second) => first?.center === second?.center && first?.width === second?.width;

const frameUrl = (view) => {
  const url = address(viewer.dataset.frameUrl, itemOf(view));
  return view.window ? `${url}?center=${view.window.center}&width=${view.window.width}` : url;
};

const windowOf = (view) => {
  const item = itemOf(view);
  if (item.colour) return null;
  if (view.window) return view.window;
  return item.center === null || item.width === null ? null : { center: item.center, width: item.width };
};

const isSameView = (first, second) =>
  itemOf(first) === itemOf(second) && isSameWindow(windowOf(first), windowOf(second));

/* ── Words ── */
const inWords = (window_) => `C ${Math.round(window_.center)}  W ${Math.round(window_.width)}`;

const showWindow = () => {
  const window_ = windowOf(shown);
  const [center, width, preset] = [part("center"), part("width"), part("preset")];
  center.value = window_ ? window_.center : "";
  width.value = window_ ? window_.width : "";
  center.disabled = width.disabled = preset.disabled = part("windowing").disabled = !window_;
  const named = [...preset.options].find((option) => option.value === `${shown.window?.center},${shown.window?.width}`);
  preset.value = shown.window ? (named?.value ?? "custom") : "";
  part("window-words").textContent = window_ && !shown.isBlank ? inWords(window_) : "";
};

/* The model's score of the slice on screen, beside its table of all of them. */
const showScores = () => {
  if (!shown) return;
  const { instance, frame } = itemOf(shown);
  for (const table of document.querySelectorAll("[data-slice-scores]")) {
    table.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const button = table.querySelector(`[data-goto-instance="${instance}"][data-goto-frame="${frame}"]`);
    const row = button?.closest("tr");
    row?.setAttribute("aria-current", "true");
    table.querySelector("[data-slice-now]").textContent = row
      ? `On screen: image ${row.dataset.number}, ${row.dataset.score}`
      : "The model gave no score for the image on screen.";
  }
};

let speaking = 0;
const speak = (words) => {
  clearTimeout(speaking);
  speaking = setTimeout(() => (part("spoken").textContent = words), 400);
};

const showWords = () => {
  const item = itemOf(shown);
  const words = `Slice ${shown.index + 1} of ${shown.series.slices.length}`;
  part("slice-words").textContent = words;
  slider.setAttribute("aria-valuetext", words);
  part("corner-slice").textContent = item.number ? `${words} · Im ${item.number}` : words;
  part("corner-series").textContent = shown.series.label;
  if (part("download")) part("download").href = address(viewer.dataset.fileUrl, item);
  for (const button of document.querySelectorAll("[data-series]")) {
    button.setAttribute("aria-pressed", String(button.dataset.series === shown.series.id));
  }
  showWindow();
  showScores();
  if (!shown.isBlank) speak(words);
};

const whatIsWanted = () =>
  shown && itemOf(shown) === itemOf(wanted) ? inWords(windowOf(wanted)) : wanted.index + 1;

const showLoading = () => {
  const isLoading = !shown || !isSameView(shown, wanted);
  stage.classList.toggle("is-loading", isLoading);
  if (!isLoading && shown.isBlank) return;
  part("message").textContent = isLoading ? `Loading ${whatIsWanted()} …` : "";
};

const showControls = () => {
  const count = wanted.series.slices.length;
  slider.max = count;
  slider.value = wanted.index + 1;
  part("slices").hidden = count < 2;
  part("previous").disabled = wanted.index === 0;
  part("next").disabled = wanted.index === count - 1;
};

/* ── Pictures ── */
const map = makeMap({
  picture: part("overlay"),
  words: part("corner-map"),
  addressOf: address,
});

const place = makePlace(stage, layer, ({ scale, mode }) => {
  const percent = scale * 100;
  part("zoom-words").textContent = `Zoom ${percent < 9.95 ? percent.toFixed(1) : Math.round(percent)} %${MODES[mode]}`;
  for (const name of ["fit", "width"]) part(`zoom-${name}`).setAttribute("aria-pressed", String(mode === name));
  part("zoom-true").setAttribute("aria-pressed", String(scale === 1));
  stage.classList.toggle("is-free", mode === "free" || isWindowing); // else a finger scrolls the page
});

const isOnTheWay = (view) =>
  shown?.series === wanted.series &&
  view.series === wanted.series &&
  isSameWindow(view.window, wanted.window) &&
  isSameWindow(view.window, shown.window) &&
  Math.abs(view.index - wanted.index) < Math.abs(shown.index - wanted.index);

const isAwaited = (view) => view === wanted || isOnTheWay(view);

const show = (view, bitmap) => {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  canvas.hidden = false;
  if (shown && itemOf(shown) !== itemOf(view)) dropValues();
  shown = view;
  place.take(bitmap.width, bitmap.height);
  showWords();
  showLoading();
  map.follow(itemOf(view));
};

const showNothing = (view, reason) => {
  canvas.hidden = true;
  canvas.width = canvas.height = 0;
  dropValues();
  shown = { ...view, isBlank: true };
  wanted = shown;
  showWords();
  showLoading();
  map.follow(null);
  const words = `Slice ${view.index + 1} can't be shown. ${reason} Look at it in another viewer before you decide.`;
  part("message").textContent = words;
  speak(words);
};

const prefetch = (view, direction) => {
  for (const step of [direction, 2 * direction, -direction]) {
    const index = view.index + step;
    if (view.series.slices[index]) fetchFrame(frameUrl({ ...view, index })).catch(() => {}); // asked for again when wanted
  }
};

const draw = async (view, direction) => {
  let bitmap;
  try {
    const blob = await fetchFrame(frameUrl(view));
    if (!isAwaited(view)) return;
    bitmap = await createImageBitmap(blob);
  } catch (error) {
    if (view === wanted) showNothing(view, error instanceof DOMException ? "Its picture is damaged." : error.message);
    return;
  }
  if (isAwaited(view)) show(view, bitmap);
  bitmap.close();
  if (view === wanted) prefetch(view, direction);
};

const nearUrls = (view) => {
  const urls = new Set();
  for (let index = view.index - NEAR; index <= view.index + NEAR; index += 1) {
    if (view.series.slices[index]) urls.add(frameUrl({ ...view, index }));
  }
  return urls;
};

const ask = (change) => {
  const direction = Math.sign((change.index ?? wanted.index) - wanted.index) || 1;
  wanted = { series: wanted.series, index: wanted.index, window: wanted.window, ...change };
  giveUpAllBut(isKept(frameUrl(wanted)) ? new Set() : nearUrls(wanted));
  showControls();
  showLoading();
  draw(wanted, direction);
};

/* ── Slices and series ── */
const goTo = (index) => {
  const next = clamp(index, 0, wanted.series.slices.length - 1);
  if (next !== wanted.index) ask({ index: next });
};

const openSeries = (id, index = 0) => {
  const series = data.series.find((entry) => entry.id === id) ?? data.series[0];
  ask({ series, index: clamp(index, 0, series.slices.length - 1), window: null });
};

const findImage = (instance, frame) => {
  for (const series of data.series) {
    const index = series.slices.findIndex((item) => item.instance === instance && String(item.frame) === String(frame));
    if (index >= 0) return { series, index };
  }
  return null;
};

const goToImage = (instance, frame) => {
  const found = findImage(instance, frame);
  if (!found) return;
  if (found.series === wanted.series) goTo(found.index);
  else openSeries(found.series.id, found.index);
};

/* ── Window: tried on the frame's own values while the hand moves, then drawn by the server ── */
let drag = null;

const paintWindow = () => {
  const values = drag && valuesOf(drag.url);
  if (!drag?.now || shown.isBlank || itemOf(shown) !== drag.item) return;
  wanted = { ...wanted, window: drag.now };
  if (values) {
    drawWindow(values, drag.now, canvas);
    shown = { ...shown, window: drag.now };
    showWords();
  }
  showLoading();
};

const beginWindow = () => {
  if (!shown || shown.isBlank || !windowOf(shown) || !isSameView(shown, wanted)) return false;
  const item = itemOf(shown);
  drag = { item, start: windowOf(shown), now: null, frame: 0, url: address(viewer.dataset.valuesUrl, item) };
  fetchValues(drag.url).then(paintWindow, () => {}); // without them the window is drawn when the hand lets go
  return true;
};

const moveWindow = (dx, dy) => {
  if (!drag) return;
  const step = drag.start.width / 300;
  drag.now = {
    center: Number((drag.start.center + dy * step).toFixed(1)),
    width: Number(Math.max(1, drag.start.width + dx * step).toFixed(1)),
  };
  cancelAnimationFrame(drag.frame);
  drag.frame = requestAnimationFrame(paintWindow);
};

const endWindow = () => {
  if (!drag) return;
  cancelAnimationFrame(drag.frame);
  const { now } = drag;
  paintWindow();
  drag = null;
  if (now) ask({ window: now });
};

const typeWindow = () => {
  const center = Number.parseFloat(part("center").value);
  const width = Number.parseFloat(part("width").value);
  if (Number.isFinite(center) && width > 0) ask({ window: { center, width } });
  else showWindow();
};

const choosePreset = (value) => {
  if (value === "custom") return showWindow();
  const [center, width] = value.split(",").map(Number);
  return ask({ window: value ? { center, width } : null });
};

/* ── Hands: buttons, keys, wheel, pointers ── */
const press = (name, isOn) => part(name).setAttribute("aria-pressed", String(isOn));

const invert = (isOn) => {
  isInverted = isOn;
  canvas.classList.toggle("is-inverted", isOn);
  press("invert", isOn);
};

const setWindowing = (isOn) => {
  isWindowing = isOn;
  press("windowing", isOn);
  place.draw();
};

const reset = () => {
  invert(false);
  setWindowing(false);
  place.fit();
  ask({ window: null });
};

const actions = {
  "zoom-in": () => place.zoomBy(1.25),
  "zoom-out": () => place.zoomBy(0.8),
  "zoom-fit": place.fit,
  "zoom-width": place.fitWidth,
  "zoom-true": () => place.trueSize(),
  previous: () => goTo(wanted.index - 1),
  next: () => goTo(wanted.index + 1),
  windowing: () => setWindowing(!isWindowing),
  invert: () => invert(!isInverted),
  reset,
  "pan-left": () => place.panBy(-48, 0),
  "pan-right": () => place.panBy(48, 0),
  "pan-up": () => place.panBy(0, -48),
  "pan-down": () => place.panBy(0, 48),
};

const stageKeys = {
  ArrowDown: actions.next,
  ArrowRight: actions.next,
  ArrowUp: actions.previous,
  ArrowLeft: actions.previous,
  PageDown: () => goTo(wanted.index + 10),
  PageUp: () => goTo(wanted.index - 10),
  Home: () => goTo(0),
  End: () => goTo(wanted.series.slices.length - 1),
  "+": actions["zoom-in"],
  "=": actions["zoom-in"],
  "-": actions["zoom-out"],
};
const panKeys = { ArrowLeft: actions["pan-left"], ArrowRight: actions["pan-right"], ArrowUp: actions["pan-up"], ArrowDown: actions["pan-down"] };
/* From anywhere on the page, unless single keys are switched off. */
const pageKeys = { i: actions.invert, r: reset, m: map.toggle, f: place.fit, w: place.fitWidth, 1: actions["zoom-true"] };

const listenToKeys = () => {
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = (event.shiftKey ? panKeys : {})[event.key] ?? stageKeys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  document.addEventListener("keydown", (event) => {
    const isOff = document.documentElement.dataset.shortcuts === "off" && document.activeElement !== stage;
    if (isOff || event.shiftKey || isTyping(event) || !Object.hasOwn(pageKeys, event.key.toLowerCase())) return;
    event.preventDefault();
    pageKeys[event.key.toLowerCase()]();
  });
};

const listenToControls = () => {
  viewer.addEventListener("click", (event) => {
    const name = event.target.closest("button")?.dataset.part;
    if (name in actions) actions[name]();
  });
  document.addEventListener("click", (event) => {
    const series = event.target.closest("[data-series]");
    if (series) openSeries(series.dataset.series);
    const image = event.target.closest("[data-goto-instance]");
    if (image) goToImage(image.dataset.gotoInstance, image.dataset.gotoFrame);
  });
  document.addEventListener("htmx:afterSettle", () => {
    map.check();
    showScores();
  });
  slider.addEventListener("input", () => goTo(slider.value - 1));
  part("center").addEventListener("change", typeWindow);
  part("width").addEventListener("change", typeWindow);
  part("preset").addEventListener("change", (event) => choosePreset(event.target.value));
  new ResizeObserver(place.refresh).observe(stage);
};

const turn = (step) => {
  if (wanted.series.slices.length < 2) return false;
  goTo(wanted.index + step);
  return true;
};

listenToControls();
listenToKeys();
listenToWheel(stage, { place, turn });
listenToPointers(stage, { place, isWindowing: () => isWindowing, beginWindow, moveWindow, endWindow });

/* Where the model decided, if it did; else at the first image. */
const deciding = document.querySelector("[data-deciding-instance]")?.dataset;
const start = deciding && findImage(deciding.decidingInstance, deciding.decidingFrame);
openSeries(start?.series.id ?? data.start?.series, start?.index ?? data.start?.slice ?? 0);
