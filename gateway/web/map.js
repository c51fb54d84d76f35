// The page: puts city, fleet, cases and stream together.

import { Cases } from "./cases.js";
import { City, KIND_COLORS, emptyStyle } from "./city.js";
import { Details, addTo as addDetails } from "./details.js";
import { Fleet, STATE_COLORS, drawSymbol } from "./fleet.js";
import { Live } from "./live.js";
import { currentLanguage, element, switchLanguage, t, time, translate } from "./text.js";

const MATCHES_MAX = 8;
const DETAILS_MS = 1_000;
const byId = (id) => document.getElementById(id);

let city = new City();
let cityFailed = false;
let map = null;
let wasLive = false;

const fleet = new Fleet();
const cases = new Cases(
  { list: byId("case-list"), count: byId("case-count"), kinds: byId("kinds"), empty: byId("no-cases"), news: byId("news") },
  (item) => choose({ type: "case", id: item.id, move: true }),
  (code) => city.gridLabel(code),
);
const details = new Details({ fleet, cases, city: () => city, map: () => map }, byId("details"), choose);

/** One vehicle or case is chosen at a time; `null` closes the card. */
function choose(choice) {
  const item = choice?.type === "case" ? cases.get(choice.id) : null;
  cases.choose(item?.id ?? null);
  if (item) details.showCase(item, choice.move ?? true);
  else if (choice?.type === "vehicle") details.showVehicle(choice.id, choice.move);
  else details.close();
}

const scheme = location.protocol === "https:" ? "wss" : "ws";
const live = new Live(`${scheme}://${location.host}/api/v1/live`, {
  snapshot(message) {
    fleet.replace(message.positions);
    cases.replace(message.cases);
    drawCases();
    details.update();
  },
  positions(items) {
    fleet.update(items);
  },
  cases(items) {
    cases.update(items);
    drawCases();
    details.update();
  },
  state() {
    wasLive ||= live.state === "live";
    showConnection();
  },
});

function drawCases() {
  map?.getSource("cases")?.setData(cases.picture());
}

function showConnection() {
  const { state } = live;
  document.body.dataset.connection = state;
  byId("connection").textContent = t(state);
  const isDown = state === "waiting" || (state === "connecting" && wasLive);
  byId("banner").hidden = !isDown && !cityFailed;
  byId("retry").hidden = !isDown;
  let text = cityFailed ? t("cityFailed") : "";
  if (isDown) text = live.lastMessageAt ? t("lost")(time(new Date(live.lastMessageAt))) : t("neverConnected");
  byId("banner-text").textContent = text;
}

/** Once a second: counts, clock, the age of what the card shows. */
function tick() {
  const counts = fleet.counts();
  for (const name of ["online", "moving", "stopped", "offline"]) byId(`count-${name}`).textContent = String(counts[name]);
  byId("clock").textContent = time(new Date());
  Object.assign(document.body.dataset, { vehicles: counts.all, online: counts.online, moving: counts.moving, cases: cases.cases.size, seq: live.sequence });
  if (details.chosen?.type === "vehicle") details.update();
}

function retell() {
  translate(document);
  byId("language").lang = currentLanguage() === "zh" ? "en" : "zh-CN";
  byId("language").textContent = t("language");
  byId("city").textContent = city.name;
  document.title = city.name ? `${city.name} · gridtrace` : "gridtrace";
  buildLegend();
  cases.retell();
  details.retell();
  showConnection();
}

function buildLegend() {
  const entries = [];
  for (const state of Object.keys(STATE_COLORS)) entries.push([symbolSwatch("truck", state), t(state)]);
  entries.push([symbolSwatch("person", "moving"), t("inspector")]);
  for (const kind of ["stay_in", "keep_out", "speed_limit", "no_stop", "site"]) {
    entries.push([element("span", `swatch fence-${kind}`), t(`fence_${kind}`)]);
  }
  entries.push([element("span", "swatch route"), t("routes")]);
  entries.push([element("span", "swatch grid"), t("unitGrid")], [element("span", "swatch district"), t("districts")]);
  byId("legend-list").replaceChildren(...entries.map(([swatch, text]) => {
    const line = element("li");
    line.append(swatch, element("span", "", text));
    return line;
  }));
}

function symbolSwatch(shape, state) {
  const canvas = element("canvas", "symbol");
  canvas.width = canvas.height = 40;
  drawSymbol(canvas.getContext("2d"), 40, shape, state);
  return canvas;
}

function buildSearch() {
  const [input, list] = [byId("search"), byId("matches")];
  let active = -1;
  const close = () => {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const pick = (phone) => {
    close();
    input.value = "";
    choose({ type: "vehicle", id: phone, move: true });
  };
  const mark = (index) => {
    const options = [...list.querySelectorAll("[role=option]")];
    active = options.length === 0 ? -1 : (index + options.length) % options.length;
    options.forEach((option, i) => option.setAttribute("aria-selected", String(i === active)));
    if (active >= 0) input.setAttribute("aria-activedescendant", options[active].id);
  };
  const show = () => {
    if (!input.value.trim()) return close();
    const found = fleet.find(input.value, MATCHES_MAX);
    list.replaceChildren(...found.map((position, i) => {
      const option = element("li", position.state);
      option.id = `match-${i}`;
      option.setAttribute("role", "option");
      option.dataset.phone = position.phone;
      option.append(element("strong", "", position.plate ?? position.phone), element("span", "", position.work_kind ? t(position.work_kind) : ""), element("span", "minor", position.phone));
      return option;
    }));
    if (found.length === 0) list.append(element("li", "nothing", t("noMatch")));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark(0);
  };
  input.addEventListener("input", show);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      mark(active + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter") {
      const option = list.querySelector("[aria-selected=true]");
      if (option) pick(option.dataset.phone);
    }
  });
  // Before the blur that a click brings.
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    const option = event.target.closest("[role=option]");
    if (option) pick(option.dataset.phone);
  });
}

function buildMap() {
  maplibregl.setWorkerUrl("/assets/maplibre-gl-worker.js");
  // Beside the search box and the legend, where there is room.
  const left = byId("map").clientWidth > 700 ? 250 : 20;
  try {
    map = new maplibregl.Map({
      container: "map", style: emptyStyle(), ...city.view(), fitBoundsOptions: { padding: { top: 24, bottom: 24, left, right: 24 } },
      attributionControl: false, dragRotate: false, pitchWithRotate: false, touchPitch: false, fadeDuration: 0, maxZoom: 19, minZoom: 8,
    });
  } catch {
    byId("map").append(element("p", "nothing", t("noWebgl")));
    return;
  }
  map.keyboard.disableRotation();
  map.touchZoomRotate.disableRotation();
  map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-left");
  map.addControl(new maplibregl.ScaleControl({ unit: "metric" }), "bottom-right");
  map.once("load", () => {
    if (city.grids) city.addTo(map);
    addDetails(map);
    map.addSource("cases", { type: "geojson", data: cases.picture() });
    map.addLayer({ id: "cases", type: "circle", source: "cases", paint: {
      "circle-radius": ["interpolate", ["linear"], ["zoom"], 11, 3.5, 15, 6], "circle-color": ["get", "color"], "circle-opacity": 0.85, "circle-stroke-color": "#0b1622", "circle-stroke-width": 1.2,
    } });
    fleet.addTo(map);
    details.draw();
    // Not "idle": a map whose vehicles move hardly ever is.
    map.once("render", () => (document.body.dataset.ready = "true"));
  });
  map.on("click", (event) => {
    const { x, y } = event.point;
    const around = [[x - 5, y - 5], [x + 5, y + 5]];
    const layers = ["vehicles", "cases"].filter((layer) => map.getLayer(layer));
    const [hit] = layers.flatMap((layer) => map.queryRenderedFeatures(around, { layers: [layer] }));
    if (!hit) choose(null);
    else if (hit.layer.id === "vehicles") choose({ type: "vehicle", id: hit.properties.phone });
    else choose({ type: "case", id: hit.properties.id, move: false });
  });
  for (const layer of ["vehicles", "cases"]) {
    map.on("mouseenter", layer, () => (map.getCanvas().style.cursor = "pointer"));
    map.on("mouseleave", layer, () => (map.getCanvas().style.cursor = ""));
  }
}

/** For tests and for the curious; nothing can be changed through it. */
Object.defineProperty(window, "gridtrace", {
  value: Object.freeze({
    counts: () => ({ ...fleet.counts(), cases: cases.cases.size, seq: live.sequence, connection: live.state, frames: fleet.frames }),
    phones: () => [...fleet.vehicles.keys()],
    place: (phone) => fleet.place(phone),
    track: () => details.trackParts(),
    isStill: () => map !== null && !map.isMoving(),
    /** Where on the page the symbol of a vehicle is, in CSS pixels. */
    pixel(phone) {
      const place = map && fleet.place(phone);
      if (!place) return null;
      const { x, y } = map.project(place);
      const { left, top } = map.getContainer().getBoundingClientRect();
      return [x + left, y + top];
    },
  }),
});

byId("language").addEventListener("click", () => {
  switchLanguage();
  retell();
});
byId("retry").addEventListener("click", () => live.retryNow());
addEventListener("keydown", (event) => {
  if (event.key === "Escape") choose(null);
});
if (matchMedia("(max-width: 900px), (max-height: 640px)").matches) byId("legend").open = false;
buildSearch();
retell();
tick();
setInterval(tick, DETAILS_MS);

try {
  city = await City.load();
} catch {
  cityFailed = true;
}
retell();
buildMap();
