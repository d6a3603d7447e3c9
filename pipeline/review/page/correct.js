"use strict";
// Corrections: the tools beside the picture, what they do at once in the browser, the server's preview of them.
const WORKING_SIDE = 768; // pixels of the longer side on which more and less colour is shown
const edit = { row: -1, draft: null, ratio: 0, own: null, preview: null, shown: null, image: null };
const look = { timer: 0, isBusy: false, again: false };
const able = (what) => document.querySelector(`meta[name="fiat-${what}"]`).content === "yes";
const tool = (id) => document.getElementById(id);

async function startEdit(row, url, ratio) {
  Object.assign(edit, { row, draft: null, ratio, own: null, preview: null, shown: null, image: null });
  Object.assign(brush, { stroke: null, cursor: null, isDown: false });
  brush.pointers.clear();
  edited.style.filter = "";
  tool("correct").hidden = !url;
  if (!url) { setTool("move"); paint(); return; }
  const draft = await draftOf(row), image = await loaded(url);
  if (edit.row !== row || view.row !== row) return; // another one was opened meanwhile
  edit.draft = draft;
  edit.image = image;
  if (image) {
    edit.ratio ||= image.naturalWidth / image.naturalHeight;
    const pixels = pixelsOf(image, image.naturalWidth, image.naturalHeight);
    edit.own = pixels && { planes: labPlanes(pixels), chroma: ownChroma(row, draft) };
  }
  showTools();
  show();
  if (!sameDraft(draft, draft.saved)) wantPreview();
}

function loaded(url) {
  return new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => resolve(null);
    image.src = url;
  });
}

// At most WORKING_SIDE pixels long; null for a page from a folder, whose pictures no program may read.
function pixelsOf(picture, width, height) {
  const scale = Math.min(1, WORKING_SIDE / Math.max(width, height)), canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  try { return pen.getImageData(0, 0, canvas.width, canvas.height); } catch { return null; }
}

// The factor that the result has already: of a correction that was carried out after it was decided.
function ownChroma(row, draft) {
  const decision = decisions.get(table.key[row]), isOlder = decision && decision.output_sha256 !== table.output_sha256[row];
  return verdictOf(row) === "correct" && isOlder ? draft.saved.chroma ?? 1 : 1;
}

// The preview, else the result, with the chroma that is chosen.
function show() {
  const chroma = edit.draft?.chroma ?? 1, base = edit.preview && (edit.preview.chroma || !chroma) ? edit.preview : edit.own;
  if (!base) { // pictures that cannot be read are shown through a filter of the browser
    const isSame = !edit.image || chroma === 1;
    edit.shown = isSame ? null : edit.image;
    tool("more").setAttribute("values", saturation(chroma));
    edited.style.filter = isSame ? "" : "url(#chroma)";
  } else {
    const factor = base.chroma ? chroma / base.chroma : 1;
    if (factor === 1) edit.shown = base === edit.own ? null : base.picture;
    else {
      base.planes ||= labPlanes(pixelsOf(base.picture, base.picture.width, base.picture.height));
      edit.canvas ||= document.createElement("canvas");
      Object.assign(edit.canvas, { width: base.planes.width, height: base.planes.height });
      edit.canvas.getContext("2d").putImageData(withChroma(base.planes, factor), 0, 0);
      edit.shown = edit.canvas;
    }
  }
  paint();
}

// Linear light moved away from its luminance (BT.709): the lightness stays, as with CIELAB's chroma.
function saturation(factor) {
  const luminance = [0.2126, 0.7152, 0.0722];
  return [0, 1, 2].map((row) => [...luminance.map((weight, column) => weight * (1 - factor) + (row === column ? factor : 0)), 0, 0].join(" ")).join(" ") + " 0 0 0 1 0";
}

function changed() {
  showTools();
  show();
  wantPreview();
}

function wantPreview() {
  clearTimeout(look.timer);
  if (able("preview")) look.timer = setTimeout(sendPreview, 80);
}

// One request at a time; what changes meanwhile is sent when it is answered.
async function sendPreview() {
  const { row, draft } = edit, correction = draft && correctionOf(draft);
  if (look.isBusy) { look.again = true; return; }
  if (!correction) { edit.preview = null; show(); return; }
  look.isBusy = true;
  const started = performance.now();
  say(text("previewing"));
  try {
    const answer = await fetch("/preview", {
      method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ key: table.key[row], correction }),
    });
    if (answer.ok) {
      const picture = await createImageBitmap(await answer.blob());
      if (edit.row === row) {
        edit.preview = { picture, planes: null, chroma: correction.chroma ?? 1 };
        document.body.dataset.previews = Number(document.body.dataset.previews || 0) + 1;
        say(`${text("previewed")}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
        show();
      }
    } else if (answer.status !== 409) say((await answer.json()).error);
  } catch (error) {
    say(String(error.message || error));
  } finally {
    look.isBusy = false;
    if (look.again) { look.again = false; sendPreview(); }
  }
}

function pick(place) {
  const picture = edit.shown || edit.image, pixels = picture && pixelsOf(picture, picture.naturalWidth || picture.width, picture.naturalHeight || picture.height);
  if (!pixels) { say(text("noPick")); return; }
  const sum = [0, 0, 0], x0 = Math.floor(place[0] * pixels.width), y0 = Math.floor(place[1] * pixels.height);
  let count = 0;
  for (let y = Math.max(0, y0 - 1); y <= Math.min(pixels.height - 1, y0 + 1); y++)
    for (let x = Math.max(0, x0 - 1); x <= Math.min(pixels.width - 1, x0 + 1); x++, count++)
      for (let c = 0; c < 3; c++) sum[c] += pixels.data[4 * (y * pixels.width + x) + c];
  if (count) setColor("#" + sum.map((value) => Math.round(value / count).toString(16).padStart(2, "0")).join(""));
}

function setColor(color) {
  brush.color = color;
  if (brush.tool !== "brush") setTool("brush");
  showTools();
}

function setTool(name) {
  endStroke();
  brush.isDown = false;
  brush.tool = name;
  sketch.classList.toggle("in-use", name !== "move");
  showTools();
  if (name !== "move") sketch.focus({ preventScroll: true });
}

function setRadius(radius) {
  brush.radius = Math.round(Math.max(0.003, Math.min(0.2, radius)) * 1000) / 1000;
  showTools();
  paint();
}

async function saveCorrection() {
  const { row, draft } = edit, correction = draft && correctionOf(draft);
  if (!correction) { say(text("nothingDrawn")); return; }
  if (METHODS[draft.method] === "reference" && !draft.reference) { say(text("needReference")); return; }
  if (!(await act(row, "correct", correction))) return;
  draft.saved = freshDraft(correction);
  showTools();
}

function dropDraft() {
  if (!edit.draft) return;
  const { strokes, reference, method, chroma } = edit.draft.saved;
  if (edit.draft.strokes.length) changeStrokes(edit.draft, strokes);
  Object.assign(edit.draft, { strokes, reference, method, chroma });
  changed();
}

// Keys while a picture is open; true where one was used.
const TOOL_KEYS = { b: "brush", e: "erase", i: "pick", v: "move" };
function correctKey(event, key) {
  if (!edit.draft) return false;
  if (brushKey(event)) return true;
  if (key in TOOL_KEYS) setTool(TOOL_KEYS[key]);
  else if (key === "[" || key === "]") setRadius(brush.radius * (key === "]" ? 1.25 : 0.8));
  else if (key === "z" && undoStrokes(edit.draft)) changed();
  else if (key === "s") saveCorrection();
  else return false;
  return true;
}
