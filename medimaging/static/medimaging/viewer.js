// The image viewer: frames drawn by the server, moved and windowed here. Every drag has a button and a key.

const NIL = "00000000-0000-0000-0000-000000000000";
const FRAME = "999999999";
const KEPT_IMAGES = 96;

const viewer = document.querySelector("[data-viewer]");
const data = JSON.parse(document.getElementById("viewer-data").textContent);
const part = (name) => viewer.querySelector(`[data-part="${name}"]`);
const stage = part("stage");
const layer = part("image");
const overlay = part("overlay");
const slider = part("slider");
const centerInput = part("center");
const widthInput = part("width");

const state = { series: null, index: 0, zoom: 1, x: 0, y: 0, inverted: false, window: null, drawn: null, panel: null };
const images = new Map();

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const address = (pattern, slice) => pattern.replace(NIL, slice.instance).replace(FRAME, slice.frame);
const slice = () => state.series.slices[state.index];

/* ── Fetching ── */
const frameUrl = (item) => {
  const url = address(viewer.dataset.frameUrl, item);
  return state.window ? `${url}?center=${state.window.center}&width=${state.window.width}` : url;
};

const fetchImage = (url) => {
  const known = images.get(url);
  if (known) return known;
  const image = new Image();
  image.alt = "";
  image.src = url;
  images.set(url, image);
  if (images.size > KEPT_IMAGES) images.delete(images.keys().next().value);
  return image;
};

const prefetch = () => {
  for (const step of [1, 2, -1]) {
    const next = state.series.slices[state.index + step];
    if (next) fetchImage(frameUrl(next));
  }
};

const showMessage = (text) => {
  part("message").textContent = text;
};

let wanted = "";
const showFrame = async () => {
  const item = slice();
  const url = frameUrl(item);
  wanted = url;
  const image = fetchImage(url);
  try {
    await image.decode();
  } catch {
    images.delete(url);
    if (wanted === url) {
      layer.querySelector(".frame-image")?.remove();
      showMessage(`Image ${state.index + 1} can't be shown. Open the file in another viewer before you decide.`);
    }
    return;
  }
  if (wanted !== url) return;
  showMessage("");
  image.className = "frame-image";
  layer.querySelector(".frame-image")?.remove();
  layer.prepend(image);
  state.drawn = currentWindow();
  showFilter();
  prefetch();
};

/* ── Window and level ── */
const currentWindow = () => {
  if (state.window) return state.window;
  const item = slice();
  return item.center === null || item.width === null ? null : { center: item.center, width: item.width };
};

const setWindow = (window_) => {
  state.window = window_ && { center: Number(window_.center.toFixed(1)), width: Number(Math.max(1, window_.width).toFixed(1)) };
  showWindow();
};

const showWindow = () => {
  const shown = currentWindow();
  centerInput.value = shown ? shown.center : "";
  widthInput.value = shown ? shown.width : "";
  centerInput.disabled = widthInput.disabled = part("preset").disabled = slice().colour || !shown;
  part("window-words").textContent = shown && !slice().colour ? `C ${Math.round(shown.center)}  W ${Math.round(shown.width)}` : "";
};

/* While the hand moves, the drawn picture is stretched by the exact linear map between the two windows; the server then draws the true one. */
const showFilter = () => {
  const image = layer.querySelector(".frame-image");
  if (!image) return;
  const filters = [];
  const now = currentWindow();
  if (now && state.drawn && (now.center !== state.drawn.center || now.width !== state.drawn.width)) {
    const slope = state.drawn.width / now.width;
    const shift = (state.drawn.center - now.center) / now.width + 0.5 - 0.5 * slope;
    for (const channel of viewer.querySelectorAll("[data-part='preview'] > *")) {
      channel.setAttribute("slope", slope);
      channel.setAttribute("intercept", shift);
    }
    filters.push("url(#window-preview)");
  }
  if (state.inverted) filters.push("invert(1)");
  image.style.filter = filters.join(" ");
};

/* ── Place and size ── */
const showPlace = () => {
  layer.style.transform = `translate(${state.x}px, ${state.y}px) scale(${state.zoom})`;
  stage.style.touchAction = state.zoom > 1 ? "none" : "pan-y"; // unzoomed, a finger scrolls the page
  part("zoom-words").textContent = `Zoom ${Math.round(state.zoom * 100)} %`;
};

const zoomBy = (factor) => {
  const before = state.zoom;
  state.zoom = clamp(state.zoom * factor, 0.5, 12);
  state.x *= state.zoom / before;
  state.y *= state.zoom / before;
  showPlace();
};

const panBy = (dx, dy) => {
  state.x += dx;
  state.y += dy;
  showPlace();
};

const reset = () => {
  Object.assign(state, { zoom: 1, x: 0, y: 0, inverted: false });
  part("invert").setAttribute("aria-pressed", "false");
  part("preset").value = "";
  setWindow(null);
  showPlace();
  showFrame();
};

const invert = () => {
  state.inverted = !state.inverted;
  part("invert").setAttribute("aria-pressed", String(state.inverted));
  showFilter();
};

/* ── Slices and series ── */
let speaking = 0;
const showSlice = () => {
  const count = state.series.slices.length;
  const item = slice();
  const words = `Slice ${state.index + 1} of ${count}`;
  slider.value = state.index + 1;
  slider.setAttribute("aria-valuetext", words);
  part("slice-words").textContent = words;
  part("corner-slice").textContent = item.number ? `${words} · Im ${item.number}` : words;
  part("previous").disabled = state.index === 0;
  part("next").disabled = state.index === count - 1;
  if (part("download")) part("download").href = address(viewer.dataset.fileUrl, item);
  clearTimeout(speaking);
  speaking = setTimeout(() => (part("spoken").textContent = words), 400);
  showWindow();
  showFrame();
  showOverlay();
};

const goTo = (index) => {
  const next = clamp(index, 0, state.series.slices.length - 1);
  if (next === state.index) return;
  state.index = next;
  showSlice();
};

const openSeries = (id, index = 0) => {
  state.series = data.series.find((entry) => entry.id === id) ?? data.series[0];
  state.index = clamp(index, 0, state.series.slices.length - 1);
  state.window = null;
  slider.max = state.series.slices.length;
  part("slices").hidden = state.series.slices.length < 2;
  part("corner-series").textContent = state.series.label;
  for (const button of document.querySelectorAll("[data-series]")) {
    button.setAttribute("aria-pressed", String(button.dataset.series === state.series.id));
  }
  showSlice();
};

const goToImage = (instance, frame) => {
  for (const series of data.series) {
    const index = series.slices.findIndex((item) => item.instance === instance && String(item.frame) === String(frame));
    if (index < 0) continue;
    if (series === state.series) goTo(index);
    else openSeries(series.id, index);
    return;
  }
};

/* ── Heat map: its switch sits in the opinion, its picture here ── */
const showOverlay = () => {
  const panel = state.panel;
  const on = panel?.querySelector("[data-overlay-switch]")?.checked ?? false;
  overlay.hidden = true;
  part("corner-map").textContent = "";
  if (!on) return;
  const label = panel.querySelector("[data-overlay-label]");
  const url = `${address(panel.dataset.overlayUrl, slice())}?label=${encodeURIComponent(label.value)}`;
  overlay.onload = () => {
    overlay.hidden = false;
    const words = panel.dataset.overlayWords || label.selectedOptions?.[0]?.textContent.trim() || label.value;
    const stage = panel.dataset.overlayStage ? ` · ${panel.dataset.overlayStage}` : "";
    part("corner-map").textContent = `Heat map: ${words}${stage}`;
  };
  overlay.onerror = () => (part("corner-map").textContent = "No heat map for this image");
  overlay.style.opacity = panel.querySelector("[data-overlay-opacity]").value / 100;
  overlay.src = url;
};

document.addEventListener("input", (event) => {
  const panel = event.target.closest("[data-overlay-url]");
  if (!panel) return;
  if (event.target.matches("[data-overlay-opacity]")) overlay.style.opacity = event.target.value / 100;
  if (!event.target.matches("[data-overlay-switch], [data-overlay-label]")) return;
  if (event.target.matches("[data-overlay-switch]:checked")) {
    for (const other of document.querySelectorAll("[data-overlay-switch]")) other.checked = other === event.target;
  }
  for (const words of panel.querySelectorAll("[data-overlay-legend]")) {
    words.textContent = panel.querySelector("[data-overlay-label]").selectedOptions?.[0]?.textContent.trim() ?? words.textContent;
  }
  state.panel = panel;
  showOverlay();
});

document.addEventListener("htmx:afterSettle", () => {
  if (!state.panel || state.panel.isConnected) return;
  state.panel = null; // the opinion was drawn anew, with its switch off
  showOverlay();
});

/* ── Hands: buttons, keys, wheel, drag ── */
const actions = {
  "zoom-in": () => zoomBy(1.25),
  "zoom-out": () => zoomBy(0.8),
  previous: () => goTo(state.index - 1),
  next: () => goTo(state.index + 1),
  invert,
  reset,
  "pan-left": () => panBy(-48, 0),
  "pan-right": () => panBy(48, 0),
  "pan-up": () => panBy(0, -48),
  "pan-down": () => panBy(0, 48),
};

const stageKeys = {
  ArrowDown: actions.next,
  ArrowRight: actions.next,
  ArrowUp: actions.previous,
  ArrowLeft: actions.previous,
  PageDown: () => goTo(state.index + 10),
  PageUp: () => goTo(state.index - 10),
  Home: () => goTo(0),
  End: () => goTo(state.series.slices.length - 1),
  "+": actions["zoom-in"],
  "=": actions["zoom-in"],
  "-": actions["zoom-out"],
};

const panKeys = { ArrowLeft: actions["pan-left"], ArrowRight: actions["pan-right"], ArrowUp: actions["pan-up"], ArrowDown: actions["pan-down"] };

const listenToHands = () => {
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
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = (event.shiftKey ? panKeys : {})[event.key] ?? stageKeys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey || state.series.slices.length < 2) zoomBy(event.deltaY < 0 ? 1.1 : 0.91);
    else goTo(state.index + Math.sign(event.deltaY));
  }, { passive: false });
  slider.addEventListener("input", () => goTo(slider.value - 1));
};

const listenToDrags = () => {
  let drag = null;
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    drag = { x: event.clientX, y: event.clientY, button: event.button, start: currentWindow() };
  });
  stage.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const dx = event.clientX - drag.x;
    const dy = event.clientY - drag.y;
    if (drag.button === 2) {
      if (!drag.start || slice().colour) return;
      const step = drag.start.width / 300;
      setWindow({ center: drag.start.center + dy * step, width: drag.start.width + dx * step });
      showFilter();
    } else {
      panBy(dx, dy);
      drag.x = event.clientX;
      drag.y = event.clientY;
    }
  });
  const release = () => {
    if (drag?.button === 2) showFrame();
    drag = null;
  };
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
};

const listenToWindow = () => {
  const typed = () => {
    const center = Number.parseFloat(centerInput.value);
    const width = Number.parseFloat(widthInput.value);
    if (!Number.isFinite(center) || !(width > 0)) return showWindow();
    part("preset").value = "custom";
    setWindow({ center, width });
    return showFrame();
  };
  centerInput.addEventListener("change", typed);
  widthInput.addEventListener("change", typed);
  part("preset").addEventListener("change", (event) => {
    if (event.target.value === "custom") return;
    const [center, width] = event.target.value.split(",").map(Number);
    setWindow(event.target.value ? { center, width } : null);
    showFrame();
  });
};

listenToHands();
listenToDrags();
listenToWindow();
openSeries(data.start?.series, data.start?.slice ?? 0);
showPlace();
