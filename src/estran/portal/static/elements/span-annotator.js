/* Marking spans in a text, with the mouse or by keyboard alone. The text stays one node: marks are painted by the
   CSS Custom Highlight API. Offsets are kept in Unicode code points, as the server counts them. */
"use strict";

class SpanAnnotator extends HTMLElement {
  connectedCallback() {
    this.text = JSON.parse(this.dataset.text);
    this.labels = JSON.parse(this.dataset.labels);
    this.attributes_ = JSON.parse(this.dataset.attributes);
    this.article = this.querySelector("article");
    this.article.textContent = this.text;
    this.node = this.article.firstChild;
    this.units = [0];
    for (const point of this.text) this.units.push(this.units[this.units.length - 1] + point.length);
    this.words = [...this.text.matchAll(/\S+/gu)].map((m) => [m.index, m.index + m[0].length]);
    this.spans = JSON.parse(this.dataset.spans).map((s) => ({
      start: this.units[s.start], end: this.units[s.end], label: s.label, attributes: [...s.attributes],
    }));
    this.past = [];
    this.active = null;
    this.from = this.to = null; // words under the keyboard's cursor
    this.listen();
    this.paint();
  }

  disconnectedCallback() {
    if (CSS.highlights) CSS.highlights.clear();
  }

  listen() {
    this.addEventListener("click", (event) => this.clicked(event));
    this.article.addEventListener("mouseup", (event) => this.pointed(event));
    this.addEventListener("keydown", (event) => this.typed(event));
    this.addEventListener("submit", () => { this.leaving = true; this.querySelector("[name=spans]").value = this.written(); });
    window.addEventListener("beforeunload", (event) => { if (this.past.length && !this.leaving) event.preventDefault(); });
  }

  clicked(event) {
    const { target } = event;
    const give = target.closest("[data-give]");
    const flag = target.closest("[data-flag]");
    const take = target.closest("[data-take]");
    const row = target.closest("[data-row]");
    if (give) this.give(give.dataset.give);
    else if (flag) this.flag(flag.dataset.flag);
    else if (take) this.take(JSON.parse(take.dataset.take));
    else if (target.closest("[data-undo]")) this.undo();
    else if (row && target.closest("[data-remove]")) this.remove(this.spans[Number(row.dataset.row)]);
    else if (row) this.activate(this.spans[Number(row.dataset.row)]);
  }

  pointed(event) {
    const selection = getSelection();
    if (!selection.isCollapsed) { this.active = null; this.from = this.to = null; this.paint(); return; }
    const caret = document.caretPositionFromPoint
      ? document.caretPositionFromPoint(event.clientX, event.clientY)?.offset
      : document.caretRangeFromPoint(event.clientX, event.clientY)?.startOffset;
    const here = this.spans.filter((s) => s.start <= caret && caret < s.end).sort((a, b) => a.end - a.start - b.end + b.start);
    this.from = this.to = null;
    this.activate(here[0] || null);
  }

  typed(event) {
    const { key } = event;
    if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "z") { event.preventDefault(); this.undo(); return; }
    if (event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select")) return;
    const inText = event.target === this.article;
    if (key === "ArrowRight" || key === "ArrowLeft") {
      const step = key === "ArrowRight" ? 1 : -1;
      if (this.active && (event.shiftKey || event.altKey)) this.stretch(step, event.altKey);
      else if (inText) this.move(step, event.shiftKey);
      else return;
    } else if (inText && (key === "ArrowDown" || key === "ArrowUp")) this.jump(key === "ArrowDown" ? 1 : -1, event.shiftKey);
    else if (key === "Delete" || key === "Backspace") { if (!this.active) return; this.remove(this.active); }
    else if (key === "Escape") { this.from = this.to = null; getSelection().removeAllRanges(); this.activate(null); }
    else if (!event.altKey && key.length === 1 && (inText || event.target.closest("[data-list]"))) {
      const label = this.labels.find((l) => l.key && l.key === key.toLowerCase());
      const flag = this.attributes_.find((a) => a.key && a.key === key.toLowerCase());
      if (label) this.give(label.id); else if (flag) this.flag(flag.id); else return;
    } else return;
    event.preventDefault();
  }

  /* The keyboard's cursor goes from word to word; with Shift it grows. */
  move(step, grow) {
    if (!this.words.length) return;
    if (this.to === null) this.from = this.to = step > 0 ? 0 : this.words.length - 1;
    else {
      this.to = Math.max(0, Math.min(this.words.length - 1, this.to + step));
      if (!grow) this.from = this.to;
    }
    this.active = grow ? null : this.at(this.words[this.to][0]);
    getSelection().removeAllRanges();
    this.paint();
    const [start, end] = this.picked();
    this.say(this.text.slice(start, end));
    const place = this.range(...this.words[this.to]).getBoundingClientRect();
    if (place.top < 90 || place.bottom > innerHeight - 20) scrollBy(0, place.top - innerHeight / 2);
  }

  jump(step, grow) {
    if (this.to === null) { this.move(step, grow); return; }
    const line = (place) => this.range(...this.words[place]).getBoundingClientRect();
    const here = line(this.to);
    let next = this.to;
    while (next + step >= 0 && next + step < this.words.length) {
      next += step;
      const there = line(next);
      if (Math.abs(there.top - here.top) > 4 && (step > 0 ? there.right >= here.left : there.left <= here.left)) break;
    }
    this.move(next - this.to, grow);
  }

  at(place) { return this.spans.find((s) => s.start <= place && place < s.end) || null; }

  /* What is selected: by the mouse, else by the keyboard; without the blanks around it. */
  picked() {
    const selection = getSelection();
    let start = null;
    let end = null;
    if (!selection.isCollapsed && selection.anchorNode === this.node && selection.focusNode === this.node) {
      [start, end] = [selection.anchorOffset, selection.focusOffset].sort((a, b) => a - b);
    } else if (this.to !== null) {
      start = this.words[Math.min(this.from, this.to)][0];
      end = this.words[Math.max(this.from, this.to)][1];
    }
    if (start === null) return null;
    while (start < end && /\s/.test(this.text[start])) start += 1;
    while (end > start && /\s/.test(this.text[end - 1])) end -= 1;
    while (end - start > 1 && this.to !== null && /[.,;:)»]/.test(this.text[end - 1])) end -= 1;
    return start < end ? [start, end] : null;
  }

  change(what, said) {
    this.past.push(JSON.stringify(this.spans));
    what();
    this.spans.sort((a, b) => a.start - b.start || a.end - b.end);
    this.paint();
    this.say(said);
  }

  give(label) {
    const name = this.named(this.labels, label);
    if (this.active) {
      this.change(() => { this.active.label = label; }, `${name}: ${this.quoted(this.active)}`);
      return;
    }
    const place = this.picked();
    if (!place) { this.say(this.dataset.nothing); return; }
    const span = { start: place[0], end: place[1], label, attributes: [] };
    this.change(() => { this.spans.push(span); this.active = span; }, `${name}: ${this.quoted(span)} ${this.dataset.added}`);
    getSelection().removeAllRanges();
  }

  take(row) {
    const span = { start: this.units[row.start], end: this.units[row.end], label: row.label, attributes: [...row.attributes] };
    const same = (s) => s.start === span.start && s.end === span.end && s.label === span.label && String(s.attributes) === String(span.attributes);
    if (this.spans.some(same)) return;
    this.change(() => { this.spans.push(span); this.active = span; }, `${this.quoted(span)} ${this.dataset.added}`);
  }

  flag(id) {
    const span = this.active;
    if (!span) { this.say(this.dataset.nothing); return; }
    const has = span.attributes.includes(id);
    this.change(() => {
      span.attributes = has ? span.attributes.filter((one) => one !== id) : [...span.attributes, id].sort();
    }, `${this.named(this.attributes_, id)} ${has ? this.dataset.removed : this.dataset.added}`);
  }

  remove(span) {
    this.change(() => { this.spans = this.spans.filter((one) => one !== span); this.active = null; }, `${this.quoted(span)} ${this.dataset.removed}`);
  }

  /* A bound of the mark goes to the next word's. */
  stretch(step, first) {
    const span = this.active;
    const bounds = this.words.map((word) => word[first ? 0 : 1]);
    const bound = first ? span.start : span.end;
    const next = step > 0 ? bounds.find((one) => one > bound) : bounds.findLast((one) => one < bound);
    if (next === undefined || (first ? next >= span.end : next <= span.start)) return;
    this.change(() => { if (first) span.start = next; else span.end = next; }, this.quoted(span));
  }

  undo() {
    if (!this.past.length) return;
    this.spans = JSON.parse(this.past.pop());
    this.active = null;
    this.paint();
    this.say(this.dataset.undone);
  }

  activate(span) { this.active = span; this.paint(); if (span) this.say(`${this.named(this.labels, span.label)}: ${this.quoted(span)}`); }

  named(marks, id) { return (marks.find((one) => one.id === id) || { label: id }).label; }
  quoted(span) { return `« ${this.text.slice(span.start, span.end)} »`; }
  say(text) { this.querySelector("[data-said]").textContent = text; }
  range(start, end) {
    const range = new Range();
    range.setStart(this.node, start);
    range.setEnd(this.node, end);
    return range;
  }

  point(unit) {
    let low = 0;
    let high = this.units.length - 1;
    while (low < high) { const middle = (low + high + 1) >> 1; if (this.units[middle] <= unit) low = middle; else high = middle - 1; }
    return low;
  }

  written() {
    return JSON.stringify(this.spans.map((s) => ({ start: this.point(s.start), end: this.point(s.end), label: s.label, attributes: s.attributes })));
  }

  paint() {
    this.list();
    for (const button of this.querySelectorAll("[data-flag]")) {
      button.setAttribute("aria-pressed", String(Boolean(this.active && this.active.attributes.includes(button.dataset.flag))));
    }
    if (!CSS.highlights || !this.node) return;
    CSS.highlights.clear();
    this.labels.forEach((label, place) => {
      const ranges = this.spans.filter((s) => s.label === label.id).map((s) => this.range(s.start, s.end));
      if (ranges.length) CSS.highlights.set(`mark-${place % 8}`, new Highlight(...ranges));
    });
    if (this.active) CSS.highlights.set("mark-active", new Highlight(this.range(this.active.start, this.active.end)));
    if (this.to !== null) {
      const [a, b] = [Math.min(this.from, this.to), Math.max(this.from, this.to)];
      const cursor = new Highlight(this.range(this.words[a][0], this.words[b][1]));
      cursor.priority = 5;
      CSS.highlights.set("mark-cursor", cursor);
    }
  }

  list() {
    const list = this.querySelector("[data-list]");
    const focused = list.contains(document.activeElement);
    const rows = this.spans.map((span, place) => {
      const row = document.createElement("li");
      row.dataset.row = place;
      const open = document.createElement("button");
      open.type = "button";
      open.className = "open";
      open.setAttribute("aria-pressed", String(span === this.active));
      const swatch = document.createElement("i");
      swatch.className = `swatch s${Math.max(0, this.labels.findIndex((l) => l.id === span.label)) % 8}`;
      const flags = span.attributes.map((id) => this.named(this.attributes_, id)).join(", ");
      open.append(swatch, `${this.named(this.labels, span.label)}${flags ? ` (${flags})` : ""} : ${this.text.slice(span.start, span.end)}`);
      const remove = document.createElement("button");
      remove.type = "button";
      remove.className = "icon danger";
      remove.dataset.remove = "";
      remove.setAttribute("aria-label", `${this.dataset.remove} ${this.quoted(span)}`);
      remove.textContent = "×";
      row.append(open, remove);
      return row;
    });
    if (!rows.length) {
      const none = document.createElement("li");
      none.className = "soft";
      none.textContent = this.dataset.none;
      rows.push(none);
    }
    list.replaceChildren(...rows);
    this.querySelector("[data-count]").textContent = this.spans.length;
    if (focused) {
      const again = list.querySelector("[aria-pressed=true]") || list.querySelector("button");
      if (again) again.focus(); else this.article.focus();
    }
  }
}

customElements.define("span-annotator", SpanAnnotator);
