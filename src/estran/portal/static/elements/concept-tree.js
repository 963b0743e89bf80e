/* <concept-tree>: the vocabularies as a tree (WAI-ARIA APG, tree view), each level fetched when it is opened. */
"use strict";

class ConceptTree extends HTMLElement {
  connectedCallback() {
    this.addEventListener("keydown", (event) => this.key(event));
    this.addEventListener("click", (event) => this.press(event));
    document.addEventListener("click", (event) => {
      const opener = event.target.closest("[data-browse]");
      if (opener) this.start(opener.dataset.browse);
    });
  }

  get tree() { return this.querySelector("[role=tree]"); }
  get shown() { return [...this.querySelectorAll("[role=treeitem]")].filter((item) => !item.parentElement.closest("[aria-expanded=false]")); }

  async start(step) {
    this.step = step;
    this.closest("dialog").showModal();
    if (!this.tree.children.length) await this.fetchInto(this.tree, "", "");
    const first = this.querySelector("[role=treeitem][tabindex='0']") || this.shown[0];
    if (first) this.focusOn(first);
  }

  async fetchInto(list, vocabulary, code) {
    const where = new URLSearchParams({ vocabulary, code });
    const answer = await fetch(`/concepts/tree?${where}`, { headers: { "HX-Request": "true" }, credentials: "same-origin" });
    if (!answer.ok || answer.status === 204) return false;
    const parsed = new DOMParser().parseFromString(`<ul>${await answer.text()}</ul>`, "text/html");
    list.replaceChildren(...parsed.querySelectorAll("li"));
    const status = this.querySelector("[role=status]");
    status.textContent = status.dataset.said.replace("{n}", list.children.length);
    return true;
  }

  focusOn(item) {
    for (const other of this.querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
    item.tabIndex = 0;
    item.focus();
    item.querySelector(".node").scrollIntoView({ block: "nearest" });
  }

  async open(item) {
    if (item.getAttribute("aria-expanded") !== "false") return;
    let list = item.querySelector("[role=group]");
    if (!list) {
      list = document.createElement("ul");
      list.setAttribute("role", "group");
      item.append(list);
      if (!(await this.fetchInto(list, item.dataset.vocabulary, item.dataset.code))) return list.remove(); // to be tried again
    }
    list.hidden = false;
    item.setAttribute("aria-expanded", "true");
  }

  shut(item) {
    item.setAttribute("aria-expanded", "false");
    item.querySelector("[role=group]").hidden = true;
  }

  press(event) {
    const item = event.target.closest("[role=treeitem]");
    if (!item) return;
    this.focusOn(item);
    const arrow = event.clientX - item.querySelector(".node").getBoundingClientRect().left < 26;
    if (!item.dataset.code || (arrow && item.hasAttribute("aria-expanded"))) this.toggle(item);
    else this.choose(item);
  }

  toggle(item) {
    if (item.getAttribute("aria-expanded") === "true") this.shut(item);
    else this.open(item);
  }

  key(event) {
    const item = event.target.closest("[role=treeitem]");
    if (!item || event.ctrlKey || event.altKey || event.metaKey) return;
    const shown = this.shown;
    const at = shown.indexOf(item);
    const parent = item.parentElement.closest("[role=treeitem]");
    const expanded = item.getAttribute("aria-expanded");
    let next = null;
    if (event.key === "ArrowDown") next = shown[at + 1];
    else if (event.key === "ArrowUp") next = shown[at - 1];
    else if (event.key === "Home") next = shown[0];
    else if (event.key === "End") next = shown[shown.length - 1];
    else if (event.key === "ArrowRight" && expanded === "false") this.open(item);
    else if (event.key === "ArrowRight" && expanded === "true") next = item.querySelector("[role=treeitem]");
    else if (event.key === "ArrowLeft" && expanded === "true") this.shut(item);
    else if (event.key === "ArrowLeft") next = parent;
    else if (event.key === "Enter" || event.key === " ") item.dataset.code ? this.choose(item) : this.toggle(item);
    else if (event.key.length === 1) next = this.startsWith(shown, at, event.key);
    else return;
    event.preventDefault();
    if (next) this.focusOn(next);
  }

  startsWith(shown, at, letter) {
    const after = [...shown.slice(at + 1), ...shown.slice(0, at)];
    return after.find((item) => item.querySelector(".name")?.textContent.trim().toLowerCase().startsWith(letter.toLowerCase()));
  }

  choose(item) {
    if (item.hasAttribute("aria-disabled")) return;
    const { vocabulary, code, family } = item.dataset;
    this.closest("dialog").close();
    htmx.ajax("POST", "/cohort/edit", {
      source: this, target: "#tree", swap: "innerMorph",
      values: { op: "pick", step: this.step, vocabulary, code, family },
    });
  }
}

customElements.define("concept-tree", ConceptTree);
