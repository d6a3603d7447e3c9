"use strict";
// The grid of cards, its filters and its keys. Whatever comes from the archive is set as text, never as HTML.
const PAGE = 60;
const FILTERS = ["sort", "status", "decision", "code", "doubtful", "reason", "folder", "name", "since", "until", "least", "most"];
const grid = document.getElementById("grid");
const at = (id) => document.getElementById(id);
let rows = [], first = 0, selected = 0;

function card(row, place) {
  const item = document.createElement("li");
  item.className = "card";
  item.tabIndex = place === selected ? 0 : -1;
  item.dataset.place = place;
  item.dataset.verdict = verdictOf(row);
  item.append(picture(row), line("key", table.key[row]));
  const chroma = table.mean_chroma[row];
  item.append(line("line", [text(table.status[row]), chroma === null ? "" : `${text("chroma")} ${chroma.toFixed(1)}`, day(table.finished_at[row])].filter(Boolean).join(" · ")));
  if (doubtWords(row)) item.append(Object.assign(line("doubted", `${text("look")}: ${doubtWords(row)}`), { title: text("doubtTip") }));
  const code = table.failure_code[row];
  if (code) item.append(line("failed", `${code}: ${table.message[row]}`), line("line", index.advice[code] || ""));
  if (verdictOf(row)) item.append(line("verdict", verdictText(row)));
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  const open = document.createElement("button");
  open.type = "button";
  open.textContent = text("open");
  open.addEventListener("click", () => { selected = place; openView(row); });
  buttons.append(open, ...verdictButtons(row));
  item.append(buttons);
  return item;
}

function line(kind, words) {
  const element = document.createElement("div");
  element.className = kind;
  element.textContent = words;
  return element;
}

function picture(row) {
  const box = document.createElement("div"), before = beforeThumb(row), after = afterThumb(row);
  box.className = "picture";
  const image = (src, words) => {
    const element = document.createElement("img");
    element.src = src;
    element.alt = `${text(words)}: ${table.key[row]}`;
    element.loading = "lazy";
    element.decoding = "async";
    return element;
  };
  if (before && after) {
    const slider = document.createElement("img-comparison-slider"), one = image(before, "before"), two = image(after, "after");
    slider.setAttribute("keyboard", "disabled"); // the arrows choose cards
    slider.tabIndex = -1;
    one.slot = "first";
    two.slot = "second";
    const ratio = table.width[row] && table.height[row] ? table.width[row] / table.height[row] : 1.5;
    slider.style.width = `min(100%, ${Math.round(230 * ratio)}px)`;
    slider.append(one, two);
    box.append(slider);
  } else if (before || after) box.append(image(before || after, before ? "before" : "after"));
  else box.append(line("none", text("noPicture")));
  return box;
}

function draw(focus) {
  selected = Math.max(first, Math.min(selected, first + PAGE - 1, rows.length - 1));
  grid.replaceChildren(...rows.slice(first, first + PAGE).map((row, i) => card(row, first + i)));
  const last = Math.min(first + PAGE, rows.length);
  at("place").textContent = `${rows.length ? first + 1 : 0}–${last} ${text("of")} ${rows.length}`;
  at("back").disabled = first === 0;
  at("next").disabled = last >= rows.length;
  const loading = table.rows < index.rows ? `, ${text("loading")} ${table.rows} / ${index.rows}` : "";
  at("built").textContent = `${counted(index.rows, "images")}, ${text("built")} ${index.built.slice(0, 16).replace("T", " ")}${loading}`;
  if (focus) grid.querySelector('[tabindex="0"]')?.focus();
}

function refresh(keep) {
  rows = chosen(Object.fromEntries(FILTERS.map((name) => [name, at(name).value])));
  if (!keep) first = selected = 0;
  first = Math.max(0, Math.min(first, Math.floor((rows.length - 1) / PAGE) * PAGE));
  draw(false);
}

function turn(pages) {
  first = Math.max(0, Math.min(first + pages * PAGE, Math.floor((rows.length - 1) / PAGE) * PAGE));
  selected = first;
  draw(true);
  scrollTo(0, 0);
}

function move(step) {
  const place = selected + step;
  if (place < 0 || place >= rows.length) return;
  selected = place;
  const before = first;
  first = Math.floor(selected / PAGE) * PAGE;
  if (first !== before) draw(true);
  else {
    grid.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    const item = grid.querySelector(`[data-place="${selected}"]`);
    item.tabIndex = 0;
    item.focus();
  }
}

async function act(row, verdict, correction) {
  if (!(await decide(row, verdict, correction))) return false;
  const place = rows.indexOf(row);
  const item = grid.querySelector(`[data-place="${place}"]`);
  if (item && place >= 0) {
    const focused = item.contains(document.activeElement);
    const fresh = card(row, place);
    item.replaceWith(fresh);
    if (focused) fresh.focus();
  }
  if (at("view").open) showFacts(view.row);
  return true;
}

function perLine() {
  const items = [...grid.children], top = items[0]?.offsetTop;
  return Math.max(1, items.filter((item) => item.offsetTop === top).length);
}

const ZOOMS = { "+": ["zoomBy", 1.5], "=": ["zoomBy", 1.5], "-": ["zoomBy", 1 / 1.5], 0: ["goHome"] };
const VERDICTS = { a: "accept", r: "reject", g: "gray" };
const STEPS = { j: () => 1, k: () => -1, ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: () => -perLine(), ArrowDown: () => perLine() };

function step(by) {
  move(by);
  if (at("view").open && rows.length) openView(rows[selected]);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.matches("input:not([type=range], [type=color], [type=checkbox]), select, textarea")) return;
  if (!rows.length) return;
  const row = rows[selected], key = event.key.length === 1 ? event.key.toLowerCase() : event.key, isOpen = at("view").open;
  if (event.target.matches("input") && event.key.length > 1) return; // sliders have arrows of their own
  if (isOpen && correctKey(event, key)) { event.preventDefault(); return; }
  if (isOpen && key in ZOOMS) view.viewer?.viewport[ZOOMS[key][0]](ZOOMS[key][1]);
  else if (isOpen && key === "d") { if (!switchDoubt()) return; }
  else if (key in VERDICTS) act(row, VERDICTS[key]);
  else if (key === "z") act(lastDecided(row), "undo");
  else if (key in STEPS) step(STEPS[key]());
  else if (key === "Enter" && event.target.matches(".card, body")) openView(row);
  else return;
  event.preventDefault();
}, true);

grid.addEventListener("focusin", (event) => {
  const item = event.target.closest(".card");
  if (!item) return;
  grid.querySelector('.card[tabindex="0"]')?.setAttribute("tabindex", "-1");
  item.tabIndex = 0;
  selected = Number(item.dataset.place);
});

function options(id, values, words) {
  const select = at(id), before = select.value;
  select.replaceChildren(...values.map((value) => {
    const option = document.createElement("option");
    option.value = value;
    option.textContent = words(value);
    return option;
  }));
  if (values.includes(before)) select.value = before;
}

function label() {
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  const isAnyDoubted = hasDoubt(), isNew = hasNovelty();
  options("sort", Object.keys(ORDERS).filter((name) => (name !== "byDoubt" || isAnyDoubted) && (name !== "byNovelty" || isNew)), text);
  for (const element of document.querySelectorAll(".doubt")) element.hidden = !isAnyDoubted;
  options("reason", ["", ...[...new Set([...new Set(table.doubt_reasons)].flatMap((list) => list.split(",")))].filter(Boolean).sort()], (value) => (value ? reasonText(value) : text("all")));
  options("status", ["", ...new Set(table.status)], (value) => text(value || "all"));
  options("code", ["", ...[...new Set(table.failure_code)].filter(Boolean).sort()], (value) => value || text("all"));
  options("decision", ["", "none", "accept", "reject", "gray", "correct"], (value) => text(value === "" ? "all" : DONE[value] || value));
  const folders = [...new Set(table.folder)].filter(Boolean).sort().slice(0, 1000);
  buildTools();
  showTools();
  sketch.setAttribute("aria-label", text("sketch"));
  at("palette").setAttribute("aria-label", text("palette"));
  at("tools").setAttribute("aria-label", text("correction"));
  at("correct-note").textContent = text(able("preview") ? "correctKeys" : "noPreview");
  at("folders").replaceChildren(...folders.map((folder) => Object.assign(document.createElement("option"), { value: folder })));
}

async function start() {
  document.documentElement.lang = kept.get("fiat-language") || (navigator.language.startsWith("ko") ? "ko" : "en");
  at("language").value = document.documentElement.lang;
  at("who").value = at("view-who").value = kept.get("fiat-who") || "";
  at("who-label").hidden = at("view-who-label").hidden = at("download").hidden = served;
  for (const button of document.querySelectorAll(".apply")) button.hidden = !able("apply");
  at("filter-box").open = innerWidth > 480;
  label();
  await load("index.js");
  await load("decisions.js");
  applyPending();
  for (const name of index.pages) {
    await load(name);
    if (table.rows === index.rows || name === index.pages[0]) { label(); refresh(true); }
    else at("built").textContent = `${text("loading")} ${table.rows} / ${index.rows}`;
  }
  if (!index.pages.length) { label(); refresh(false); }
  document.body.dataset.ready = "yes";
}

at("language").addEventListener("change", () => {
  document.documentElement.lang = at("language").value;
  kept.set("fiat-language", at("language").value);
  say(waitingText());
  label();
  draw(false);
  if (at("view").open) openView(view.row);
});
for (const id of ["who", "view-who"]) at(id).addEventListener("input", () => {
  at("who").value = at("view-who").value = at(id).value;
  kept.set("fiat-who", at(id).value);
});
at("download").addEventListener("click", download);
at("filters").addEventListener("submit", (event) => event.preventDefault());
at("filters").addEventListener("input", () => refresh(false));
at("back").addEventListener("click", () => turn(-1));
at("next").addEventListener("click", () => turn(1));
at("close").addEventListener("click", () => at("view").close());
at("view").addEventListener("close", () => { setTool("move"); view.viewer?.destroy(); view.viewer = null; edit.row = -1; draw(true); });
at("slide").addEventListener("input", cut);
at("beside").addEventListener("change", () => { view.beside = at("beside").checked; place(); });
at("other").addEventListener("change", () => { view.other = at("other").value; openView(view.row); });
at("zoom-in").addEventListener("click", () => view.viewer?.viewport.zoomBy(1.5));
at("zoom-out").addEventListener("click", () => view.viewer?.viewport.zoomBy(1 / 1.5));
at("fit").addEventListener("click", () => view.viewer?.viewport.goHome());
at("view-back").addEventListener("click", () => step(-1));
at("view-next").addEventListener("click", () => step(1));
start().catch((error) => say(String(error.message || error)));
