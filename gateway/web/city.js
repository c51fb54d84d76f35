// The city under the vehicles: unit grids, district boundaries, fences. All of it is drawn from
// the catalog; no tile, glyph or sprite comes from outside.

import { t } from "./text.js";

export const KIND_COLORS = {
  stay_in: "#60a5fa", keep_out: "#f87171", speed_limit: "#c084fc", speeding: "#c084fc", site: "#5eead4",
  no_stop: "#fbbf24", long_stop: "#fbbf24", idling: "#fbbf24", too_fast_to_clean: "#c084fc", unloading: "#fb923c", terminal_alarm: "#f43f5e",
};
const ROUTE_COLOR = "#a3e635";
export const OTHER_COLOR = "#94a3b8";
/** Installed fonts: without a glyph server the renderer draws text by itself. */
export const FONT = ["Noto Sans CJK SC,Noto Sans SC,PingFang SC,Microsoft YaHei,WenQuanYi Micro Hei,sans-serif"];
const DISTRICT_FILLS = ["#38bdf8", "#a3e635", "#f472b6", "#fb923c", "#818cf8", "#2dd4bf"];
const DISTRICT_DIGITS = 6;
const EARTH_M_PER_DEG = 111_320;
const TAIYUAN = [112.55, 37.87];

const EMPTY = { type: "FeatureCollection", features: [] };

/** The style before the catalog is there. */
export function emptyStyle() {
  return {
    version: 8,
    sources: {},
    layers: [{ id: "ground", type: "background", paint: { "background-color": "#0b1622" } }],
  };
}

async function json(path) {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

/** What the page knows of the city: names of grids and fences, and how to draw them. */
export class City {
  constructor() {
    this.name = "";
    this.bounds = null;
    this.gridNames = new Map();
    this.fences = new Map();
  }

  static async load() {
    const city = new City();
    const [catalog, grids, fences, routes] = await Promise.all(["", "/unit-grids", "/fences", "/routes"].map((part) => json(`/api/v1/catalog${part}`)));
    city.name = catalog.name;
    city.bounds = catalog.bounds;
    city.takeGrids(grids.features);
    city.routes = routes;
    city.fenceShapes = fences.features.map(areaOfFence).filter(Boolean);
    for (const fence of city.fenceShapes) city.fences.set(fence.properties.id, fence);
    return city;
  }

  takeGrids(features) {
    const districts = new Map();
    for (const { properties, geometry } of features) {
      this.gridNames.set(properties.code, properties.name ?? "");
      const code = properties.code.slice(0, DISTRICT_DIGITS);
      let district = districts.get(code);
      if (!district) {
        district = { code, name: properties.name ?? "", west: 180, east: -180, south: 90, north: -90 };
        district.fill = DISTRICT_FILLS[districts.size % DISTRICT_FILLS.length];
        districts.set(code, district);
      }
      properties.fill = district.fill;
      district.name = sharedStart(district.name, properties.name ?? "");
      eachPoint(geometry.coordinates, ([lon, lat]) => {
        district.west = Math.min(district.west, lon);
        district.east = Math.max(district.east, lon);
        district.south = Math.min(district.south, lat);
        district.north = Math.max(district.north, lat);
      });
    }
    this.grids = { type: "FeatureCollection", features };
    this.borders = borders(features);
    this.districts = [...districts.values()].map((d) => feature(
      { type: "Point", coordinates: [(d.west + d.east) / 2, (d.south + d.north) / 2] },
      { label: d.name.replace(/\d+$/, "") || d.code },
    ));
    if (!this.bounds && districts.size > 0) {
      const all = [...districts.values()];
      const edge = (name, pick) => pick(...all.map((d) => d[name]));
      this.bounds = [edge("west", Math.min), edge("south", Math.min), edge("east", Math.max), edge("north", Math.max)];
    }
  }

  /** The grid's name in Chinese, which is what it is called; the code where it has none. */
  gridLabel(code) {
    return code ? this.gridNames.get(code) || code : t("unknown");
  }

  /** Where the map begins: `[[west, south], [east, north]]`, or a centre. */
  view() {
    if (!this.bounds) return { center: TAIYUAN, zoom: 11 };
    const [west, south, east, north] = this.bounds;
    return { bounds: [[west, south], [east, north]] };
  }

  addTo(map) {
    const source = (id, data, more = {}) => map.addSource(id, { type: "geojson", data, ...more });
    source("grids", this.grids, { maxzoom: 16, tolerance: 0.2 });
    source("borders", this.borders, { tolerance: 0.2 });
    source("districts", { type: "FeatureCollection", features: this.districts });
    source("routes", this.routes);
    source("fences", { type: "FeatureCollection", features: this.fenceShapes });
    for (const layer of layers()) map.addLayer(layer);
  }
}

function layers() {
  const color = ["match", ["get", "kind"], ...["stay_in", "keep_out", "speed_limit", "no_stop", "site"].flatMap((kind) => [kind, KIND_COLORS[kind]]), OTHER_COLOR];
  const isKind = (kind) => ["==", ["get", "kind"], kind];
  const text = (paint) => ({ "text-halo-color": "#0b1622", "text-halo-width": 1.6, ...paint });
  return [
    { id: "grid-fill", type: "fill", source: "grids", paint: { "fill-color": ["get", "fill"], "fill-opacity": 0.05, "fill-antialias": false } },
    { id: "grid-line", type: "line", source: "grids", paint: {
      "line-color": "#8fb3cc", "line-width": ["interpolate", ["linear"], ["zoom"], 12, 0.4, 16, 1],
      "line-opacity": ["interpolate", ["linear"], ["zoom"], 11, 0.05, 13, 0.2, 16, 0.32],
    } },
    { id: "borders", type: "line", source: "borders", layout: { "line-cap": "round" }, paint: { "line-color": "#9cc3de", "line-width": 1.6, "line-opacity": 0.55 } },
    { id: "route-line", type: "line", source: "routes", layout: { "line-join": "round" }, paint: { "line-color": ROUTE_COLOR, "line-width": ["interpolate", ["linear"], ["zoom"], 12, 0.8, 16, 2.4], "line-opacity": 0.55 } },
    { id: "route-chosen", type: "line", source: "routes", filter: ["==", ["get", "id"], ""], layout: { "line-join": "round", "line-cap": "round" }, paint: { "line-color": ROUTE_COLOR, "line-width": 6, "line-opacity": 0.75 } },
    { id: "fence-fill", type: "fill", source: "fences", filter: ["!", isKind("stay_in")], paint: { "fill-color": color, "fill-opacity": 0.16 } },
    { id: "fence-line", type: "line", source: "fences", filter: ["!", isKind("stay_in")], paint: { "line-color": color, "line-width": 1.4, "line-opacity": 0.9 } },
    { id: "duty-line", type: "line", source: "fences", filter: isKind("stay_in"), paint: { "line-color": color, "line-width": 1.3, "line-opacity": 0.75, "line-dasharray": [4, 3] } },
    { id: "fence-chosen", type: "fill", source: "fences", filter: ["==", ["get", "id"], ""], paint: { "fill-color": color, "fill-opacity": 0.16 } },
    { id: "fence-chosen-line", type: "line", source: "fences", filter: ["==", ["get", "id"], ""], paint: { "line-color": color, "line-width": 3.5 } },
    { id: "district-label", type: "symbol", source: "districts", maxzoom: 15, layout: {
      "text-field": ["get", "label"], "text-font": FONT, "text-size": ["interpolate", ["linear"], ["zoom"], 11, 13, 14, 20], "text-letter-spacing": 0.15, "text-allow-overlap": true,
    }, paint: text({ "text-color": "#c3d6e4", "text-opacity": 0.6 }) },
    { id: "fence-label", type: "symbol", source: "fences", minzoom: 13.6, filter: ["!", isKind("stay_in")], layout: {
      "text-field": ["case", ["has", "speed_limit_kmh"], ["concat", ["get", "name"], "\n", ["to-string", ["get", "speed_limit_kmh"]], " km/h"], ["get", "name"]],
      "text-font": FONT, "text-size": 11.5, "text-max-width": 20, "text-padding": 6,
    }, paint: text({ "text-color": "#dbe7f0" }) },
  ];
}

/** Shows one fence or route in full colour, also for a collection point of it; `null` shows none. */
export function highlightRule(map, id) {
  if (!map.getLayer("fence-chosen")) return;
  const filter = ["==", ["get", "id"], id ?? ""];
  map.setFilter("fence-chosen", filter);
  map.setFilter("fence-chosen-line", filter);
  map.setFilter("route-chosen", ["in", ["get", "id"], ["literal", [id ?? "", (id ?? "").replace(/\/[^/]*$/, "")]]]);
}

function feature(geometry, properties) {
  return { type: "Feature", properties, geometry };
}

function eachPoint(coordinates, visit) {
  if (typeof coordinates[0] === "number") visit(coordinates);
  else for (const inner of coordinates) eachPoint(inner, visit);
}

function sharedStart(a, b) {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  return a.slice(0, length);
}

/**
 * The edges that only one district has. Neighbours share their corners in a proper tiling; where
 * they do not, most edges would stand alone, and no border is better than all of them.
 */
function borders(features) {
  const edges = new Map();
  for (const { properties, geometry } of features) {
    const district = properties.code.slice(0, DISTRICT_DIGITS);
    const polygons = geometry.type === "MultiPolygon" ? geometry.coordinates : [geometry.coordinates];
    for (const ring of polygons.flat()) {
      for (let i = 1; i < ring.length; i += 1) {
        const [a, b] = [ring[i - 1].join(), ring[i].join()];
        const key = a < b ? `${a};${b}` : `${b};${a}`;
        const edge = edges.get(key);
        if (edge) edge.inner = edge.district === district;
        else edges.set(key, { district, inner: false, line: [ring[i - 1], ring[i]] });
      }
    }
  }
  const outer = [...edges.values()].filter((edge) => !edge.inner).map((edge) => edge.line);
  if (outer.length > edges.size / 3) return EMPTY;
  return { type: "FeatureCollection", features: [feature({ type: "MultiLineString", coordinates: outer }, {})] };
}

/** A fence as an area: circles and corridors come as a point or a line with a size in metres. */
function areaOfFence(fence) {
  const { geometry, properties } = fence;
  if (geometry.type === "Point" && properties.radius_m > 0) {
    return feature({ type: "Polygon", coordinates: [circle(geometry.coordinates, properties.radius_m)] }, properties);
  }
  if (geometry.type === "LineString" && properties.width_m > 0) {
    return feature({ type: "Polygon", coordinates: [corridor(geometry.coordinates, properties.width_m / 2)] }, properties);
  }
  return geometry.type.endsWith("Polygon") ? fence : null;
}

/** Metres east and north of a place, as degrees. */
function offset([lon, lat], east, north) {
  return [lon + east / (EARTH_M_PER_DEG * Math.cos((lat * Math.PI) / 180)), lat + north / EARTH_M_PER_DEG];
}

function arc(center, radius, from, to, steps) {
  return Array.from({ length: steps + 1 }, (_, i) => {
    const angle = from + ((to - from) * i) / steps;
    return offset(center, radius * Math.cos(angle), radius * Math.sin(angle));
  });
}

function circle(center, radius) {
  return arc(center, radius, 0, 2 * Math.PI, 64);
}

/** The outline of everything within `half` metres of the line, its joins mitred. */
function corridor(line, half) {
  const scale = Math.cos((line[0][1] * Math.PI) / 180);
  const angles = line.slice(1).map(([lon, lat], i) => Math.atan2(lat - line[i][1], (lon - line[i][0]) * scale));
  const [first, last] = [angles[0], angles.at(-1)];
  const side = (sign) => line.slice(1, -1).map((point, i) => {
    const turn = Math.atan2(Math.sin(angles[i + 1] - angles[i]), Math.cos(angles[i + 1] - angles[i]));
    const reach = half / Math.max(0.5, Math.cos(turn / 2));
    const normal = angles[i] + turn / 2 + (sign * Math.PI) / 2;
    return offset(point, reach * Math.cos(normal), reach * Math.sin(normal));
  });
  const cap = (point, angle) => arc(point, half, angle - Math.PI / 2, angle + Math.PI / 2, 12);
  const ring = [...side(-1), ...cap(line.at(-1), last), ...side(1).reverse(), ...cap(line[0], first + Math.PI)];
  return [...ring, ring[0]];
}
