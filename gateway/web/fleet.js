// The vehicles on the map: newest position of each, drawn where it is on its way there.

import { FONT } from "./city.js";

export const STATE_COLORS = { moving: "#34d399", stopped: "#fbbf24", offline: "#94a3b8" };
const STATES = Object.keys(STATE_COLORS);
/** Vehicles are redrawn at this rate at most: the worker has to cut each picture into tiles. */
const DRAW_MS = 70;
/** A symbol takes as long to its new place as the vehicle did, within these limits. */
const GLIDE_MS_MIN = 250;
const GLIDE_MS_MAX = 6_000;
/** Further than this (degrees, some 600 m) is not driven between two reports: no glide. */
const JUMP_DEG = 0.006;
const SYMBOL_PX = 30;

export class Fleet {
  constructor() {
    this.vehicles = new Map();
    this.isDirty = false;
    this.isBusy = false;
    this.drawnAt = 0;
    this.frames = 0;
  }

  /** Everything as of now; what is not in it is gone. */
  replace(positions) {
    const kept = new Set(positions.map((position) => position.phone));
    for (const phone of this.vehicles.keys()) if (!kept.has(phone)) this.vehicles.delete(phone);
    this.update(positions);
  }

  update(positions, now = performance.now()) {
    for (const position of positions) {
      const known = this.vehicles.get(position.phone);
      const to = [position.lon, position.lat];
      if (!known) {
        this.vehicles.set(position.phone, { position, from: to, to, startedAt: now, glideMs: 0, changedAt: now });
        continue;
      }
      if (known.to[0] !== to[0] || known.to[1] !== to[1]) {
        const here = placeAt(known, now);
        const isJump = Math.abs(here[0] - to[0]) > JUMP_DEG || Math.abs(here[1] - to[1]) > JUMP_DEG;
        known.from = isJump ? to : here;
        known.to = to;
        known.startedAt = now;
        known.glideMs = Math.min(GLIDE_MS_MAX, Math.max(GLIDE_MS_MIN, now - known.changedAt));
        known.changedAt = now;
      }
      known.position = position;
    }
    this.isDirty = true;
  }

  counts() {
    const counts = { all: this.vehicles.size, online: 0, moving: 0, stopped: 0, offline: 0 };
    for (const { position } of this.vehicles.values()) {
      if (position.online) counts.online += 1;
      if (Object.hasOwn(STATE_COLORS, position.state)) counts[position.state] += 1;
    }
    return counts;
  }

  position(phone) {
    return this.vehicles.get(phone)?.position ?? null;
  }

  /** Where its symbol is at this moment, `[lon, lat]`. */
  place(phone, now = performance.now()) {
    const vehicle = this.vehicles.get(phone);
    return vehicle ? placeAt(vehicle, now) : null;
  }

  /** Up to `limit` vehicles whose plate or phone holds the words. */
  find(words, limit) {
    const wanted = words.trim().toUpperCase();
    const found = [];
    if (!wanted) return found;
    for (const { position } of this.vehicles.values()) {
      if (position.plate?.toUpperCase().includes(wanted) || position.phone.toUpperCase().includes(wanted)) found.push(position);
      if (found.length === limit) break;
    }
    return found;
  }

  addTo(map) {
    this.map = map;
    for (const state of STATES) {
      for (const shape of ["truck", "person"]) {
        map.addImage(`${shape}-${state}`, symbol(shape, state), { pixelRatio: 2 });
      }
    }
    map.addSource("vehicles", { type: "geojson", data: this.picture(performance.now()), tolerance: 0, buffer: 64 });
    map.addLayer({ id: "vehicle-chosen", type: "circle", source: "vehicles", filter: ["==", ["get", "phone"], ""], paint: {
      "circle-radius": 17, "circle-color": "#ffffff", "circle-opacity": 0.12, "circle-stroke-color": "#ffffff", "circle-stroke-width": 2,
    } });
    map.addLayer({ id: "vehicles", type: "symbol", source: "vehicles", layout: {
      "icon-image": ["get", "icon"], "icon-rotate": ["get", "heading"], "icon-rotation-alignment": "map", "icon-allow-overlap": true, "icon-ignore-placement": true,
      "icon-size": ["interpolate", ["linear"], ["zoom"], 10, 0.55, 13, 0.8, 16, 1.15], "symbol-sort-key": ["get", "rank"],
    } });
    map.addLayer({ id: "vehicle-label", type: "symbol", source: "vehicles", minzoom: 14.2, layout: {
      "text-field": ["get", "label"], "text-font": FONT, "text-size": 11.5, "text-anchor": "top", "text-offset": [0, 1.5], "text-optional": true,
    }, paint: { "text-color": "#e6eef5", "text-halo-color": "#0b1622", "text-halo-width": 1.6 } });
    const step = (now) => {
      this.step(now);
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  step(now) {
    if (this.isBusy || now - this.drawnAt < DRAW_MS) return;
    if (!this.isDirty && !this.isGliding(now)) return;
    this.isDirty = false;
    this.isBusy = true;
    this.drawnAt = now;
    const done = () => {
      this.isBusy = false;
      this.frames += 1;
    };
    this.map.getSource("vehicles").setData(this.picture(now), true).then(done, done);
  }

  isGliding(now) {
    for (const vehicle of this.vehicles.values()) {
      // One step more than the glide itself, so that the last picture shows the end of it.
      if (now < vehicle.startedAt + vehicle.glideMs + 2 * DRAW_MS) return true;
    }
    return false;
  }

  picture(now) {
    const features = [];
    for (const vehicle of this.vehicles.values()) {
      const { phone, plate, work_kind: work, heading_deg: heading } = vehicle.position;
      const state = Object.hasOwn(STATE_COLORS, vehicle.position.state) ? vehicle.position.state : "offline";
      const icon = `${work === "inspector" ? "person" : "truck"}-${state}`;
      const properties = { phone, icon, heading, label: plate ?? phone, rank: STATES.length - STATES.indexOf(state) };
      features.push({ type: "Feature", properties, geometry: { type: "Point", coordinates: placeAt(vehicle, now) } });
    }
    return { type: "FeatureCollection", features };
  }

  choose(phone) {
    if (this.map?.getLayer("vehicle-chosen")) this.map.setFilter("vehicle-chosen", ["==", ["get", "phone"], phone ?? ""]);
  }
}

function placeAt(vehicle, now) {
  const share = vehicle.glideMs > 0 ? Math.min(1, Math.max(0, (now - vehicle.startedAt) / vehicle.glideMs)) : 1;
  const between = (a, b) => a + (b - a) * share;
  return [between(vehicle.from[0], vehicle.to[0]), between(vehicle.from[1], vehicle.to[1])];
}

/** Draws a symbol that points north: an arrowhead for vehicles, a disc with a nose for people. */
export function drawSymbol(context, size, shape, state) {
  const middle = size / 2;
  const unit = size / 30;
  context.lineJoin = "round";
  context.lineWidth = 2 * unit;
  context.strokeStyle = "#06101a";
  context.fillStyle = STATE_COLORS[state];
  context.beginPath();
  if (shape === "person") {
    context.arc(middle, middle + 2 * unit, 6.5 * unit, -Math.PI / 2 + 0.6, Math.PI * 1.5 - 0.6);
    context.lineTo(middle, middle - 10 * unit);
  } else {
    context.moveTo(middle, middle - 12.5 * unit);
    context.lineTo(middle + 9 * unit, middle + 10.5 * unit);
    context.lineTo(middle, middle + 6 * unit);
    context.lineTo(middle - 9 * unit, middle + 10.5 * unit);
  }
  context.closePath();
  context.fill();
  context.stroke();
  if (state !== "moving") {
    // Colour alone does not tell: what stands still has a dark heart.
    context.beginPath();
    context.arc(middle, middle + 2 * unit, (state === "offline" ? 3.6 : 2.4) * unit, 0, 2 * Math.PI);
    context.fillStyle = "#06101a";
    context.fill();
  }
}

function symbol(shape, state) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SYMBOL_PX * 2;
  const context = canvas.getContext("2d");
  drawSymbol(context, canvas.width, shape, state);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}
