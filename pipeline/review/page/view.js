"use strict";
// One picture at full size, with zoom: the result lies over the source, and the slider cuts it off.
const view = { viewer: null, row: -1, after: null, both: false, beside: false, other: "" };
const WORST_TENTH = 0.9; // doubt from which on a result is among the worst tenth of photographs
const GAP = 1.02; // between two pictures, in their width

function pictures(row) {
  const key = encodeURIComponent(table.key[row]);
  if (served) return {
    before: beforeThumb(row) && `/view/before?key=${key}`, small: false,
    after: table.output_key[row] && `/view/after?key=${key}&of=${table.output_sha256[row].slice(0, 16)}`,
  };
  const file = [null, table.output_key[row], table.derivative_key[row]][table.view[row]];
  return { before: beforeThumb(row), after: file ? "../" + encoded(file) : afterThumb(row), small: true };
}

// What is compared with the result: the scan, or an earlier result that still stands.
function compared(row, before) {
  const one = (table.earlier[row] || []).find(([key]) => key === view.other);
  if (!one) { view.other = ""; return before; }
  if (served) return `/view/after?key=${encodeURIComponent(table.key[row])}&earlier=${encodeURIComponent(one[0])}`;
  return one[1] ? "../" + encoded(one[0]) : before;
}

function showOthers(row) {
  const others = (table.earlier[row] || []).filter(([, isShown]) => served || isShown);
  options("other", ["", ...others.map(([key]) => key)], (key) => {
    const one = others.find(([name]) => name === key);
    return one ? `${text("earlier")}: ${one[2]}, ${day(one[3])}, ${key.slice(key.lastIndexOf(".") + 1)}` : text("before");
  });
  document.getElementById("other").value = view.other;
  document.getElementById("other-label").hidden = !others.length;
}

function openView(row) {
  view.row = row;
  const dialog = document.getElementById("view");
  if (!dialog.open) dialog.showModal();
  document.getElementById("view-title").textContent = table.key[row];
  const { before: scan, after, small } = pictures(row), before = compared(row, scan);
  showOthers(row);
  document.getElementById("view-note").textContent = before || after ? (small ? text("small") : "") : text("noPicture");
  doubtMaps.item = null; // it goes with its viewer
  drawDoubt();
  showFacts(row);
  say("");
  view.viewer?.destroy();
  view.after = null;
  view.both = Boolean(before && after);
  view.viewer = OpenSeadragon({
    element: document.getElementById("canvas"), showNavigationControl: false, drawer: "canvas",
    maxZoomPixelRatio: 8, animationTime: 0.3, imageSmoothingEnabled: true,
  });
  view.viewer.addHandler("canvas-key", (event) => { event.preventDefaultAction = true; }); // the page has its own keys
  const add = (url, then) => view.viewer.addTiledImage({
    tileSource: { type: "image", url }, x: 0, y: 0, width: 1, success: (event) => then(event.item),
    error: () => { document.getElementById("view-note").textContent = text("noPicture"); },
  });
  if (before) add(before, () => { if (after) add(after, onAfter); });
  else if (after) add(after, onAfter);
  document.getElementById("slide").disabled = !view.both;
  for (const name of ["update-viewport", "resize", "open"]) view.viewer.addHandler(name, paint);
  function onAfter(item) { view.after = view.both ? item : null; place(); drawDoubt(); }
  startEdit(row, after, table.width[row] && table.height[row] ? table.width[row] / table.height[row] : 0);
}

// Two pictures one over the other, or beside each other.
function place() {
  const isBeside = view.beside && view.both;
  document.getElementById("slide").disabled = !view.both || isBeside;
  if (view.after) {
    view.after.setPosition(new OpenSeadragon.Point(isBeside ? GAP : 0, 0), true);
    if (isBeside) view.after.setClip(null);
    view.viewer.viewport.goHome(true);
  }
  if (doubtMaps.item) doubtMaps.item.setPosition(new OpenSeadragon.Point(isBeside ? GAP : 0, 0), true);
  cut();
}

function cut() {
  paint();
  if (!view.after || view.beside) return;
  const size = view.after.getContentSize(), share = document.getElementById("slide").value / 100;
  view.after.setClip(new OpenSeadragon.Rect(size.x * share, 0, Math.max(1, size.x * (1 - share)), size.y));
}

function showFacts(row) {
  const list = document.getElementById("facts");
  list.replaceChildren();
  const code = table.failure_code[row];
  const facts = [
    ["status", text(table.status[row])], ["code", code], ["", code ? index.advice[code] : ""], ["", table.message[row]],
    ["decision", verdictText(row)], ["look", doubtWords(row)], ["doubt", ofOne(table.doubt[row], "doubtScale")], ["novelty", ofOne(table.novelty[row], "noveltyScale")],
    ["size", table.width[row] ? `${table.width[row]} × ${table.height[row]}` : ""],
    ["chroma", table.mean_chroma[row] === null ? "" : String(table.mean_chroma[row])], ["method", table.method[row]],
    ["finished", day(table.finished_at[row])], ["run", table.run_id[row]], ["output", table.output_key[row]],
  ];
  for (const [name, value] of facts) {
    if (!value) continue;
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name ? text(name) : "";
    dd.textContent = value;
    list.append(dt, dd);
  }
  document.getElementById("view-decide").replaceChildren(...verdictButtons(row));
}

const day = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
const DONE = { accept: "accepted", reject: "rejected", gray: "kept", correct: "corrected" };

function verdictText(row) {
  const verdict = verdictOf(row);
  return verdict ? `${text(DONE[verdict])} ${text("by")} ${decisions.get(table.key[row]).who}` : "";
}

function verdictButtons(row) {
  return ["accept", "reject", "gray", "undo"].map((verdict) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text(verdict);
    button.setAttribute("aria-pressed", String(verdictOf(row) === verdict));
    button.dataset.verdict = verdict;
    button.disabled = verdict === "undo" && !verdictOf(row);
    button.addEventListener("click", () => act(row, verdict));
    return button;
  });
}

const reasonText = (name) => (`reason_${name}` in TEXTS ? text(`reason_${name}`) : name.replaceAll("_", " "));

// Why a person should look closely, in words; empty of every other result, whose doubt is a number among others.
function doubtWords(row) {
  const reasons = table.doubt_reasons[row].split(",").filter(Boolean).map(reasonText);
  return [...(table.doubt[row] >= WORST_TENTH ? [text("worstTenth")] : []), ...reasons].join(", ");
}

const ofOne = (value, words) => (value === null ? "" : `${value.toFixed(2)} (${text(words)})`);
