/* <patient-timeline>: a patient's events on a canvas, in lanes; pan and zoom by mouse, touch and keyboard. */
"use strict";

const DAY = 1440;
const LANES = ["stay", "diagnosis", "procedure", "laboratory", "drug", "document", "observation"];
const LEFT = 128;
const TOP = 66;
const ROWS = 5;

class PatientTimeline extends HTMLElement {
  async connectedCallback() {
    this.canvas = this.querySelector("canvas");
    this.tip = this.querySelector(".tip");
    this.said = this.querySelector("[role=status]");
    this.shown = new Set(LANES.keys());
    this.current = -1;
    const answer = await fetch(this.dataset.source, { credentials: "same-origin" });
    if (!answer.ok) return;
    this.data = await answer.json();
    this.first = this.data.start.length ? this.data.start[0] : 0;
    this.last = this.data.start.reduce((most, start, n) => Math.max(most, start, this.data.end[n] || 0), 0);
    this.rows = this.spread();
    this.all();
    this.listen();
    this.dispatchEvent(new CustomEvent("ready", { bubbles: true }));
  }

  /* The row of each event in its lane: one per label, taken in turn. */
  spread() {
    const next = LANES.map(() => 0);
    this.used = next;
    const rows = new Map();
    return this.data.label.map((label, n) => {
      const lane = this.data.lane[n];
      const key = lane * 1e6 + label;
      if (!rows.has(key)) { rows.set(key, next[lane] % ROWS); next[lane] += 1; }
      return rows.get(key);
    });
  }

  /* Where an event's row is in its lane, as a share of its height. */
  depth(n) {
    return 0.12 + (0.76 * (this.rows[n] + 0.5)) / Math.min(ROWS, this.used[this.data.lane[n]]);
  }

  listen() {
    new ResizeObserver(() => this.later()).observe(this);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.later());
    const canvas = this.canvas;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, this.timeAt(event.offsetX));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.drag = { x: event.offsetX, from: this.from, moved: false };
    });
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => {
      const drag = this.drag;
      this.drag = null;
      if (drag && !drag.moved) this.open(this.nearest(event.offsetX, event.offsetY));
    });
    canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    canvas.addEventListener("keydown", (event) => this.key(event));
    this.addEventListener("click", (event) => {
      const what = event.target.closest("[data-do]");
      if (what) ({ in: () => this.zoom(1 / 1.5), out: () => this.zoom(1.5), all: () => this.all() })[what.dataset.do]();
    });
    for (const box of document.querySelectorAll("[data-lane]")) box.addEventListener("change", () => {
      const lane = Number(box.dataset.lane);
      if (box.checked) this.shown.add(lane); else this.shown.delete(lane);
      this.later();
    });
  }

  all() {
    const margin = Math.max(DAY, (this.last - this.first) * 0.02);
    this.from = this.first - margin;
    this.to = this.last + margin;
    this.later();
  }

  zoom(factor, around = (this.from + this.to) / 2) {
    const whole = this.last - this.first + 60 * DAY;
    const span = Math.min(Math.max((this.to - this.from) * factor, 120), whole);
    const share = (around - this.from) / (this.to - this.from);
    this.from = around - span * share;
    this.to = this.from + span;
    this.later();
  }

  key(event) {
    const step = (this.to - this.from) / 8;
    const pan = (by) => { this.from += by; this.to += by; this.later(); };
    const actions = {
      ArrowLeft: () => pan(-step), ArrowRight: () => pan(step), "+": () => this.zoom(1 / 1.4), "=": () => this.zoom(1 / 1.4),
      "-": () => this.zoom(1.4), 0: () => this.all(), Home: () => this.all(), n: () => this.walk(1), p: () => this.walk(-1),
      Enter: () => this.open(this.current),
    };
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  }

  walk(by) {
    const { start, lane } = this.data;
    let next = this.current;
    do next += by; while (next >= 0 && next < start.length && !this.shown.has(lane[next]));
    if (next < 0 || next >= start.length) return;
    this.current = next;
    const span = this.to - this.from;
    if (start[next] < this.from || start[next] > this.to) { this.from = start[next] - span / 2; this.to = this.from + span; }
    this.said.textContent = this.describe(next);
    this.later();
  }

  move(event) {
    if (this.drag) {
      const by = (event.offsetX - this.drag.x) / this.scale;
      this.drag.moved = this.drag.moved || Math.abs(event.offsetX - this.drag.x) > 4;
      const span = this.to - this.from;
      this.from = this.drag.from - by;
      this.to = this.from + span;
      this.later();
      return;
    }
    const near = this.nearest(event.offsetX, event.offsetY);
    this.tip.hidden = near < 0;
    this.canvas.style.cursor = near >= 0 && this.data.document[near] !== null ? "pointer" : "";
    if (near < 0) return;
    this.tip.textContent = this.describe(near);
    this.tip.style.left = `${Math.max(4, Math.min(event.offsetX + 14, this.clientWidth - this.tip.offsetWidth - 8))}px`;
    this.tip.style.top = `${event.offsetY + 18}px`;
  }

  describe(n) {
    const { data } = this;
    const day = (minutes) => new Intl.DateTimeFormat(this.dataset.lang, { dateStyle: "medium", timeZone: "UTC" }).format(minutes * 60000);
    const end = data.end[n] ? ` → ${day(data.end[n])}` : "";
    return [data.labels[data.label[n]], data.detail[n], day(data.start[n]) + end].filter(Boolean).join(" · ");
  }

  open(n) {
    if (n >= 0 && this.data.document[n] !== null) location.assign(`${this.dataset.documents || "/documents/"}${this.data.document[n]}`);
  }

  timeAt(x) { return this.from + (x - LEFT) / this.scale; }
  get scale() { return (this.canvas.clientWidth - LEFT) / (this.to - this.from); }

  /* Events are sorted by start; drugs and stays may begin before the window, so the scan starts at the first one. */
  place(n) {
    const order = [...LANES.keys()].filter((lane) => this.shown.has(lane));
    const height = (this.canvas.clientHeight - TOP) / Math.max(order.length, 1);
    const lane = order.indexOf(this.data.lane[n]);
    const y = TOP + lane * height;
    const x = LEFT + (this.data.start[n] - this.from) * this.scale;
    const end = this.data.end[n];
    const width = end ? Math.max((end - this.data.start[n]) * this.scale, 3) : 0;
    return { x, y, width, height, row: Math.round(y + height * this.depth(n)), whole: this.data.lane[n] === 0 };
  }

  nearest(x, y) {
    let best = -1;
    let distance = 12;
    for (let n = 0; n < this.data.start.length; n += 1) {
      if (!this.shown.has(this.data.lane[n])) continue;
      const at = this.place(n);
      if (x < at.x - 12 || x > at.x + at.width + 12 || y < at.y || y > at.y + at.height) continue;
      const away = Math.max(at.x - x, x - at.x - at.width, 0) + (at.whole ? 8 : Math.abs(at.row - y));
      if (away < distance) { distance = away; best = n; }
    }
    return best;
  }

  later() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => { this.frame = 0; this.paint(); });
  }
}

globalThis.PatientTimeline = PatientTimeline;
