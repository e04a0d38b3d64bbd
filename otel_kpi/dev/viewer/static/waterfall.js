// The rows of a waterfall: those that the server drew, or of a large trace those that are in view, drawn from columns.
const OVERSCAN = 20;

/** What both have: who is below whom, what is folded, what is looked for. */
class Rows {
  constructor(node) {
    this.node = node;
    this.folded = new Set();
    this.matches = null;
    this.only = false;
  }

  /** Numbers of the rows that are seen, from top to bottom. */
  seen() {
    const seen = [];
    const keep = this.only && this.matches ? this.withAncestors(this.matches) : null;
    for (let number = 0; number < this.count; number += 1) {
      if (keep) {
        if (keep.has(number)) seen.push(number);
        continue;
      }
      seen.push(number);
      if (this.folded.has(number)) number = this.end[number] - 1;
    }
    return seen;
  }

  withAncestors(numbers) {
    const all = new Set(numbers);
    for (const number of numbers) for (let at = this.parent(number); at >= 0 && !all.has(at); at = this.parent(at)) all.add(at);
    return all;
  }

  parent(number) {
    let at = number - 1;
    while (at >= 0 && this.depth[at] >= this.depth[number]) at -= 1;
    return at;
  }

  below(number) {
    return this.end[number] > number + 1;
  }

  fold(number, folded = !this.folded.has(number)) {
    if (!this.below(number)) return;
    if (folded) this.folded.add(number);
    else this.folded.delete(number);
    this.refresh();
  }

  foldAll(folded) {
    this.folded.clear();
    if (folded) for (let number = 0; number < this.count; number += 1) if (this.below(number) && this.depth[number] > 0) this.folded.add(number);
    this.refresh();
  }

  /** Unfold what a row is below. */
  uncover(number) {
    let changed = false;
    for (let at = this.parent(number); at >= 0; at = this.parent(at)) changed = this.folded.delete(at) || changed;
    if (changed) this.refresh();
  }

  look(text, only) {
    const wanted = text.trim().toLowerCase();
    this.only = only;
    this.matches = wanted ? new Set() : null;
    if (wanted) for (let number = 0; number < this.count; number += 1) if (this.text(number).includes(wanted)) this.matches.add(number);
    this.refresh();
    return this.matches?.size ?? null;
  }
}

/** Rows that are in the page already. */
export class Drawn extends Rows {
  constructor(node) {
    super(node);
    this.rows = [...node.querySelectorAll(".r")];
    this.count = this.rows.length;
    this.id = this.rows.map((row) => row.id);
    this.depth = this.rows.map((row) => Number(row.getAttribute("aria-level")) - 1);
    this.end = new Array(this.count);
    const open = [];
    for (let number = 0; number <= this.count; number += 1) {
      while (open.length && (number === this.count || this.depth[open.at(-1)] >= this.depth[number])) this.end[open.pop()] = number;
      open.push(number);
    }
    this.texts = [];
    this.rows.forEach((row, number) => {
      if (row.getAttribute("aria-expanded") === "false") this.folded.add(number);
    });
  }

  text(number) {
    this.texts[number] ??= this.rows[number].firstElementChild.textContent.toLowerCase();
    return this.texts[number];
  }

  failed(number) {
    return this.rows[number].classList.contains("failed");
  }

  number(element) {
    return this.rows.indexOf(element);
  }

  element(number) {
    return this.rows[number];
  }

  show(number) {
    this.rows[number].scrollIntoView({ block: "nearest" });
    return this.rows[number];
  }

  refresh() {
    const seen = new Set(this.seen());
    const chunks = new Map();
    this.rows.forEach((row, number) => {
      const visible = seen.has(number);
      if (row.hidden === visible) row.hidden = !visible;
      if (this.below(number)) row.setAttribute("aria-expanded", String(!this.folded.has(number)));
      row.classList.toggle("dim", Boolean(this.matches && !this.only && !this.matches.has(number)));
      chunks.set(row.parentElement, (chunks.get(row.parentElement) ?? 0) + Number(visible));
    });
    for (const [chunk, visible] of chunks) chunk.style.setProperty("--v", visible);
  }

  at(share) {
    const seen = this.seen();
    return seen[Math.min(seen.length - 1, Math.floor(share * seen.length))];
  }
}

const tag = (name, className, text) => {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};

const lasting = (nanoseconds) => {
  const three = (number) => (number < 9.995 ? number.toFixed(2) : number < 99.95 ? number.toFixed(1) : number.toFixed(0));
  if (nanoseconds < 1e3) return `${nanoseconds} ns`;
  if (nanoseconds < 999.5e3) return `${three(nanoseconds / 1e3)} µs`;
  if (nanoseconds < 999.5e6) return `${three(nanoseconds / 1e6)} ms`;
  if (nanoseconds < 59.95e9) return `${three(nanoseconds / 1e9)} s`;
  const seconds = Math.round(nanoseconds / 1e9);
  const [size, unit, part, ofPart] = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]].find(([least]) => seconds >= least);
  const rest = Math.floor((seconds % size) / part);
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${ofPart}` : ""}`;
};

/** Rows of a large trace: only those in view are in the page. */
export class Windowed extends Rows {
  constructor(node, columns, chosen) {
    super(node);
    Object.assign(this, { columns, id: columns.id, depth: columns.depth, end: columns.end, count: columns.id.length, chosen });
    this.folded = new Set(columns.folded);
    this.numbers = new Map(columns.id.map((id, number) => [id, number]));
    this.drawn = new Map();
    this.active = -1;
    node.replaceChildren();
    this.refresh();
    let waiting = false;
    const soon = () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        this.draw();
      });
    };
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", () => {
      this.measure();
      soon();
    });
  }

  measure() {
    this.height = parseFloat(getComputedStyle(this.node).getPropertyValue("--row")) || 26;
    this.node.style.height = `${this.visible.length * this.height}px`;
  }

  refresh() {
    this.visible = this.seen();
    this.places = new Map(this.visible.map((number, place) => [number, place]));
    for (const element of this.drawn.values()) element.remove();
    this.drawn.clear();
    this.measure();
    this.draw();
  }

  draw() {
    const top = this.node.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / this.height) - OVERSCAN);
    const last = Math.min(this.visible.length, Math.ceil((innerHeight - top) / this.height) + OVERSCAN);
    for (const [number, element] of this.drawn) {
      const place = this.places.get(number);
      if ((place < first || place >= last) && element !== document.activeElement) {
        element.remove();
        this.drawn.delete(number);
      }
    }
    const added = document.createDocumentFragment();
    for (let place = first; place < last; place += 1) {
      const number = this.visible[place];
      if (this.drawn.has(number)) continue;
      const element = this.make(number);
      element.style.top = `${place * this.height}px`;
      this.drawn.set(number, element);
      added.append(element);
    }
    this.node.append(added);
  }

  make(number) {
    const { columns } = this;
    const more = columns.more[number] ?? {};
    const kind = more.kind ?? "span";
    const [service, colour] = columns.services[columns.service[number]];
    const row = tag("div", `r ${colour < 0 ? "" : `s${colour}`}${more.failed ? " failed" : more.errors ? " fails" : ""}${kind === "span" ? "" : ` ${kind}`}`);
    row.id = columns.id[number];
    row.dataset.row = "";
    row.setAttribute("role", "row");
    row.setAttribute("aria-level", columns.depth[number] + 1);
    row.setAttribute("aria-rowindex", number + 1);
    row.style.cssText = `--d:${Math.min(60, columns.depth[number])};position:absolute;left:0;right:0`;
    row.classList.toggle("chosen", row.id === this.chosen);
    row.classList.toggle("dim", Boolean(this.matches && !this.only && !this.matches.has(number)));
    const name = tag("div", "n");
    name.setAttribute("role", "gridcell");
    if (this.below(number)) {
      row.setAttribute("aria-expanded", String(!this.folded.has(number)));
      const button = tag("button", "t");
      button.tabIndex = -1;
      button.setAttribute("aria-label", "Fold");
      name.append(button);
    } else name.append(tag("i"));
    const link = tag("a");
    link.tabIndex = -1;
    if (kind === "span") link.href = `?span=${encodeURIComponent(row.id)}`;
    const above = this.parent(number);
    if (above < 0 || columns.service[above] !== columns.service[number]) link.append(tag("small", "", service));
    link.append(columns.names[columns.name[number]]);
    name.append(link);
    if (more.failed) name.append(tag("em", "bad", "✕"));
    else if (more.errors) name.append(tag("em", "bad", `✕${more.errors}`));
    if (kind === "repeats") name.append(tag("em", "times", `×${more.alike}`));
    if (kind === "repeats" && more.statement) name.append(tag("em", "warn", "N+1"));
    if (more.remark) name.append(tag("em", more.is, more.remark));
    if (more.trouble) name.append(tag("em", "warn", more.trouble === "cycle" ? "in a circle" : "id used twice"));
    if (more.skew) {
      const moved = tag("em", "quiet", "⧖");
      moved.title = `Moved by ${more.skew}: its clock differs`;
      name.append(moved);
    }
    const bar = tag("div", "b");
    bar.setAttribute("role", "gridcell");
    const [left, width] = [columns.left[number], columns.width[number]];
    const line = tag("i");
    line.style.cssText = `left:${left}%;width:${width}%`;
    bar.append(line);
    for (const [from, wide] of more.critical ?? []) {
      const part = tag("u");
      part.style.cssText = `left:${from}%;width:${wide}%`;
      bar.append(part);
    }
    const right = left + width;
    const label = tag("b", right <= 84 ? "a" : left >= 16 ? "z" : "i", more.label ?? (kind === "span" ? lasting(columns.ns[number]) : ""));
    label.style.cssText = right <= 84 ? `left:${right}%` : `right:${100 - (left >= 16 ? left : right)}%`;
    bar.append(label);
    for (const [place, level, text] of more.dots ?? []) {
      const dot = tag("s", level);
      dot.style.left = `${place + 0.5}%`;
      dot.title = text;
      bar.append(dot);
    }
    row.append(name, bar);
    return row;
  }

  parent(number) {
    if (!this.parents) {
      this.parents = new Int32Array(this.count);
      const open = [];
      for (let at = 0; at < this.count; at += 1) {
        while (open.length && this.end[open.at(-1)] <= at) open.pop();
        this.parents[at] = open.at(-1) ?? -1;
        open.push(at);
      }
    }
    return this.parents[number];
  }

  text(number) {
    const { columns } = this;
    return `${columns.services[columns.service[number]][0]} ${columns.names[columns.name[number]]} ${columns.more[number]?.remark ?? ""}`.toLowerCase();
  }

  failed(number) {
    return Boolean(this.columns.more[number]?.failed);
  }

  number(element) {
    return this.numbers.get(element.id) ?? -1;
  }

  element(number) {
    return this.drawn.get(number);
  }

  show(number) {
    const top = this.node.getBoundingClientRect().top + this.places.get(number) * this.height;
    if (top < 90 || top > innerHeight - 60) scrollBy(0, top - innerHeight / 2);
    this.draw();
    return this.drawn.get(number);
  }

  at(share) {
    return this.visible[Math.min(this.visible.length - 1, Math.floor(share * this.visible.length))];
  }
}
