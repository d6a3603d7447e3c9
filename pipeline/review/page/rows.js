"use strict";
// The rows of all data pages as columns of one table, and which of them are shown in what order.
const table = {
  rows: 0, key: [], etag: [], message: [], output_key: [], output_sha256: [], derivative_key: [], view: [],
  status: [], failure_code: [], method: [], run_id: [], width: [], height: [], mean_chroma: [],
  finished_at: [], before: [], after: [], folder: [], doubt: [], novelty: [], doubt_reasons: [],
  earlier: [], mapped: [],
};
const index = { rows: 0, pages: [], side: 360, advice: {}, built: "", page_rows: 5000, doubt_pages: {}, doubt_steps: 4 };
let decisions = new Map(); // by source key the decision that stands
const WORDS = ["status", "failure_code", "method", "run_id", "doubt_reasons"];
const PLAIN = ["key", "etag", "message", "output_key", "output_sha256", "derivative_key", "view", "width", "height", "mean_chroma", "finished_at", "before", "after"];

function fiatIndex(value) { Object.assign(index, value); }

// The server leaves corrections out: those that are known already stay.
function fiatDecisions(list) {
  const before = decisions;
  decisions = new Map(list.map((decision) => [decision.key, decision]));
  for (const [key, decision] of decisions) {
    const known = before.get(key);
    if (known?.id === decision.id) decision.correction ??= known.correction;
  }
}

function fiatPage(number, page) {
  const count = page.key.length;
  for (const name of PLAIN) for (let i = 0; i < count; i++) table[name].push(page[name][i]);
  for (const name of ["doubt", "novelty"]) for (let i = 0; i < count; i++) table[name].push(page[name]?.[i] ?? null); // older ledgers have none
  for (const name of WORDS) for (let i = 0; i < count; i++) table[name].push(page.words[page[name]?.[i]] ?? "");
  for (let i = 0; i < count; i++) table.earlier.push(page.earlier[i] || null);
  for (let i = 0; i < count; i++) table.mapped.push(page.mapped?.[i] || 0);
  for (let i = 0; i < count; i++) table.folder.push(page.key[i].slice(0, page.key[i].lastIndexOf("/") + 1));
  table.rows += count;
}

// A page from a folder may read other files as scripts only.
function load(name) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "data/" + name;
    script.onload = () => { script.remove(); resolve(); };
    script.onerror = () => reject(new Error(name));
    document.head.append(script);
  });
}

const encoded = (key) => key.split("/").map((part) => encodeURIComponent(part.toWellFormed ? part.toWellFormed() : part)).join("/");
const thumbnail = (name) => (name ? `thumbs/${index.side}/${name.slice(0, 2)}/${name}.jpg` : "");
const beforeThumb = (row) => thumbnail(table.before[row]);
const afterThumb = (row) => (table.after[row] ? thumbnail(table.output_sha256[row].slice(0, 32)) : "");
const verdictOf = (row) => {
  const decision = decisions.get(table.key[row]);
  return decision && decision.etag === table.etag[row] ? decision.verdict : "";
};

const byText = (column) => (a, b) => (column[a] < column[b] ? -1 : column[a] > column[b] ? 1 : a - b);
// Rows without a value come last, in either direction.
const byNumber = (column, sign) => (a, b) => {
  const x = column[a], y = column[b];
  if (x === null || y === null) return (x === null) - (y === null) || a - b;
  return sign * (x - y) || a - b;
};
const ORDERS = {
  byKey: () => null,
  byDoubt: () => byNumber(table.doubt, -1),
  byNovelty: () => byNumber(table.novelty, -1),
  byLeast: () => byNumber(table.mean_chroma, 1),
  byMost: () => byNumber(table.mean_chroma, -1),
  byNewest: () => byNumber(table.finished_at, -1),
  byOldest: () => byNumber(table.finished_at, 1),
  byFolder: () => byText(table.folder),
  byStatus: () => byText(table.status),
  byDecision: () => byText(Array.from({ length: table.rows }, (_, row) => verdictOf(row))),
  byCode: () => byText(table.failure_code),
};

const hasDoubt = () => table.doubt.some((value) => value !== null);
const hasNovelty = () => table.novelty.some((value) => value !== null);

function chosen(filter) {
  const name = filter.name.toLowerCase(), rows = [];
  const since = filter.since ? Date.parse(filter.since) / 1000 : -Infinity;
  const until = filter.until ? Date.parse(filter.until) / 1000 + 86400 : Infinity;
  const least = filter.least === "" ? -Infinity : Number(filter.least);
  const most = filter.most === "" ? Infinity : Number(filter.most);
  const doubtful = filter.doubtful === "" ? -1 : Number(filter.doubtful);
  const bounded = filter.least !== "" || filter.most !== "";
  for (let row = 0; row < table.rows; row++) {
    if (filter.status && table.status[row] !== filter.status) continue;
    if (filter.code && table.failure_code[row] !== filter.code) continue;
    if (filter.folder && !table.folder[row].startsWith(filter.folder)) continue;
    if (name && !table.key[row].toLowerCase().includes(name)) continue;
    if (table.finished_at[row] < since || table.finished_at[row] >= until) continue;
    const chroma = table.mean_chroma[row];
    if (bounded && (chroma === null || chroma < least || chroma > most)) continue;
    if (filter.doubtful !== "" && (table.doubt[row] === null || table.doubt[row] < doubtful)) continue;
    if (filter.reason && !table.doubt_reasons[row].split(",").includes(filter.reason)) continue;
    if (filter.decision && (verdictOf(row) || "none") !== filter.decision) continue;
    rows.push(row);
  }
  const order = ORDERS[filter.sort]();
  return order ? rows.sort(order) : rows;
}
