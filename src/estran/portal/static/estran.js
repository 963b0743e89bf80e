/* What plain HTML cannot do for every page: dialogs, menus that close, focus after an edit, undo by keyboard. */
"use strict";

function byId(id) { return document.getElementById(id); }

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open]");
  if (opener) byId(opener.dataset.open).showModal();
  const closer = event.target.closest("[data-close]");
  if (closer) byId(closer.dataset.close).close();
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("details.menu[open]");
  if (event.key === "Escape" && menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
  const typing = event.target.closest("input, textarea, select");
  if (typing || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
  const button = byId(event.shiftKey ? "redo" : "undo");
  if (button && !button.disabled) {
    event.preventDefault();
    button.click();
  }
});

/* Fields whose change waits behind another edit: the answer to that one does not know of it yet. */
const onTheWay = new Map();

/* A morph keeps what was typed in a field; after an edit the server's word is the true one. */
function takeServersWord(root) {
  const newer = new Set(onTheWay.values());
  for (const field of root.querySelectorAll("input, select")) {
    if (newer.has(field) || (field === document.activeElement && field.type !== "checkbox")) continue;
    if (field.type === "checkbox") field.checked = field.hasAttribute("checked");
    else if (field.tagName === "SELECT") {
      const chosen = field.querySelector("option[selected]");
      field.value = chosen ? chosen.value : (field.options[0] || { value: "" }).value;
    } else if (field.type !== "hidden") field.value = field.getAttribute("value") || "";
  }
}

/* What somebody opened stays open: the answer to an edit, and a count that comes late, know nothing of it. */
htmx.registerExtension("stays-open", {
  htmx_before_morph_attr: (node, { attrName, newValue }) => !(attrName === "open" && newValue === null),
});

/* Edits not answered yet, the ones that wait in the queue of #tree among them; and the form that waits for them all. */
const unanswered = new Set();
let waitingForm = null;

/* When its turn comes, htmx looks a request's queue up again. What asked may be gone by then, and inherits nothing:
   it names the queue itself (and no morph takes that off: morphIgnore in frame.html), or the queue would stop there. */
document.addEventListener("htmx:config:request", (event) => {
  const source = event.detail.ctx.sourceElement;
  if (!source.closest("#tree, #commands, concept-tree")) return;
  if (!source.hasAttribute("hx-sync")) source.setAttribute("hx-sync", "#tree:queue all");
  unanswered.add(event.detail.ctx);
});

document.addEventListener("htmx:finally:request", (event) => {
  unanswered.delete(event.detail.ctx);
  if (unanswered.size || !waitingForm) return;
  const form = waitingForm;
  waitingForm = null;
  if (form.closest("dialog").open) form.requestSubmit();
});

/* A version is saved with the edits made before, not while they wait: leaving the page would lose them. */
document.addEventListener("submit", (event) => {
  if (!event.target.matches("#saving form") || !unanswered.size) return;
  event.preventDefault();
  waitingForm = event.target;
});

/* A change posts the one field that changed: another field's newer value, on its way, is not undone by it. */
document.addEventListener("htmx:config:request", (event) => {
  const { sourceElement, sourceEvent, request } = event.detail.ctx;
  const changed = sourceEvent && sourceEvent.type === "change" && sourceEvent.target.name;
  if (!changed || !sourceElement.closest("#tree")) return;
  onTheWay.set(event.detail.ctx, sourceEvent.target);
  for (const name of [...new Set(request.body.keys())]) {
    if (![changed, "op", "step"].includes(name)) request.body.delete(name);
  }
});

/* Where the focus goes when an edit added, removed or moved something. */
let wantedFocus = "";

document.addEventListener("htmx:before:request", (event) => {
  const source = event.detail.ctx && event.detail.ctx.sourceElement;
  wantedFocus = source && source.id && source.closest("#tree, #commands") ? source.id : "";
});

document.addEventListener("htmx:finally:request", (event) => onTheWay.delete(event.detail.ctx));

document.addEventListener("htmx:after:request", (event) => {
  onTheWay.delete(event.detail.ctx);
  const response = event.detail.ctx && event.detail.ctx.response;
  const asked = response && response.headers && response.headers.get("X-Focus");
  if (asked) wantedFocus = asked;
});

document.addEventListener("htmx:after:swap", () => {
  const tree = byId("tree");
  if (!tree) return;
  takeServersWord(tree);
  const here = document.activeElement;
  if (wantedFocus.startsWith("s-")) {
    const step = byId(wantedFocus) || byId(wantedFocus.replace(/^s-/, "f-"));
    const field = step && (step.querySelector('input:not([type="hidden"]), select') || step.querySelector("button"));
    if (field && !step.contains(here)) field.focus();
  } else if ((!here || here === document.body) && wantedFocus) {
    const again = byId(wantedFocus);
    if (again && !again.disabled) again.focus();
  }
  wantedFocus = "";
});
