/* <concept-picker>: an ARIA combobox that looks codes up while one types, and posts the one chosen. */
"use strict";

const WAIT = 160;

class ConceptPicker extends HTMLElement {
  connectedCallback() {
    if (this.ready) return;
    this.ready = true;
    this.at = -1;
    this.asked = null;
    this.addEventListener("input", () => this.later());
    this.addEventListener("focusin", () => this.later());
    this.addEventListener("focusout", () => setTimeout(() => { if (!this.contains(document.activeElement)) this.close(); }, 120));
    this.addEventListener("keydown", (event) => this.key(event));
    this.addEventListener("change", (event) => event.stopPropagation());
    this.addEventListener("pointerdown", (event) => { if (event.target.closest("[role=option]")) event.preventDefault(); });
    this.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.choose(option);
    });
  }

  get input() { return this.querySelector("input"); }
  get list() { return this.querySelector("[role=listbox]"); }
  get options() { return [...this.list.querySelectorAll("[role=option]")]; }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), WAIT);
  }

  async look() {
    if (this.asked) this.asked.abort();
    this.asked = new AbortController();
    const words = this.input.value;
    try {
      const answer = await fetch(`/concepts?q=${encodeURIComponent(words)}`, {
        signal: this.asked.signal, headers: { "HX-Request": "true" }, credentials: "same-origin",
      });
      if (!answer.ok || answer.status === 204) return;
      this.show(await answer.text(), words);
    } catch (error) {
      if (error.name !== "AbortError") this.close();
    }
  }

  show(html, words) {
    if (!this.contains(document.activeElement)) return;
    const parsed = new DOMParser().parseFromString(`<ul>${html}</ul>`, "text/html");
    this.list.replaceChildren(...parsed.querySelectorAll("li"));
    for (const option of this.options) option.id = `${this.input.id}-${option.id}`;
    if (!this.options.length) {
      const none = document.createElement("li");
      none.className = "none";
      none.setAttribute("role", "option");
      none.setAttribute("aria-disabled", "true");
      none.textContent = this.dataset.none;
      this.list.append(none);
    }
    this.list.dataset.of = words;
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.mark(this.input.value.trim() ? 0 : -1);
  }

  mark(index) {
    const options = this.options.filter((option) => !option.hasAttribute("aria-disabled"));
    this.at = options.length ? Math.max(-1, Math.min(index, options.length - 1)) : -1;
    options.forEach((option, n) => option.setAttribute("aria-selected", n === this.at ? "true" : "false"));
    const chosen = options[this.at];
    if (chosen) {
      this.input.setAttribute("aria-activedescendant", chosen.id);
      chosen.scrollIntoView({ block: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }

  key(event) {
    const open = !this.list.hidden;
    if (event.key === "Enter") event.preventDefault();
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) this.look();
      else this.mark(this.at + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && open && this.at >= 0 && this.list.dataset.of === this.input.value) {
      // never from the answer to fewer letters than were typed: the one to all of them is on its way
      this.choose(this.options[this.at]);
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      event.stopPropagation();
      this.close();
    } else if (open && event.key === "Home" && event.ctrlKey) this.mark(0);
    else if (open && event.key === "End" && event.ctrlKey) this.mark(this.options.length - 1);
  }

  choose(option) {
    if (option.hasAttribute("aria-disabled")) return;
    const { vocabulary, code, family } = option.dataset;
    this.close();
    this.input.value = "";
    htmx.ajax("POST", "/cohort/edit", {
      source: this, target: "#tree", swap: "innerMorph",
      values: { op: "pick", step: this.dataset.step, vocabulary, code, family },
    });
  }

  close() {
    clearTimeout(this.timer);
    if (this.asked) this.asked.abort();
    if (!this.list) return; // the criterion was removed meanwhile
    this.list.hidden = true;
    this.list.replaceChildren();
    delete this.list.dataset.of;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
    this.at = -1;
  }
}

customElements.define("concept-picker", ConceptPicker);
