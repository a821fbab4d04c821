// The window tried by hand: the frame's own values, turned into grey levels by the server's arithmetic.

import { fetchOrExplain } from "./viewer-frames.js";

const KINDS = { int16: Int16Array, uint16: Uint16Array, float32: Float32Array, float64: Float64Array };
const STEPS = 65536;

let held = null; // the one frame whose values are here: a mammogram's are 40 MB
let coming = null;

export const dropValues = () => {
  coming?.controller.abort();
  coming = null;
  held = null;
};

export const valuesOf = (url) => (held?.url === url ? held : null);

export const fetchValues = (url) => {
  if (held?.url === url) return Promise.resolve(held);
  if (coming?.url === url) return coming.promise;
  dropValues();
  const controller = new AbortController();
  const promise = (async () => {
    const response = await fetchOrExplain(url, controller.signal, "application/octet-stream");
    const described = JSON.parse(response.headers.get("Frame-Values"));
    const values = new KINDS[described.kind](await response.arrayBuffer());
    if (coming?.url === url) held = { ...described, url, values };
    return held;
  })();
  coming = { url, controller, promise };
  return promise;
};

/* DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3, as `ml.images.display` has them. */
const levelOf = (frame, { center, width }) => {
  const [first, sign] = frame.is_inverted ? [255, -1] : [0, 1];
  if (frame.function === "SIGMOID") {
    return (value) => 255 / (1 + Math.exp((sign * -4 * (value - center)) / width));
  }
  const isLinear = frame.function === "LINEAR";
  const middle = isLinear ? center - 0.5 : center;
  const span = isLinear ? width - 1 : width;
  const low = middle - span / 2;
  if (span <= 0) return (value) => first + sign * (value > low ? 255 : 0);
  return (value) => first + sign * Math.min(255, Math.max(0, ((value - low) * 255) / span));
};

/* Little-endian RGBA. */
const grey = (level) => (0xff000000 | (level << 16) | (level << 8) | level) >>> 0;

export const drawWindow = (frame, window_, canvas) => {
  const context = canvas.getContext("2d");
  frame.picture ??= context.createImageData(frame.columns, frame.rows);
  const { picture } = frame;
  const pixels = new Uint32Array(picture.data.buffer);
  const level = levelOf(frame, window_);
  const { values } = frame;
  if (values.BYTES_PER_ELEMENT === 2) {
    const table = new Uint32Array(STEPS);
    const first = values instanceof Int16Array ? -STEPS / 2 : 0;
    for (let step = 0; step < STEPS; step += 1) table[step] = grey(Math.round(level(first + step)));
    for (let place = 0; place < values.length; place += 1) pixels[place] = table[values[place] - first];
  } else {
    for (let place = 0; place < values.length; place += 1) pixels[place] = grey(Math.round(level(values[place])));
  }
  context.putImageData(picture, 0, 0);
};
