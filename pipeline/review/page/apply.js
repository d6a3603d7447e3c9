"use strict";
// Carry the decisions out, on the served page, and show what comes of it.
async function applyDecisions() {
  const buttons = document.querySelectorAll(".apply"), bar = document.getElementById("apply-progress");
  for (const button of buttons) button.disabled = true;
  try {
    let now = await asked("POST");
    while (now.state === "running") {
      bar.hidden = false;
      say(`${text("applying")}: ${Math.round(now.seconds)} s`);
      await new Promise((resolve) => setTimeout(resolve, 250));
      now = await asked("GET");
    }
    if (now.state === "done") await reload();
    say(now.message);
  } catch (error) {
    say(String(error.message || error));
  } finally {
    for (const button of buttons) button.disabled = false;
    bar.hidden = true;
  }
}

async function asked(method) {
  const options = method === "POST" ? { method, headers: { "Content-Type": "application/json" }, body: "{}" } : {};
  const answer = await fetch("/api/apply", { credentials: "same-origin", ...options }), body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}

// The rows again, at the same place.
async function reload() {
  const key = at("view").open ? table.key[view.row] : null;
  for (const name of Object.keys(table)) if (Array.isArray(table[name])) table[name].length = 0;
  table.rows = 0;
  for (const [key, draft] of drafts) if (sameDraft(draft, draft.saved)) drafts.delete(key);
  await load("index.js");
  await load("decisions.js");
  for (const name of index.pages) await load(name);
  label();
  refresh(true);
  const row = key === null ? -1 : table.key.indexOf(key);
  if (row >= 0) openView(row);
}

for (const button of document.querySelectorAll(".apply")) button.addEventListener("click", applyDecisions);
