// Hands on the stage: one pointer moves or windows, two pinch, the wheel turns slices or zooms.

const PINCH = 2;
const STILL = 3; // a click's tremor is no drag

export const listenToPointers = (stage, { place, isWindowing, beginWindow, moveWindow, endWindow }) => {
  const pointers = new Map();
  let gesture = null;

  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  const spread = () => {
    const [first, second] = [...pointers.values()];
    return {
      x: (first.x + second.x) / 2,
      y: (first.y + second.y) / 2,
      span: Math.max(1, Math.hypot(first.x - second.x, first.y - second.y)),
    };
  };

  const begin = (event) => {
    if (pointers.size === PINCH) {
      if (gesture?.kind === "window") endWindow();
      gesture = { kind: "pinch", last: spread() };
      return;
    }
    const kind = event.button === 2 || (event.button === 0 && isWindowing()) ? "window" : "pan";
    gesture = { kind, from: at(event), last: at(event) };
    if (kind === "window" && !beginWindow()) gesture = null;
  };

  const move = (event) => {
    if (!pointers.has(event.pointerId)) return;
    const now = at(event);
    pointers.set(event.pointerId, now);
    if (!gesture) return;
    if (gesture.from && !gesture.isMoving) {
      if (Math.hypot(now.x - gesture.from.x, now.y - gesture.from.y) < STILL) return;
      gesture.isMoving = true;
    }
    if (gesture.kind === "pinch") {
      if (pointers.size < PINCH) return;
      const next = spread();
      place.panBy(next.x - gesture.last.x, next.y - gesture.last.y);
      place.zoomBy(next.span / gesture.last.span, next);
      gesture.last = next;
    } else if (gesture.kind === "window") {
      moveWindow(now.x - gesture.from.x, now.y - gesture.from.y);
    } else {
      place.panBy(now.x - gesture.last.x, now.y - gesture.last.y);
      gesture.last = now;
    }
  };

  const release = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (gesture?.kind === "window") endWindow();
    gesture = null;
  };

  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("pointerdown", (event) => {
    if (pointers.size === PINCH) return;
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    begin(event);
  });
  stage.addEventListener("pointermove", move);
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  stage.addEventListener("dblclick", (event) => (place.mode === "free" ? place.fit() : place.trueSize(at(event))));
};

export const listenToWheel = (stage, { place, turn }) => {
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    const at = { x: event.clientX - box.left, y: event.clientY - box.top };
    if (event.ctrlKey || !turn(Math.sign(event.deltaY))) place.zoomBy(event.deltaY < 0 ? 1.1 : 1 / 1.1, at);
  }, { passive: false });
};
