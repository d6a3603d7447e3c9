"use strict";
// Decisions: to the server where one serves the page, else into the browser and, on request, into a file.
const served = document.querySelector('meta[name="fiat-server"]').content === "yes";
const SHELF = "fiat-decisions:" + location.pathname;
let pending = served ? [] : readShelf();
const history = []; // ids and keys of the decisions of this visit, for `z`

function readShelf() {
  try {
    const list = JSON.parse(kept.get(SHELF) || "[]");
    return Array.isArray(list) ? list : [];
  } catch { return []; }
}

const identifier = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

function say(words) {
  for (const id of ["say", "view-say"]) document.getElementById(id).textContent = words; // behind a dialog nothing is read out
}

// What a person has to do with the decisions of this browser; "" where there are none.
function waitingText() {
  if (!pending.length) return "";
  return kept.get(SHELF + ":downloaded") === pending.at(-1).id ? text("downloaded") : counted(pending.length, "waiting");
}

// What is only in this browser stands over what the gallery was built with.
function applyPending() {
  for (const decision of pending) apply(decision);
}

function apply(decision) {
  if (decision.verdict !== "undo") decisions.set(decision.key, decision);
  else if (decisions.get(decision.key)?.id === decision.undoes) {
    const earlier = pending.filter((d) => d.key === decision.key && d.verdict !== "undo" && !pending.some((u) => u.undoes === d.id));
    if (earlier.length) decisions.set(decision.key, earlier.at(-1)); else decisions.delete(decision.key);
  }
}

// Returns whether it was kept.
async function decide(row, verdict, correction = null) {
  const key = table.key[row];
  if (verdict === "undo" && !verdictOf(row)) { say(text("nothing")); return false; }
  const who = document.getElementById("who").value.trim();
  if (!served && !who) {
    say(text("needName"));
    document.getElementById(document.getElementById("view").open ? "view-who" : "who").focus();
    return false;
  }
  const decision = {
    id: identifier(), key, etag: table.etag[row], output_sha256: table.output_sha256[row] || null,
    verdict, correction, undoes: verdict === "undo" ? decisions.get(key).id : null,
  };
  if (served) {
    if (!(await send(decision))) return false;
  } else {
    decision.who = who;
    decision.when = new Date().toISOString();
    pending.push(decision);
    apply(decision);
    const stored = kept.set(SHELF, JSON.stringify(pending));
    kept.set(SHELF + ":downloaded", "");
    say(`${waitingText()}${stored ? "" : " !"}`);
  }
  if (verdict !== "undo") history.push({ row, id: decision.id });
  return true;
}

// The answer has all decisions that stand: what another person decided meanwhile is shown too.
async function send(decision) {
  try {
    const answer = await fetch("/api/decisions", {
      method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json" }, body: JSON.stringify(decision),
    });
    const body = await answer.json();
    if (!answer.ok) { say(`${text("notSaved")}: ${body.error}`); return false; }
    fiatDecisions(body);
    say(text("saved"));
    return true;
  } catch (error) {
    say(`${text("notSaved")}: ${error.message}`);
    return false;
  }
}

// The last decision of this visit that still stands, else the one about the row that is chosen.
function lastDecided(row) {
  while (history.length) {
    const last = history.pop();
    if (decisions.get(table.key[last.row])?.id === last.id) return last.row;
  }
  return row;
}

function download() {
  const blob = new Blob([JSON.stringify({ decisions: pending }, null, 1)], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "decisions.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  if (!pending.length) return;
  kept.set(SHELF + ":downloaded", pending.at(-1).id);
  say(waitingText());
}
