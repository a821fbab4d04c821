// The heat map: its switch sits in the opinion, its picture lies on the frame on screen and on no other.

import { fetchOrExplain } from "./viewer-frames.js";

const asData = (blob) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });

export const makeMap = ({ picture, words, addressOf }) => {
  let panel = null; // the opinion whose map is on
  let shown = null; // the frame on screen
  let controller = null;

  const isOn = () => panel?.isConnected && panel.querySelector("[data-overlay-switch]").checked;

  const clear = (text = "") => {
    controller?.abort();
    controller = null;
    picture.hidden = true;
    picture.removeAttribute("src");
    words.textContent = text;
  };

  const draw = async () => {
    clear();
    if (!isOn() || !shown) return;
    const own = new AbortController();
    controller = own;
    const label = panel.querySelector("[data-overlay-label]").value;
    const stage = panel.dataset.overlayStage ? ` · ${panel.dataset.overlayStage}` : "";
    words.textContent = "Loading the heat map …";
    try {
      const url = `${addressOf(panel.dataset.overlayUrl, shown)}?label=${encodeURIComponent(label)}`;
      const response = await fetchOrExplain(url, own.signal, "image/png");
      const said = decodeURIComponent(response.headers.get("Map-Words") ?? "");
      const data = await asData(await response.blob());
      if (own.signal.aborted) return;
      picture.src = data;
      await picture.decode();
      if (own.signal.aborted) return;
      picture.style.opacity = panel.querySelector("[data-overlay-opacity]").value / 100;
      picture.hidden = false;
      words.textContent = `Heat map: ${said}${stage}`;
    } catch {
      if (!own.signal.aborted) clear("No heat map for this image");
    }
  };

  const onInput = (event) => {
    const own = event.target.closest("[data-overlay-url]");
    if (!own) return;
    if (event.target.matches("[data-overlay-opacity]")) {
      picture.style.opacity = event.target.value / 100;
      return;
    }
    if (!event.target.matches("[data-overlay-switch], [data-overlay-label]")) return;
    if (event.target.matches("[data-overlay-switch]:checked")) {
      for (const other of document.querySelectorAll("[data-overlay-switch]")) other.checked = other === event.target;
    }
    panel = own;
    draw();
  };

  document.addEventListener("input", onInput);
  return {
    /* The picture on screen is another one now, or none. */
    follow: (item) => {
      if (item === shown && item) return;
      shown = item;
      draw();
    },
    /* The opinion may have been drawn anew, with its switch off. */
    check: () => {
      if (panel && !panel.isConnected) draw();
    },
    toggle: () => {
      const box = (isOn() ? panel : document).querySelector("[data-overlay-switch]");
      const fold = box?.closest("[data-overlay-fold]");
      // What is said of maps that nobody should rely on is read before one is drawn.
      if (fold && !fold.open && !box.checked) fold.open = true;
      else box?.click();
    },
  };
};
