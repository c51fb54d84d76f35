// The list of cases: newest first, bounded, kept in step with the stream.

import { KIND_COLORS, OTHER_COLOR } from "./city.js";
import { element, quantity, t, time } from "./text.js";

const CASES_MAX = 200;
const NEW_MS = 12_000;
export const KINDS = [
  "stay_in", "keep_out", "speeding", "route_deviation", "wrong_order", "missed_point", "coverage",
  "long_stop", "idling", "too_fast_to_clean", "unloading", "terminal_alarm",
  "outside_hours", "late_start", "early_end", "off_post", "patrol_coverage", "silence",
];

export function nameOf(subject) {
  return subject?.plate ?? subject?.vehicle ?? subject?.phone ?? t("reportedCase");
}

/** What a case is about, in words: a person reports without a rule. */
export function aboutOf(item) {
  return item.rule?.name ?? item.description;
}

export function kindOf(item) {
  return t(item.kind ?? "reportedCase");
}

export function isFinal(stage) {
  return stage === "closed" || stage === "declined" || stage === "withdrawn";
}

export class Cases {
  /** `choose(case)` is called for a click or a key; `gridLabel(code)` names a grid. */
  constructor({ list, count, kinds, empty, news }, choose, gridLabel) {
    Object.assign(this, { list, count, kinds, empty, news, gridLabel });
    this.cases = new Map();
    this.items = new Map();
    this.hasSnapshot = false;
    this.isFull = false;
    this.kind = null;
    this.chosen = null;
    this.buildKinds();
    list.addEventListener("click", (event) => {
      const item = event.target.closest("li");
      if (item) choose(this.cases.get(item.dataset.id));
    });
    list.addEventListener("keydown", (event) => this.walk(event));
  }

  get(id) {
    return this.cases.get(id) ?? null;
  }

  /** All that there is; cases that the page has not seen yet are news unless it has just begun. */
  replace(cases) {
    const kept = new Set(cases.map((item) => item.id));
    for (const id of [...this.cases.keys()]) if (!kept.has(id)) this.remove(id);
    this.merge(cases, this.hasSnapshot);
    this.hasSnapshot = true;
  }

  update(cases) {
    this.merge(cases, true);
  }

  merge(cases, isNews) {
    const fresh = cases.filter((item) => !this.cases.has(item.id));
    for (const item of cases) {
      this.cases.set(item.id, item);
      this.show(item, isNews && fresh.includes(item));
    }
    this.sort(cases.length);
    if (isNews && fresh.length > 0) this.announce(fresh);
    this.refresh();
  }

  announce(fresh) {
    const [one] = fresh;
    this.news.textContent = fresh.length === 1 ? t("newCase")(kindOf(one), nameOf(one.subject), aboutOf(one)) : t("newCases")(fresh.length);
  }

  sort(changes) {
    if (changes === 0) return;
    const order = [...this.cases.values()].sort((a, b) => Date.parse(b.opened_at) - Date.parse(a.opened_at) || (a.id < b.id ? 1 : -1));
    for (const item of order.splice(CASES_MAX)) {
      this.remove(item.id);
      this.isFull = true;
    }
    let before = this.list.firstElementChild;
    for (const { id } of order) {
      const node = this.items.get(id);
      if (node === before) before = before.nextElementSibling;
      else this.list.insertBefore(node, before);
    }
  }

  remove(id) {
    this.items.get(id)?.remove();
    this.items.delete(id);
    this.cases.delete(id);
  }

  show(item, isNew) {
    let node = this.items.get(item.id);
    if (!node) {
      node = element("li", "case");
      node.dataset.id = item.id;
      this.items.set(item.id, node);
    }
    node.dataset.kind = item.kind ?? "reported";
    node.classList.toggle("final", isFinal(item.stage));
    node.classList.toggle("chosen", item.id === this.chosen);
    const button = element("button", "case-button");
    button.type = "button";
    const head = element("span", "case-line");
    head.append(element("strong", "case-kind", kindOf(item)), element("time", "case-time", time(item.opened_at)));
    const who = element("span", "case-line");
    who.append(element("span", "case-plate", nameOf(item.subject)), element("span", "chip", t(item.stage)));
    const rule = element("span", "case-rule", aboutOf(item));
    const where = element("span", "case-line case-where");
    where.append(element("span", "case-grid", this.gridLabel(item.unit_grid)));
    if (item.rule) where.append(element("span", "case-worst", quantity(item.worst, item.worst_unit)));
    button.append(head, who, rule, where);
    const hadFocus = node.contains(document.activeElement);
    node.replaceChildren(button);
    if (hadFocus) button.focus();
    if (isNew) {
      node.classList.add("new");
      setTimeout(() => node.classList.remove("new"), NEW_MS);
    }
  }

  choose(id) {
    this.items.get(this.chosen)?.classList.remove("chosen");
    this.chosen = id;
    const node = this.items.get(id);
    node?.classList.add("chosen");
    node?.scrollIntoView({ block: "nearest" });
  }

  /** Arrow keys, Home and End move along the list. */
  walk(event) {
    const shown = [...this.list.querySelectorAll("li:not([hidden]) button")];
    const at = shown.indexOf(document.activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1 }[event.key];
    if (at < 0 || next === undefined || !shown[next]) return;
    event.preventDefault();
    shown[next].focus();
  }

  buildKinds() {
    this.kindButtons = new Map();
    for (const kind of KINDS) {
      const button = element("button", "kind");
      button.type = "button";
      button.dataset.kind = kind;
      button.addEventListener("click", () => {
        this.kind = this.kind === kind ? null : kind;
        this.refresh();
      });
      this.kindButtons.set(kind, button);
      this.kinds.append(button);
    }
  }

  refresh() {
    const counts = new Map(KINDS.map((kind) => [kind, 0]));
    let shown = 0;
    for (const item of this.cases.values()) {
      counts.set(item.kind, (counts.get(item.kind) ?? 0) + 1);
      const isHidden = this.kind !== null && item.kind !== this.kind;
      this.items.get(item.id).hidden = isHidden;
      if (!isHidden) shown += 1;
    }
    for (const [kind, button] of this.kindButtons) {
      button.replaceChildren(element("span", "", t(kind)), element("span", "number", String(counts.get(kind))));
      button.setAttribute("aria-pressed", String(this.kind === kind));
      // Who chose a kind can take that back, also once its last case is gone.
      button.hidden = counts.get(kind) === 0 && this.kind !== kind;
    }
    this.count.textContent = this.isFull ? `${this.cases.size}+` : String(this.cases.size);
    this.empty.hidden = shown > 0;
  }

  /** Shows all again, in another language or with names that have come since. */
  retell() {
    for (const item of this.cases.values()) this.show(item, false);
    this.refresh();
  }

  /** The places of all cases, for the map. */
  picture() {
    const features = [...this.cases.values()].filter((item) => !isFinal(item.stage) && typeof item.lon === "number").reverse().map((item) => ({
      type: "Feature",
      properties: { id: item.id, color: KIND_COLORS[item.kind] ?? OTHER_COLOR },
      geometry: { type: "Point", coordinates: [item.lon, item.lat] },
    }));
    return { type: "FeatureCollection", features };
  }
}
