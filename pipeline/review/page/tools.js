"use strict";
// The panel of the tools: it shows the draft, and changes it.
const TOOLS = ["move", "brush", "erase", "pick"];

function buildTools() {
  tool("palette").replaceChildren(...PALETTE.map(([color]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.color = color;
    button.style.backgroundColor = color;
    button.title = colourName(color);
    button.setAttribute("aria-label", colourName(color));
    button.addEventListener("click", () => setColor(color));
    return button;
  }));
  options("method-choice", ["", ...Object.keys(METHODS)], (name) => name || text("automatic"));
}

function showTools() {
  const draft = edit.draft;
  for (const name of TOOLS) tool(`tool-${name}`).setAttribute("aria-pressed", String(brush.tool === name));
  for (const button of tool("palette").children) button.setAttribute("aria-pressed", String(button.dataset.color === brush.color));
  tool("color").value = brush.color;
  tool("color-name").textContent = colourName(brush.color);
  tool("radius").value = Math.round(brush.radius * 1000);
  if (!draft) return;
  const chroma = draft.chroma ?? 1;
  tool("chroma-factor").value = Math.round(chroma * 100);
  tool("chroma-shown").textContent = `${Math.round(chroma * 100)} %`;
  tool("method-choice").value = draft.method || "";
  tool("lender").textContent = draft.reference || "";
  tool("no-lender").hidden = !draft.reference;
  tool("stroke-count").textContent = counted(draft.strokes.length, "strokes");
  tool("undo-stroke").disabled = !draft.past.length;
  tool("no-strokes").disabled = !draft.strokes.length;
  const isSaved = sameDraft(draft, draft.saved);
  tool("save").disabled = isSaved;
  tool("drop").disabled = isSaved;
}

// Results whose names contain what was typed, to lend their colours.
function offerLenders() {
  const wanted = tool("reference").value.trim().toLowerCase(), offered = [];
  for (let row = 0; wanted && row < table.rows && offered.length < 12; row++)
    if (row !== edit.row && table.after[row] && table.key[row].toLowerCase().includes(wanted)) offered.push(row);
  tool("lenders").replaceChildren(...offered.map((row) => {
    const button = document.createElement("button"), image = document.createElement("img");
    button.type = "button";
    image.src = afterThumb(row);
    image.alt = "";
    button.append(image, line("key", table.key[row]));
    button.addEventListener("click", () => { setLender(table.key[row]); });
    return button;
  }));
}

function setLender(key) {
  edit.draft.reference = key;
  tool("reference").value = "";
  offerLenders();
  changed();
}

for (const name of TOOLS) tool(`tool-${name}`).addEventListener("click", () => setTool(name));
tool("color").addEventListener("input", () => setColor(tool("color").value));
tool("radius").addEventListener("input", () => setRadius(tool("radius").value / 1000));
tool("chroma-factor").addEventListener("input", () => {
  if (!edit.draft) return;
  const factor = tool("chroma-factor").value / 100;
  edit.draft.chroma = factor === 1 && edit.draft.saved.chroma === null ? null : factor;
  showTools();
  show();
});
tool("chroma-factor").addEventListener("change", () => { if (edit.draft) changed(); });
tool("method-choice").addEventListener("change", () => { if (edit.draft) { edit.draft.method = tool("method-choice").value || null; changed(); } });
tool("reference").addEventListener("input", offerLenders);
tool("no-lender").addEventListener("click", () => setLender(null));
tool("undo-stroke").addEventListener("click", () => { if (undoStrokes(edit.draft)) changed(); });
tool("no-strokes").addEventListener("click", () => { changeStrokes(edit.draft, []); changed(); });
tool("strokes-shown").addEventListener("input", () => { sketch.style.opacity = tool("strokes-shown").value / 100; });
tool("save").addEventListener("click", saveCorrection);
tool("drop").addEventListener("click", dropDraft);
