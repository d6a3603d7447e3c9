"use strict";
// The brush: strokes over the picture by mouse, finger, pen and keys. Two fingers move and zoom.
const brush = { tool: "move", color: "#a2543f", radius: 0.02, stroke: null, cursor: null, isDown: false, pointers: new Map() };
const edited = document.getElementById("edited"), sketch = document.getElementById("sketch");

// Where the picture stands in the view, CSS pixels.
function pictureBox() {
  const port = view.viewer?.viewport, ratio = edit.ratio;
  if (!port || !ratio) return null;
  const left = view.beside && view.both ? GAP : 0, point = (x, y) => port.pixelFromPoint(new OpenSeadragon.Point(x, y), true);
  const start = point(left, 0), end = point(left + 1, 1 / ratio);
  return { x: start.x, y: start.y, width: end.x - start.x, height: end.y - start.y };
}

function cleared(canvas) {
  const scale = devicePixelRatio || 1, width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  return pen;
}

function paint() {
  const box = pictureBox(), pen = cleared(edited), lines = cleared(sketch);
  if (!box) return;
  if (edit.shown) {
    const cutAt = box.x + box.width * (view.both && !view.beside ? document.getElementById("slide").value / 100 : 0);
    pen.save();
    pen.beginPath();
    pen.rect(cutAt, box.y, box.x + box.width - cutAt, box.height);
    pen.clip();
    pen.drawImage(edit.shown, box.x, box.y, box.width, box.height);
    pen.restore();
  }
  if (!edit.draft) return;
  const longer = Math.max(box.width, box.height);
  lines.lineCap = lines.lineJoin = "round";
  for (const stroke of brush.stroke ? [...edit.draft.strokes, brush.stroke] : edit.draft.strokes) {
    lines.globalCompositeOperation = stroke.color ? "source-over" : "destination-out";
    lines.strokeStyle = stroke.color || "#000";
    lines.lineWidth = 2 * stroke.radius * longer;
    lines.beginPath();
    stroke.path.forEach(([x, y], i) => lines[i ? "lineTo" : "moveTo"](box.x + x * box.width, box.y + y * box.height));
    if (stroke.path.length === 1) lines.lineTo(box.x + stroke.path[0][0] * box.width + 0.01, box.y + stroke.path[0][1] * box.height);
    lines.stroke();
  }
  lines.globalCompositeOperation = "source-over";
  if (brush.cursor && brush.tool !== "move") ring(lines, box, longer);
}

function ring(pen, box, longer) {
  const radius = brush.tool === "pick" ? 4 : Math.max(2, brush.radius * longer);
  for (const [width, color] of [[3, "#000"], [1.2, "#fff"]]) {
    pen.lineWidth = width;
    pen.strokeStyle = color;
    pen.beginPath();
    pen.arc(box.x + brush.cursor[0] * box.width, box.y + brush.cursor[1] * box.height, radius, 0, 2 * Math.PI);
    pen.stroke();
  }
}

function placeOf(event) {
  const box = pictureBox(), at = sketch.getBoundingClientRect();
  return box && [(event.clientX - at.left - box.x) / box.width, (event.clientY - at.top - box.y) / box.height];
}

const isInside = ([x, y]) => x >= 0 && x <= 1 && y >= 0 && y <= 1;

// Distance of two places as a share of the longer side.
function between([x, y], [u, v]) {
  const wide = edit.ratio >= 1;
  return Math.hypot((x - u) * (wide ? 1 : edit.ratio), (y - v) * (wide ? 1 / edit.ratio : 1));
}

function beginStroke(place) {
  const why = full(edit.draft);
  if (why) { say(text(why)); return; }
  brush.stroke = { color: brush.tool === "erase" ? null : brush.color, radius: share(brush.radius), path: [place.map(share)] };
}

// Outside the picture a stroke ends; where it comes back another one begins.
function drawTo(place) {
  if (!isInside(place)) { endStroke(); return; }
  if (!brush.stroke) { beginStroke(place); return; }
  const path = brush.stroke.path;
  if (between(path.at(-1), place) < Math.max(0.001, brush.radius / 4)) return;
  path.push(place.map(share));
  if (path.length >= MOST_PLACES) { endStroke(); beginStroke(place); }
}

function endStroke() {
  if (!brush.stroke) return;
  changeStrokes(edit.draft, [...edit.draft.strokes, brush.stroke]);
  brush.stroke = null;
  changed();
}

function usePlace(place) {
  if (!place || !edit.draft) return;
  if (brush.tool === "pick") { if (isInside(place)) pick(place); } else drawTo(place);
}

sketch.addEventListener("pointerdown", (event) => {
  event.preventDefault();
  sketch.focus({ preventScroll: true });
  brush.pointers.set(event.pointerId, [event.clientX, event.clientY]);
  if (sketch.setPointerCapture && event.isTrusted) sketch.setPointerCapture(event.pointerId);
  if (brush.pointers.size > 1) { brush.stroke = null; paint(); return; } // the first finger drew nothing
  if (event.button > 0) return;
  brush.cursor = placeOf(event);
  usePlace(brush.cursor);
  paint();
});
sketch.addEventListener("pointermove", (event) => {
  const last = brush.pointers.get(event.pointerId);
  brush.cursor = placeOf(event);
  if (last && brush.pointers.size > 1) gesture(event, last);
  else if (last && brush.tool !== "pick" && event.buttons & 1) {
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) usePlace(placeOf(one));
  }
  if (last) brush.pointers.set(event.pointerId, [event.clientX, event.clientY]);
  paint();
});
for (const name of ["pointerup", "pointercancel"]) sketch.addEventListener(name, (event) => {
  brush.pointers.delete(event.pointerId);
  endStroke();
  paint();
});
sketch.addEventListener("pointerleave", () => { if (!brush.stroke && document.activeElement !== sketch) brush.cursor = null; paint(); });
sketch.addEventListener("wheel", (event) => {
  event.preventDefault();
  const at = sketch.getBoundingClientRect(), port = view.viewer?.viewport;
  port?.zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, port.pointFromPixel(new OpenSeadragon.Point(event.clientX - at.left, event.clientY - at.top), true));
}, { passive: false });

function gesture(event, last) {
  const port = view.viewer?.viewport, other = [...brush.pointers].find(([id]) => id !== event.pointerId)?.[1];
  if (!port || !other) return;
  const now = [event.clientX, event.clientY], at = sketch.getBoundingClientRect();
  port.panBy(port.deltaPointsFromPixels(new OpenSeadragon.Point((last[0] - now[0]) / 2, (last[1] - now[1]) / 2), true), true);
  const before = Math.hypot(last[0] - other[0], last[1] - other[1]), after = Math.hypot(now[0] - other[0], now[1] - other[1]);
  const middle = new OpenSeadragon.Point((now[0] + other[0]) / 2 - at.left, (now[1] + other[1]) / 2 - at.top);
  if (before > 0) port.zoomBy(after / before, port.pointFromPixel(middle, true), true);
}

// Arrows move the brush, the space bar puts it down and lifts it.
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
function brushKey(event) {
  if (document.activeElement !== sketch || brush.tool === "move" || !edit.draft) return false;
  if (event.key in ARROWS) {
    const [dx, dy] = ARROWS[event.key], step = (event.shiftKey ? 4 : 1) * Math.max(0.005, brush.radius / 2), wide = edit.ratio >= 1;
    const [x, y] = brush.cursor || [0.5, 0.5];
    brush.cursor = [share(x + dx * step / (wide ? 1 : edit.ratio)), share(y + dy * step * (wide ? edit.ratio : 1))];
    if (brush.isDown) drawTo(brush.cursor);
  } else if (event.key === " ") {
    brush.cursor ||= [0.5, 0.5];
    if (brush.tool === "pick") pick(brush.cursor);
    else if (brush.isDown) { brush.isDown = false; endStroke(); } else { brush.isDown = true; beginStroke(brush.cursor); }
  } else return false;
  paint();
  return true;
}
