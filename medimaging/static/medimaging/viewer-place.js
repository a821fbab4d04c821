// Where the image lies on the stage and how large. `scale` is in screen pixels for one image pixel: 1 is 100 %.

const LARGEST = 32;
const SMALLEST = 0.02;

export const makePlace = (stage, layer, say) => {
  const place = { mode: "fit", scale: 1, x: 0, y: 0, columns: 0, rows: 0 };
  const ratio = () => window.devicePixelRatio || 1;
  const round = (value) => Math.round(value * ratio()) / ratio(); // on whole screen pixels, so that 100 % is sharp

  const draw = () => {
    if (!place.columns) return;
    layer.style.width = `${place.columns}px`;
    layer.style.height = `${place.rows}px`;
    layer.style.transform = `translate(${round(place.x)}px, ${round(place.y)}px) scale(${place.scale / ratio()})`;
    say(place);
  };

  const centre = () => {
    const size = place.scale / ratio();
    place.x = (stage.clientWidth - place.columns * size) / 2;
    place.y = (stage.clientHeight - place.rows * size) / 2;
  };

  const settle = (mode) => {
    place.mode = mode;
    if (!place.columns) return;
    const across = stage.clientWidth / place.columns;
    const down = stage.clientHeight / place.rows;
    if (mode === "fit") place.scale = Math.min(across, down) * ratio();
    if (mode === "width") place.scale = across * ratio();
    centre();
    draw();
  };

  /* About a point of the stage, which stays where it is. */
  const scaleTo = (scale, at) => {
    const point = at ?? { x: stage.clientWidth / 2, y: stage.clientHeight / 2 };
    const next = Math.min(LARGEST, Math.max(SMALLEST, scale));
    const change = next / place.scale;
    place.mode = "free";
    place.scale = next;
    place.x = point.x - (point.x - place.x) * change;
    place.y = point.y - (point.y - place.y) * change;
    draw();
  };

  return {
    draw,
    get mode() {
      return place.mode;
    },
    fit: () => settle("fit"),
    fitWidth: () => settle("width"),
    trueSize: (at) => scaleTo(1, at),
    zoomBy: (factor, at) => scaleTo(place.scale * factor, at),
    panBy: (dx, dy) => {
      place.mode = "free";
      place.x += dx;
      place.y += dy;
      draw();
    },
    /* Another image: the same place if it is as large as the one before. */
    take: (columns, rows) => {
      const isSame = columns === place.columns && rows === place.rows;
      Object.assign(place, { columns, rows });
      if (!isSame || place.mode !== "free") settle(place.mode === "free" ? "fit" : place.mode);
    },
    /* The stage or the screen's pixels have changed. */
    refresh: () => (place.mode === "free" ? draw() : settle(place.mode)),
  };
};
