"use strict";
// Where the network was unsure: a magenta veil over the open picture, from a small map that its run kept.
const MAP_SIDE = 384; // pixels of the veil's longer side; the map itself has a place for each 16 of the network's
const UNSURE = [15, 36]; // Lab units of spread: of a quarter of all places less, of one in fifty more than the last
const VEIL = [255, 0, 170, 190]; // magenta, which photographs seldom have, and alpha where it is densest
const doubtMaps = { byRow: new Map(), loaded: new Map(), isShown: false, item: null };

function fiatDoubt(number, maps) {
  for (const [place, map] of Object.entries(maps)) doubtMaps.byRow.set(number * index.page_rows + Number(place), map);
}

async function doubtMapOf(row) {
  const number = Math.floor(row / index.page_rows), name = index.doubt_pages[number];
  if (!table.mapped[row] || !name) return null;
  if (!doubtMaps.loaded.has(number)) doubtMaps.loaded.set(number, load(name));
  try { await doubtMaps.loaded.get(number); } catch { doubtMaps.loaded.delete(number); return null; }
  return doubtMaps.byRow.get(row) || null;
}

// The map in the picture's own shape, as the URL of a PNG.
function veil([width, height, places], ratio) {
  const small = document.createElement("canvas"), large = document.createElement("canvas"), bytes = atob(places);
  Object.assign(small, { width, height });
  Object.assign(large, ratio > 1 ? { width: MAP_SIDE, height: Math.max(1, Math.round(MAP_SIDE / ratio)) } : { width: Math.max(1, Math.round(MAP_SIDE * ratio)), height: MAP_SIDE });
  const pen = small.getContext("2d"), pixels = pen.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const share = (bytes.charCodeAt(i) / index.doubt_steps - UNSURE[0]) / (UNSURE[1] - UNSURE[0]);
    pixels.data.set([...VEIL.slice(0, 3), VEIL[3] * Math.max(0, Math.min(1, share))], 4 * i);
  }
  pen.putImageData(pixels, 0, 0);
  const wide = large.getContext("2d");
  wide.imageSmoothingQuality = "high";
  wide.drawImage(small, 0, 0, large.width, large.height);
  return large.toDataURL("image/png");
}

// Lay the veil over the result, or take it away, as the button says.
async function drawDoubt() {
  const { viewer, row } = view, button = at("doubt-map");
  button.hidden = row < 0 || !table.mapped[row];
  button.setAttribute("aria-pressed", String(doubtMaps.isShown));
  const isWanted = doubtMaps.isShown && !button.hidden;
  at("doubt-note").textContent = isWanted ? text("doubtMapNote") : "";
  at("canvas").setAttribute("aria-label", row < 0 ? "" : isWanted ? `${table.key[row]}: ${text("doubtMapNote")}` : table.key[row]);
  if (doubtMaps.item) { try { viewer?.world.removeItem(doubtMaps.item); } finally { doubtMaps.item = null; } }
  if (!isWanted || !viewer) return;
  const map = await doubtMapOf(row);
  if (view.viewer !== viewer || !doubtMaps.isShown || doubtMaps.item) return; // another picture was opened meanwhile
  if (!map) { at("doubt-note").textContent = text("doubtMapGone"); return; }
  viewer.addTiledImage({
    tileSource: { type: "image", url: veil(map, table.width[row] / table.height[row]) },
    x: view.beside && view.both ? GAP : 0, y: 0, width: 1,
    success: (event) => {
      if (view.viewer === viewer && doubtMaps.isShown && !doubtMaps.item) doubtMaps.item = event.item;
      else viewer.world.removeItem(event.item);
    },
  });
}

function switchDoubt() {
  if (at("doubt-map").hidden) return false;
  doubtMaps.isShown = !doubtMaps.isShown;
  drawDoubt();
  return true;
}

at("doubt-map").addEventListener("click", switchDoubt);
