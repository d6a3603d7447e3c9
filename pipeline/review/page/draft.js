"use strict";
// What is drawn for an image and not saved yet. It stays while other images are looked at.
const MOST_STROKES = 500, MOST_PLACES = 2000, MOST_BYTES = 900000; // as the server takes them
const drafts = new Map(); // by source key

const sameDraft = (one, two) => JSON.stringify(correctionOf(one)) === JSON.stringify(correctionOf(two));

function freshDraft(correction) {
  const { strokes = [], reference = null, method = null, chroma = null } = correction || {};
  return { strokes, reference, method, chroma, past: [] };
}

// The draft of an image: what is begun, else what the decision that stands corrects.
async function draftOf(row) {
  const key = table.key[row];
  if (!drafts.has(key)) {
    const saved = await savedCorrection(row);
    if (!drafts.has(key)) drafts.set(key, { ...freshDraft(saved), saved: freshDraft(saved) });
  }
  return drafts.get(key);
}

async function savedCorrection(row) {
  if (verdictOf(row) !== "correct") return null;
  const decision = decisions.get(table.key[row]);
  if (!decision.correction && served) {
    const answer = await fetch(`/api/correction?key=${encodeURIComponent(table.key[row])}`, { credentials: "same-origin" });
    if (answer.ok) decision.correction = await answer.json();
  }
  return decision.correction;
}

// Null where the draft changes nothing.
function correctionOf(draft) {
  const { strokes, reference, method, chroma } = draft;
  if (!strokes.length && !reference && !method && chroma === null) return null;
  return { strokes, reference, method, chroma };
}

function changeStrokes(draft, strokes) {
  draft.past.push(draft.strokes);
  draft.strokes = strokes;
}

function undoStrokes(draft) {
  if (!draft.past.length) return false;
  draft.strokes = draft.past.pop();
  return true;
}

const share = (value) => Math.round(Math.max(0, Math.min(1, value)) * 10000) / 10000;

// Why no further stroke can be kept; "" where one can.
function full(draft) {
  return draft.strokes.length >= MOST_STROKES || JSON.stringify(draft.strokes).length > MOST_BYTES ? "tooMany" : "";
}
