// Why a rule has found something about a vehicle at a moment, and why not: what the card of a case
// and that of a vehicle can be asked. The answer is the server's; nothing is judged here.

import { currentLanguage, duration, element, facts, quantity, t, threshold, time } from "./text.js";

/** More rules than this do not help to choose one. */
const RULES_MAX = 500;
const CATALOG = "/api/v1/catalog";

/** What can be asked about a choice. It is made once for each and stays, while the card is redrawn. */
export class Explain {
  /** `mark(place)` shows a place on the map, or takes it away. */
  constructor(mark) {
    this.mark = mark;
    this.node = element("section", "explain");
    this.subject = null;
    this.answer = null;
    this.rules = null;
  }

  /** Of a case: when it was sure. */
  forCase(item) {
    if (!this.begins(`case ${item.id}`)) return;
    this.form = () => [this.button("askWhy", () => this.ask(`/api/v1/cases/${encodeURIComponent(item.id)}/explain`))];
    this.build();
  }

  /** Of a vehicle: a rule and a moment are to be chosen. */
  forVehicle(position) {
    if (!position || !this.begins(`vehicle ${position.phone}`)) return;
    const chosen = { rule: null, at: "" };
    this.form = () => {
      const rule = element("select", "explain-rule");
      rule.setAttribute("aria-label", t("rule"));
      this.fill(rule, position, chosen);
      rule.addEventListener("change", () => (chosen.rule = rule.value));
      const at = element("input", "explain-at");
      at.type = "datetime-local";
      at.step = "1";
      at.value = chosen.at;
      at.setAttribute("aria-label", t("moment"));
      at.addEventListener("input", () => (chosen.at = at.value));
      const submit = this.button("askWhyNot", () => {
        const query = new URLSearchParams({ terminal: position.phone, rule: rule.value });
        // Without a moment it is now.
        if (at.value) query.set("at", new Date(at.value).toISOString());
        if (rule.value) this.ask(`/api/v1/explain?${query}`);
      });
      const label = element("label", "explain-when", t("moment"));
      label.append(at);
      return [element("h3", "", t("whyNotTitle")), rule, label, element("p", "minor", t("momentNow")), submit];
    };
    this.build();
  }

  begins(subject) {
    if (this.subject === subject) return false;
    this.subject = subject;
    this.answer = null;
    this.rules = null;
    return true;
  }

  button(key, onClick) {
    const button = element("button", "quiet ask", t(key));
    button.type = "button";
    button.addEventListener("click", onClick);
    return button;
  }

  /** In another language as well. */
  build() {
    if (!this.subject) return;
    this.output = element("div", "explanation");
    this.output.setAttribute("aria-live", "polite");
    this.node.replaceChildren(...this.form(), this.output);
    this.show();
  }

  async fill(select, position, chosen) {
    const subject = this.subject;
    select.append(new Option(t("loading"), ""));
    this.rules ??= rulesOf(position);
    let groups;
    try {
      groups = await this.rules;
    } catch {
      this.rules = null;
      select.replaceChildren(new Option(t("rulesFailed"), ""));
      return;
    }
    if (this.subject !== subject) return;
    select.replaceChildren(...groups.filter(([, rules]) => rules.length > 0).map(([key, rules]) => {
      const group = document.createElement("optgroup");
      group.label = t(key);
      for (const { id, name } of rules) group.append(new Option(name && name !== id ? `${name} · ${id}` : id, id));
      return group;
    }));
    if (chosen.rule) select.value = chosen.rule;
  }

  async ask(path) {
    const subject = this.subject;
    this.answer = { isLoading: true };
    this.show();
    let answer;
    try {
      const response = await fetch(path, { headers: { accept: "application/json" } });
      const found = await response.json();
      answer = response.ok ? { found } : { problem: found.detail ?? found.title };
    } catch {
      answer = { problem: "" };
    }
    // Another choice may have been made meanwhile.
    if (this.subject !== subject) return;
    this.answer = answer;
    this.show();
  }

  show() {
    const { answer, output } = this;
    output.dataset.state = answer ? (answer.found ? "answered" : answer.isLoading ? "loading" : "failed") : "none";
    if (!answer) output.replaceChildren();
    else if (answer.isLoading) output.replaceChildren(element("p", "minor", t("loading")));
    else if (answer.found) output.replaceChildren(...this.told(answer.found));
    else output.replaceChildren(element("p", "explain-problem", `${t("explainFailed")} ${answer.problem}`.trim()));
  }

  told(found) {
    const { rule, window: hours, heard } = found;
    // Checks that the rule does not ask for say nothing about the vehicle.
    const checks = found.checks.filter((check) => check.why_not !== "not_asked");
    const shown = checks.length > 0 ? checks : found.checks;
    const parts = [facts([
      [t("rule"), [rule.name || rule.id, `${rule.id} · ${t("version")(rule.version)}`]],
      [t("moment"), time(found.at)],
      [t("inForceSince"), found.in_force_since ? time(found.in_force_since) : t("always")],
      ...(hours ? [[t("ruleWindow"), `${time(hours.from)} – ${time(hours.to)}`]] : []),
      [t("catalogVersion"), String(found.version)],
      [t("heard"), [t("fixes")(heard.fixes), ...(heard.last_at ? [`${time(heard.first_at)} – ${time(heard.last_at)}`] : [])]],
    ])];
    if (found.cut) parts.push(element("p", "minor", t("explainCut")));
    for (const check of shown) parts.push(this.check(check));
    if (found.fixes.length > 0) parts.push(element("h3", "", `${t("decidingFixes")} · ${found.fixes.length}`), this.fixes(found));
    return parts;
  }

  check(check) {
    const box = element("section", "check");
    box.dataset.stage = check.judged ? check.stage : "unjudged";
    const head = element("p", "check-head");
    const state = check.judged ? t(`stage_${check.stage}`) : t("unjudged");
    head.append(element("strong", "", t(check.kind)), element("span", "chip", state));
    box.append(head);
    box.append(element("p", "check-why", sentenceOf(check)));
    if (check.needed_s && typeof check.observed_s === "number") {
      const clock = element("progress");
      clock.max = check.needed_s;
      clock.value = Math.min(check.observed_s, check.needed_s);
      clock.setAttribute("aria-label", t("clock"));
      box.append(clock);
    }
    const rows = [];
    if (check.side) rows.push([t("side"), t(`side_${check.side}`)]);
    if (check.since) rows.push([t("since"), time(check.since)]);
    if (typeof check.observed_s === "number") rows.push([t("clock"), clockOf(check)]);
    const measured = Object.entries(check.measured).map(([name, value]) => threshold(name, value));
    const thresholds = Object.entries(check.thresholds).map(([name, value]) => threshold(name, value));
    if (rows.length > 0) box.append(facts(rows));
    if (measured.length > 0) box.append(element("h3", "", t("measured")), facts(measured));
    // What an unjudged check would have asked for is no reason.
    if (check.judged && thresholds.length > 0) box.append(element("h3", "", t("thresholds")), facts(thresholds));
    return box;
  }

  fixes({ fixes, form }) {
    const table = element("table", "fixes");
    const headRow = table.createTHead().insertRow();
    for (const key of ["time", "speed", form === "fence" || form === "shift" ? "distance" : "distanceAway", "accuracy"]) {
      const cell = element("th", "", t(key));
      cell.scope = "col";
      headRow.append(cell);
    }
    const body = table.createTBody();
    for (const fix of fixes) {
      const row = body.insertRow();
      const isSigned = form === "fence" || form === "shift";
      const side = isSigned && typeof fix.distance_m === "number" ? ` ${t(fix.distance_m >= 0 ? "inside" : "outside")}` : "";
      const far = typeof fix.distance_m === "number" ? quantity(Math.abs(fix.distance_m), "m") + side : t("unknown");
      const fate = fix.fate === "counted" ? quantity(fix.accuracy_m, "m", 0) : t(`fate_${fix.fate}`);
      for (const text of [time(fix.fixed_at), quantity(fix.speed_kmh, "km/h"), far, fate]) row.insertCell().textContent = text;
      if (fix.fate !== "counted") row.classList.add("uncounted");
      row.tabIndex = 0;
      const show = () => this.mark([fix.lon, fix.lat]);
      row.addEventListener("mouseenter", show);
      row.addEventListener("focus", show);
    }
    body.addEventListener("mouseleave", () => this.mark(null));
    return table;
  }
}

function clockOf({ observed_s: observed, needed_s: needed }) {
  const seen = duration(observed * 1_000);
  return needed === null ? seen : t("clockOf")(seen, duration(needed * 1_000));
}

/** The server's own sentence, which it tells in both languages. */
const sentenceOf = (check) => (currentLanguage() === "en" ? check.sentence : check.sentence_zh);

/** The rules that concern a vehicle, in groups: `[[key, [{ id, name }]]]`. */
async function rulesOf({ phone, vehicle, fleet, work_kind: workKind }) {
  const load = async (kind) => {
    const response = await fetch(`${CATALOG}/${kind}`);
    if (!response.ok) throw new Error(`${kind}: ${response.status}`);
    return response.text();
  };
  const [fences, routes, rules, assignments, vehicles] = await Promise.all(["fences", "routes", "work-rules", "assignments", "vehicles"].map(load));
  const concerns = ({ applies_to: audience }) => {
    const holds = (list, word) => (list ?? []).includes(word);
    const isEverybody = !audience || ["vehicles", "fleets", "work_kinds"].every((key) => (audience[key] ?? []).length === 0);
    return isEverybody || holds(audience.vehicles, vehicle) || holds(audience.fleets, fleet) || holds(audience.work_kinds, workKind);
  };
  const named = (list) => list.filter(concerns).map(({ id, name }) => ({ id, name })).slice(0, RULES_MAX);
  const properties = (text) => JSON.parse(text).features.map((feature) => feature.properties);
  const judging = (rule) => rule.kind !== "work_signals";
  const all = JSON.parse(rules).rules;
  const work = named(all.filter(judging));
  // Without a rule of the catalog its defaults hold.
  if (!all.some((rule) => rule.kind === "terminal_alarms")) work.push({ id: "terminal_alarms", name: t("terminal_alarm") });
  const own = table(vehicles).find((row) => row.phone?.replace(/^0+/, "") === phone);
  const isHis = (row) => (row.vehicle ? row.vehicle === vehicle : row.crew !== undefined && row.crew !== "" && row.crew === own?.crew);
  const his = table(assignments).filter(isHis);
  const duties = [...new Set(his.map((row) => (row.duty_area ? `${row.shift}/${row.duty_area}` : row.shift)))].map((id) => ({ id }));
  if (duties.length > 0) duties.push({ id: `hours:${vehicle}`, name: t("outside_hours") });
  return [["routes", named(properties(routes))], ["duties", duties], ["workRules", work], ["fences", named(properties(fences).filter((fence) => fence.kind !== "site"))]];
}

/** The rows of a CSV text as objects by its header. */
function table(text) {
  const rows = [[""]];
  let isQuoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const letter = text[i];
    const row = rows.at(-1);
    if (isQuoted && letter === '"' && text[i + 1] === '"') row[row.length - 1] += text[++i];
    else if (letter === '"') isQuoted = !isQuoted;
    else if (!isQuoted && letter === ",") row.push("");
    else if (!isQuoted && letter === "\n") rows.push([""]);
    else if (isQuoted || letter !== "\r") row[row.length - 1] += letter;
  }
  const [header, ...body] = rows;
  const keys = header.map((name) => name.replace("\uFEFF", "").trim());
  return body.filter((row) => row.length > 1).map((row) => Object.fromEntries(keys.map((key, i) => [key, (row[i] ?? "").trim()])));
}
