// The card of the chosen vehicle or case, and what is drawn on the map for it.

import { KIND_COLORS, OTHER_COLOR, highlightRule } from "./city.js";
import { aboutOf, kindOf, nameOf } from "./cases.js";
import { Explain } from "./explain.js";
import { currentLanguage, duration, element, facts, heading, number, quantity, t, threshold, time } from "./text.js";

const TRACK_MS = 2 * 3_600_000;
/** So many the server may leave of a track; those that arrive afterwards come on top. */
const TRACK_POINTS_MAX = 1_000;
const OWN_CASES_MAX = 20;
const TRACK_COLOR = "#7dd3fc";
const SOURCE = "chosen";
const EMPTY = { type: "FeatureCollection", features: [] };

/** A case's fixes or a vehicle's track: line, points, and one point that stands out. */
export function addTo(map) {
  map.addSource(SOURCE, { type: "geojson", data: EMPTY, tolerance: 0.2 });
  const isPart = (part) => ["==", ["get", "part"], part];
  map.addLayer({ id: "chosen-casing", type: "line", source: SOURCE, filter: isPart("line"), layout: { "line-join": "round", "line-cap": "round" }, paint: { "line-color": "#06101a", "line-width": 6, "line-opacity": 0.7 } });
  map.addLayer({ id: "chosen-line", type: "line", source: SOURCE, filter: isPart("line"), layout: { "line-join": "round", "line-cap": "round" }, paint: { "line-color": ["get", "color"], "line-width": 3 } });
  // Where nobody knows the way.
  map.addLayer({ id: "chosen-gap", type: "line", source: SOURCE, filter: isPart("gap"), paint: { "line-color": ["get", "color"], "line-width": 1.6, "line-opacity": 0.75, "line-dasharray": [2, 3] } });
  map.addLayer({ id: "chosen-fixes", type: "circle", source: SOURCE, filter: isPart("fix"), paint: { "circle-radius": 4.5, "circle-color": "#0b1622", "circle-stroke-color": ["get", "color"], "circle-stroke-width": 2 } });
  map.addLayer({ id: "chosen-mark", type: "circle", source: SOURCE, filter: isPart("mark"), paint: { "circle-radius": 9, "circle-color": ["get", "color"], "circle-opacity": 0.35, "circle-stroke-color": "#ffffff", "circle-stroke-width": 2 } });
}

export class Details {
  /** `fleet`, `cases`, `city()`, `map()`, `panel`, and what to do when the choice changes. */
  constructor(world, panel, onChange) {
    Object.assign(this, world);
    this.panel = panel;
    this.onChange = onChange;
    this.chosen = null;
    this.track = null;
    this.mark = null;
    this.returnTo = null;
    this.explain = new Explain((place) => {
      this.mark = place;
      this.draw();
    });
  }

  showCase(item, move = true) {
    this.open({ type: "case", id: item.id, item });
    if (move) this.flyTo(placesOf(item).concat(typeof item.lon === "number" ? [[item.lon, item.lat]] : []));
  }

  showVehicle(phone, move = false) {
    this.open({ type: "vehicle", id: phone });
    this.loadTrack(phone);
    const place = this.fleet.place(phone);
    if (move && place) this.flyTo([place]);
  }

  open(chosen) {
    if (!this.chosen) this.returnTo = document.activeElement;
    this.chosen = chosen;
    this.mark = null;
    this.track = null;
    this.panel.hidden = false;
    this.panel.scrollTop = 0;
    this.render();
    this.panel.focus({ preventScroll: true });
  }

  close() {
    if (!this.chosen) return;
    this.chosen = null;
    this.track = null;
    this.panel.hidden = true;
    this.panel.replaceChildren();
    this.draw();
    if (this.returnTo?.isConnected) this.returnTo.focus({ preventScroll: true });
  }

  flyTo(places) {
    const map = this.map();
    if (!map || places.length === 0) return;
    const [west, south, east, north] = places.reduce(
      ([w, s, e, n], [lon, lat]) => [Math.min(w, lon), Math.min(s, lat), Math.max(e, lon), Math.max(n, lat)], [180, 90, -180, -90]);
    // The card covers the right of the map where there is room beside it.
    const { clientWidth: width } = map.getContainer();
    const right = width > 700 ? this.panel.offsetWidth + 60 : 60;
    map.fitBounds([[west, south], [east, north]], { padding: { top: 80, bottom: 60, left: 60, right }, maxZoom: Math.max(15.5, Math.min(16.5, map.getZoom())), duration: 900 });
  }

  /** The language has changed. */
  retell() {
    this.explain.build();
    this.render();
  }

  /** New data came: the card tells the present state. */
  update() {
    if (!this.chosen) return;
    if (this.chosen.type === "case") {
      const item = this.cases.get(this.chosen.id);
      if (!item || item === this.chosen.item) return;
      this.chosen.item = item;
    } else {
      this.extendTrack();
    }
    this.render();
  }

  render() {
    if (!this.chosen) return;
    const scroll = this.panel.scrollTop;
    const focused = this.panel.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    const { type, id, item } = this.chosen;
    this.panel.dataset.type = type;
    this.panel.dataset.id = id;
    if (type === "case") this.explain.forCase(item);
    else this.explain.forVehicle(this.fleet.position(id));
    const card = type === "case" ? this.caseCard(item) : this.vehicleCard(id);
    // What is being asked stays where it is: a list that is open would close.
    const { node } = this.explain;
    if (node.parentNode === this.panel) {
      for (const old of [...this.panel.children]) if (old !== node) old.remove();
      node.before(...card);
    } else {
      this.panel.replaceChildren(...card, node);
    }
    this.panel.scrollTop = scroll;
    if (focused) this.panel.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    this.draw();
  }

  head(title, chip, chipClass) {
    const head = element("div", "details-head");
    const close = element("button", "quiet close", "×");
    close.type = "button";
    close.dataset.focus = "close";
    close.setAttribute("aria-label", t("close"));
    close.addEventListener("click", () => this.onChange(null));
    head.append(element("h2", "", title), element("span", `chip ${chipClass}`, chip), close);
    this.panel.setAttribute("aria-label", title);
    return head;
  }

  vehicleCard(phone) {
    const p = this.fleet.position(phone);
    if (!p) return [this.head(phone, t("unknown"), "offline")];
    const age = Date.now() - Date.parse(p.fixed_at);
    const card = [this.head(p.plate ?? p.phone, t(p.state), p.state)];
    card.push(facts([
      [t("speed"), quantity(p.speed_kmh, "km/h")],
      [t("heading"), heading(p.heading_deg)],
      [t("fixedAt"), `${time(p.fixed_at)} · ${t("ago")(duration(age))}`],
      [t("receivedAt"), time(p.received_at)],
      [t("unitGrid"), p.unit_grid ? [this.city().gridLabel(p.unit_grid), p.unit_grid] : t("unknown")],
      [t("workKind"), p.work_kind ? t(p.work_kind) : t("unknown")],
      [t("fleet"), p.fleet ?? t("unknown")],
      [t("phone"), p.phone],
      [t("acc"), t(p.acc ? "on" : "off")],
      [t("satellites"), p.satellites ?? t("unknown")],
      [t("odometer"), quantity(p.odometer_km, "km")],
      [t("altitude"), quantity(p.altitude_m, "m", 0)],
      [t("place"), `${number(p.lat, 6)}, ${number(p.lon, 6)}`],
      ...(p.alarm ? [[t("alarm"), `0x${p.alarm.toString(16).padStart(8, "0")}`]] : []),
    ]));
    card.push(element("h3", "", t("track")), element("p", "track-note", this.trackNote()));
    const own = [...this.cases.cases.values()]
      .filter((item) => item.subject?.phone === phone)
      .sort((a, b) => Date.parse(b.opened_at) - Date.parse(a.opened_at))
      .slice(0, OWN_CASES_MAX);
    if (own.length > 0) {
      card.push(element("h3", "", `${t("cases")} · ${own.length}`));
      const list = element("ul", "own-cases");
      for (const item of own) {
        const button = element("button", "link", `${time(item.opened_at)} ${kindOf(item)}`);
        button.type = "button";
        button.dataset.focus = item.id;
        button.addEventListener("click", () => this.onChange({ type: "case", id: item.id }));
        const line = element("li");
        line.append(button);
        list.append(line);
      }
      card.push(list);
    }
    return card;
  }

  /** What leads from a case to the desk and to what proves it. */
  caseLinks(item) {
    const links = element("p", "case-links");
    for (const [key, href] of [["desk", `/desk#${item.id}`], ["evidencePack", `/cases/${item.id}/print?lang=${currentLanguage()}`]]) {
      const link = element("a", "link", t(key));
      link.href = href;
      links.append(link, " ");
    }
    return links;
  }

  /** A case that a person reported: there is no rule and no fix. */
  reportCard(item) {
    return [this.head(kindOf(item), t(item.stage), "kind-reported"), this.caseLinks(item), facts([
      [t("description"), item.description],
      [t("vehicle"), item.subject ? nameOf(item.subject) : t("unknown")],
      [t("unitGrid"), item.unit_grid ? [this.city().gridLabel(item.unit_grid), item.unit_grid] : t("unknown")],
      [t("startedAt"), time(item.started_at)],
      [t("openedAt"), time(item.opened_at)],
      [t("caseId"), item.id],
    ])];
  }

  caseCard(item) {
    const { subject, rule, evidence } = item;
    if (!rule) return this.reportCard(item);
    const card = [this.head(t(item.kind), t(item.stage), `kind-${item.kind}`)];
    const why = t(`why_${item.kind}`);
    if (typeof why === "function") card.push(element("p", "why", why(quantity(item.worst, item.worst_unit), rule.name)));
    card.push(this.caseLinks(item));
    const end = item.ended_at ? Date.parse(item.ended_at) : null;
    const vehicle = element("button", "link", nameOf(subject));
    vehicle.type = "button";
    vehicle.dataset.focus = "vehicle";
    vehicle.addEventListener("click", () => this.onChange({ type: "vehicle", id: subject.phone, move: true }));
    card.push(facts([
      [t("vehicle"), vehicle],
      [t("workKind"), subject.work_kind ? t(subject.work_kind) : t("unknown")],
      [t("fleet"), subject.fleet ?? t("unknown")],
      [t("rule"), [rule.name, `${rule.id} · ${t("version")(rule.version)}`]],
      [t("unitGrid"), item.unit_grid ? [this.city().gridLabel(item.unit_grid), item.unit_grid] : t("unknown")],
      [t("startedAt"), time(item.started_at)],
      [t("confirmedAt"), time(item.confirmed_at)],
      [t("endedAt"), end ? `${time(item.ended_at)} · ${duration(end - Date.parse(item.started_at))}` : t("ongoing")],
      [t("worst"), quantity(item.worst, item.worst_unit)],
      [t("openedAt"), time(item.opened_at)],
      [t("caseId"), item.id],
    ]));
    const grids = evidence.unit_grids ?? [];
    if (grids.length > 0) card.push(element("h3", "", `${t("notVisited")} · ${grids.length}`), element("p", "", grids.map((code) => this.city().gridLabel(code)).join(" · ")));
    const thresholds = Object.entries(evidence.thresholds);
    if (thresholds.length > 0) card.push(element("h3", "", t("thresholds")), facts(thresholds.map(([name, value]) => threshold(name, value))));
    card.push(element("h3", "", `${t("evidence")} · ${t("fixes")(evidence.fixes.length)}`), this.fixTable(evidence.fixes));
    return card;
  }

  fixTable(fixes) {
    const table = element("table", "fixes");
    const headRow = table.createTHead().insertRow();
    for (const key of ["time", "speed", "distance"]) {
      const cell = element("th", "", t(key));
      cell.scope = "col";
      headRow.append(cell);
    }
    const body = table.createTBody();
    fixes.forEach((fix, index) => {
      const row = body.insertRow();
      const far = fix.distance_m;
      const distance = typeof far === "number" ? `${quantity(Math.abs(far), "m")} ${t(far >= 0 ? "inside" : "outside")}` : t("unknown");
      for (const text of [time(fix.fixed_at), quantity(fix.speed_kmh, "km/h"), distance]) row.insertCell().textContent = text;
      row.tabIndex = 0;
      row.dataset.focus = `fix-${index}`;
      const show = () => {
        this.mark = [fix.lon, fix.lat];
        this.draw();
      };
      row.addEventListener("mouseenter", show);
      row.addEventListener("focus", show);
    });
    body.addEventListener("mouseleave", () => {
      this.mark = null;
      this.draw();
    });
    return table;
  }

  /** What is drawn of the track. */
  trackParts() {
    if (!this.track) return null;
    const { points, fixes } = this.track;
    const { lines, gaps } = parts(points);
    return { fixes, points: points.length, lines: lines.length, gaps: gaps.length, stops: points.filter((point) => point.isStop).length };
  }

  trackNote() {
    if (this.track === null) return t("loading");
    if (this.track.error) return t("trackFailed");
    const { points, fixes } = this.track;
    return points.length > 1 ? t("trackPoints")(fixes, number(length(points) / 1000, 2)) : t("trackNone");
  }

  async loadTrack(phone) {
    const from = encodeURIComponent(new Date(Date.now() - TRACK_MS).toISOString());
    let track;
    try {
      const response = await fetch(`/api/v1/terminals/${encodeURIComponent(phone)}/track?from=${from}&simplify=${TRACK_POINTS_MAX}`);
      if (!response.ok) throw new Error(`track: ${response.status}`);
      const { items, simplified } = await response.json();
      track = { points: items.map(pointOf), fixes: simplified.fixes, gapMs: simplified.gap_s * 1_000, error: false };
    } catch {
      track = { points: [], fixes: 0, gapMs: Infinity, error: true };
    }
    // Another choice may have been made meanwhile.
    if (this.chosen?.type !== "vehicle" || this.chosen.id !== phone) return;
    this.track = track;
    this.extendTrack();
    this.render();
  }

  extendTrack() {
    const position = this.fleet.position(this.chosen.id);
    if (!this.track || !position) return;
    const { points, gapMs } = this.track;
    const point = pointOf(position);
    const last = points.at(-1);
    if (!last || point.at > last.at) {
      point.isBehindGap = last !== undefined && point.at - last.at > gapMs;
      points.push(point);
      this.track.fixes += 1;
    }
    const oldest = Date.now() - TRACK_MS;
    while (points.length > 2 * TRACK_POINTS_MAX || points[0]?.at < oldest) points.shift();
  }

  /** What belongs to the choice, on the map. */
  draw() {
    const map = this.map();
    const source = map?.getSource(SOURCE);
    if (!source) return;
    const features = [];
    const add = (part, type, coordinates, color) => features.push({ type: "Feature", properties: { part, color }, geometry: { type, coordinates } });
    let fence = null;
    if (this.chosen?.type === "case") {
      const { item } = this.chosen;
      const color = KIND_COLORS[item.kind] ?? OTHER_COLOR;
      const line = placesOf(item);
      if (line.length > 1) add("line", "LineString", line, color);
      for (const place of line) add("fix", "Point", place, color);
      if (this.mark || typeof item.lon === "number") add("mark", "Point", this.mark ?? [item.lon, item.lat], color);
      fence = item.rule?.id ?? null;
    } else if (this.track) {
      if (this.mark) add("mark", "Point", this.mark, TRACK_COLOR);
      const { lines, gaps } = parts(this.track.points);
      for (const gap of gaps) add("gap", "LineString", gap, TRACK_COLOR);
      for (const line of lines) add("line", "LineString", line, TRACK_COLOR);
      for (const { lon, lat, isStop } of this.track.points) if (isStop) add("fix", "Point", [lon, lat], TRACK_COLOR);
    }
    source.setData({ type: "FeatureCollection", features });
    const chosenPhone = this.chosen?.type === "vehicle" ? this.chosen.id : this.chosen?.item?.subject?.phone;
    this.fleet.choose(chosenPhone ?? null);
    highlightRule(map, fence);
  }
}

/** The fixes that decided. */
function placesOf(item) {
  return (item.evidence?.fixes ?? []).map((fix) => [fix.lon, fix.lat]);
}

function pointOf({ lon, lat, fixed_at: fixedAt, gap_s: gap, stop_s: stop }) {
  return { lon, lat, at: Date.parse(fixedAt), isBehindGap: typeof gap === "number", isStop: typeof stop === "number" };
}

/** Lines where the way is known, and straight ones over the gaps between them. */
function parts(points) {
  const lines = [];
  const gaps = [];
  let line = [];
  points.forEach(({ lon, lat, isBehindGap }, i) => {
    if (i > 0 && isBehindGap) {
      gaps.push([line.at(-1), [lon, lat]]);
      lines.push(line);
      line = [];
    }
    line.push([lon, lat]);
  });
  lines.push(line);
  return { lines: lines.filter((part) => part.length > 1), gaps };
}

/** Metres, without the gaps. */
function length(points) {
  let sum = 0;
  for (let i = 1; i < points.length; i += 1) {
    const [a, b] = [points[i - 1], points[i]];
    if (b.isBehindGap) continue;
    const east = (b.lon - a.lon) * 111_320 * Math.cos((a.lat * Math.PI) / 180);
    sum += Math.hypot(east, (b.lat - a.lat) * 111_320);
  }
  return sum;
}
