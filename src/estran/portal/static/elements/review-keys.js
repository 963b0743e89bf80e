/* The panel of a review: one key per decision, items shown by the answers of others. */
"use strict";

(() => {
  const panel = document.querySelector("[data-review]");
  if (!panel) return;
  const box = document.getElementById("keys");
  box.checked = localStorage.getItem("review-keys") !== "off";
  box.addEventListener("change", () => localStorage.setItem("review-keys", box.checked ? "on" : "off"));

  document.addEventListener("keydown", (event) => {
    if (!box.checked || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const field = event.target.closest("textarea, select, input, patient-timeline");
    if (field && !["checkbox", "radio"].includes(field.type)) return;
    const button = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (button) { event.preventDefault(); button.click(); }
  });

  function answers(item) {
    return [...panel.querySelectorAll(`[name="item-${CSS.escape(item)}"]`)]
      .filter((field) => (["checkbox", "radio"].includes(field.type) ? field.checked : field.value))
      .map((field) => field.value);
  }

  function show() {
    for (const asked of panel.querySelectorAll("[data-if]")) {
      const before = panel.querySelector(`[data-item="${CSS.escape(asked.dataset.if)}"]`);
      const wanted = asked.dataset.is.split("\n");
      asked.hidden = before.hidden || !answers(asked.dataset.if).some((one) => wanted.includes(one));
    }
  }
  panel.addEventListener("input", show);
  show();
})();
