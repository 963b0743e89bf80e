/* How <patient-timeline> paints one frame. Dots of a lane are drawn from one small picture: 10,000 in a few ms. */
"use strict";

const UNITS = [[1, "day"], [7, "day"], [30, "month"], [91, "month"], [365, "year"], [1826, "year"], [3652, "year"]];

PatientTimeline.prototype.paint = function paint() {
  const started = performance.now();
  const { canvas } = this;
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  pen.clearRect(0, 0, width, height);
  pen.font = `500 12px ${getComputedStyle(this).fontFamily}`;
  this.grid(pen, width, height, colour);
  pen.save();
  pen.beginPath();
  pen.rect(LEFT, TOP, width - LEFT, height - TOP);
  pen.clip();
  this.events(pen, width, height, colour);
  pen.restore();
  this.painted = performance.now() - started;
  this.dataset.painted = this.painted.toFixed(1);
};

PatientTimeline.prototype.grid = function grid(pen, width, height, colour) {
  const lanes = [...LANES.keys()].filter((lane) => this.shown.has(lane));
  const tall = (height - TOP) / Math.max(lanes.length, 1);
  pen.strokeStyle = colour("line");
  pen.lineWidth = 1;
  pen.textBaseline = "middle";
  lanes.forEach((lane, n) => {
    const y = Math.round(TOP + n * tall) + 0.5;
    pen.beginPath();
    pen.moveTo(0, y);
    pen.lineTo(width, y);
    pen.stroke();
    pen.fillStyle = colour(`lane-${LANES[lane]}`);
    pen.fillRect(12, y + tall / 2 - 5, 4, 10);
    pen.fillStyle = colour("ink");
    pen.fillText(this.data.lanes[lane], 24, y + tall / 2);
  });
  for (const tick of this.ticks(width)) {
    const x = Math.round(LEFT + (tick.at - this.from) * this.scale) + 0.5;
    if (x < LEFT) continue;
    pen.beginPath();
    pen.moveTo(x, TOP - 20);
    pen.lineTo(x, height);
    pen.stroke();
    pen.fillStyle = colour("soft");
    if (x < width - 30) pen.fillText(tick.text, x + 5, TOP - 12);
  }
};

PatientTimeline.prototype.ticks = function ticks(width) {
  const days = (this.to - this.from) / 1440;
  const room = Math.max(3, (width - LEFT) / 96);
  const [size, unit] = UNITS.find(([length]) => days / length <= room) || UNITS[UNITS.length - 1];
  const form = { day: { day: "numeric", month: "short" }, month: { month: "short", year: "2-digit" }, year: { year: "numeric" } }[unit];
  const write = new Intl.DateTimeFormat(this.dataset.lang, { ...form, timeZone: "UTC" });
  const start = new Date(this.from * 60000);
  const found = [];
  const months = size === 30 ? 1 : size === 91 ? 3 : 12 * Math.round(size / 365);
  let moment = unit === "day"
    ? Date.UTC(start.getUTCFullYear(), start.getUTCMonth(), start.getUTCDate())
    : Date.UTC(start.getUTCFullYear(), unit === "month" ? start.getUTCMonth() - (start.getUTCMonth() % months) : 0, 1);
  for (let n = 0; moment / 60000 <= this.to && n < 400; n += 1) {
    found.push({ at: moment / 60000, text: write.format(moment) });
    const date = new Date(moment);
    moment = unit === "day" ? moment + size * 86400000 : Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + months, 1);
  }
  return found;
};

/* Dots that would fall on the same pixel are painted once: at low zoom most of ten thousand do. */
PatientTimeline.prototype.events = function events(pen, width, height, colour) {
  const { start, end, lane } = this.data;
  const ratio = devicePixelRatio || 1;
  const fills = LANES.map((name) => colour(`lane-${name}`));
  const stamps = fills.map((fill) => stamp(fill, ratio));
  const order = [...LANES.keys()].filter((one) => this.shown.has(one));
  const placeOf = LANES.map((_, one) => order.indexOf(one));
  const tall = (height - TOP) / Math.max(order.length, 1);
  const { scale, from, rows } = this;
  const wide = Math.ceil(width) + 16;
  const taken = new Uint8Array(LANES.length * ROWS * wide);
  for (let n = 0; n < start.length; n += 1) {
    const place = placeOf[lane[n]];
    if (place < 0) continue;
    const x = LEFT + (start[n] - from) * scale;
    const long = end[n] ? Math.max((end[n] - start[n]) * scale, 3) : 0;
    if (x > width + 6 || x + long < LEFT - 6) continue;
    const y = TOP + place * tall;
    const row = Math.round(y + tall * this.depth(n));
    if (lane[n] === 0) {
      pen.fillStyle = fills[0];
      pen.fillRect(x, y + 7, Math.max(long, 3), tall - 14);
    } else if (long > 7) {
      pen.fillStyle = fills[lane[n]];
      pen.fillRect(x, row - 4, long, 8);
    } else {
      const pixel = Math.round(x);
      const cell = (lane[n] * ROWS + rows[n]) * wide + pixel + 8;
      if (taken[cell]) continue;
      taken[cell] = 1;
      pen.drawImage(stamps[lane[n]], pixel - 4, row - 4, 8, 8);
    }
  }
  if (this.current >= 0 && this.shown.has(lane[this.current])) {
    const at = this.place(this.current);
    pen.strokeStyle = colour("focus");
    pen.lineWidth = 2.5;
    pen.strokeRect(at.x - 7, (at.whole ? at.y + 4 : at.row - 7), Math.max(at.width, 8) + 7, at.whole ? at.height - 8 : 14);
  }
};

const stampsKept = new Map();

/* A dot as a small picture with as many pixels as it covers: copied, never scaled. */
function stamp(fill, ratio) {
  const key = `${fill} ${ratio}`;
  if (!stampsKept.has(key)) {
    const small = document.createElement("canvas");
    small.width = Math.round(8 * ratio);
    small.height = Math.round(8 * ratio);
    const pen = small.getContext("2d");
    pen.scale(ratio, ratio);
    pen.globalAlpha = 0.85;
    pen.fillStyle = fill;
    pen.beginPath();
    pen.arc(4, 4, 3.4, 0, 7);
    pen.fill();
    stampsKept.set(key, small);
  }
  return stampsKept.get(key);
}

customElements.define("patient-timeline", PatientTimeline);
