// The case desk: who acts, the list with its filters, and the chosen case.

import "./desk-text.js";
import { KINDS, aboutOf, kindOf, nameOf } from "./cases.js";
import { CaseCard } from "./desk-case.js";
import { ask } from "./desk-api.js";
import { currentLanguage, element, switchLanguage, t, time, translate } from "./text.js";

const STAGES = ["collected", "accepted", "filed", "dispatched", "handled", "verified", "closed", "declined", "withdrawn"];
const ROLES = ["operator", "dispatcher", "department", "inspector", "leader"];
const SORTS = ["opened", "changed", "due"];
const PAGE = 50;
const REFRESH_MS = 10_000;
const STORED = "gridtrace.desk";
const byId = (id) => document.getElementById(id);

const filters = { search: byId("filter-search"), stage: byId("filter-stage"), kind: byId("filter-kind"), jurisdiction: byId("filter-jurisdiction"), sort: byId("filter-sort"), overdue: byId("filter-overdue") };
const who = { actor: byId("actor"), role: byId("role"), scope: byId("scope") };
let items = [];
let next = null;
/** Tasks of inspectors that wait for an answer; whether there are more than these. */
let tasks = { items: [], isCut: false };
/** Counts what was asked, so that a late answer to an older question is not shown. */
let asked = 0;

const card = new CaseCard(byId("case"), () => ({ actor: who.actor.value.trim(), role: who.role.value, scope: who.scope.value.trim() }), () => {
  load();
  loadTasks();
});

function options(select, values, name, all) {
  const chosen = select.value;
  const made = values.map((value) => [value, name(value)]);
  if (all) made.unshift(["", t(all)]);
  select.replaceChildren(...made.map(([value, text]) => {
    const option = element("option", "", text);
    option.value = value;
    return option;
  }));
  if (made.some(([value]) => value === chosen)) select.value = chosen;
}

function query(cursor) {
  const parameters = new URLSearchParams({ limit: String(PAGE), sort: filters.sort.value });
  for (const name of ["stage", "kind"]) if (filters[name].value) parameters.set(name, filters[name].value);
  if (filters.search.value.trim()) parameters.set("search", filters.search.value.trim());
  if (filters.jurisdiction.value.trim()) parameters.set("jurisdiction", filters.jurisdiction.value.trim());
  if (who.scope.value.trim()) parameters.set("scope", who.scope.value.trim());
  if (filters.overdue.checked) parameters.set("overdue", "true");
  if (cursor) parameters.set("cursor", cursor);
  return `/api/v1/cases?${parameters}`;
}

async function load(cursor = null) {
  asked += 1;
  const mine = asked;
  const { ok, body, problem } = await ask(query(cursor));
  if (mine !== asked) return;
  byId("list-problem").hidden = ok;
  byId("list-problem").textContent = ok ? "" : `${t("listFailed")}${problem}`;
  if (ok) {
    items = cursor ? items.concat(body.items) : body.items;
    next = body.next;
    show();
  }
  document.body.dataset.ready = "true";
}

async function loadTasks() {
  const { ok, body, problem } = await ask(`/api/v1/tasks?state=open&limit=${PAGE}`);
  byId("task-problem").hidden = ok;
  byId("task-problem").textContent = ok ? "" : `${t("tasksFailed")}${problem}`;
  if (ok) tasks = { items: body.items, isCut: Boolean(body.next) };
  showTasks();
}

/** Those that lie in the jurisdiction of who acts. */
function showTasks() {
  const scope = who.scope.value.trim();
  const own = tasks.items.filter((task) => (task.unit_grid ?? "").startsWith(scope));
  byId("task-count").textContent = tasks.isCut ? `${own.length}+` : String(own.length);
  byId("task-rows").replaceChildren(...own.map(taskLine));
  if (own.length === 0) byId("task-rows").append(element("li", "minor", t("noTasks")));
}

function taskLine(task) {
  const isLate = task.overdue || (task.due_at && Date.parse(task.due_at) < Date.now());
  const line = element("li", isLate ? "task-line overdue" : "task-line");
  line.dataset.id = task.case;
  line.dataset.overdue = String(Boolean(isLate));
  line.dataset.task = task.kind;
  const link = Object.assign(element("a", "link", task.case_number), { href: `#${task.case}` });
  line.append(element("strong", "", t(`task_${task.kind}`)), link, element("span", "minor", task.inspector ?? t("anybody")), element("time", "minor", time(task.opened_at)));
  if (task.due_at) line.append(element("span", isLate ? "task-due overdue" : "task-due minor", `${t("due")} ${time(task.due_at)}`));
  if (isLate) line.append(element("span", "late-mark", t("late")));
  return line;
}

function show() {
  const rows = byId("rows");
  const focused = rows.contains(document.activeElement) ? document.activeElement.closest("tr")?.dataset.id : null;
  rows.replaceChildren(...items.map(row));
  if (focused) rows.querySelector(`tr[data-id="${CSS.escape(focused)}"] button`)?.focus({ preventScroll: true });
  byId("no-rows").hidden = items.length > 0;
  byId("more").hidden = !next;
}

function row(item) {
  const line = element("tr");
  line.dataset.id = item.id;
  line.classList.toggle("chosen", item.id === card.id);
  const isLate = item.late || (item.due_at && Date.parse(item.due_at) < Date.now());
  const button = element("button", "link", item.number);
  button.type = "button";
  const about = element("td");
  about.append(element("strong", "", kindOf(item)), element("span", "minor", [item.subject ? nameOf(item.subject) : "", aboutOf(item)].filter(Boolean).join(" · ")));
  const stage = element("td");
  stage.append(element("span", "chip", t(item.stage)));
  const due = element("td", isLate ? "overdue" : "", item.due_at ? time(item.due_at) : "");
  if (isLate) due.append(element("span", "late-mark", t("late")));
  const number = element("td");
  number.append(button);
  line.append(number, about, stage, element("td", "", item.department ?? ""), element("td", "", time(item.opened_at)), due);
  return line;
}

function choose(id) {
  card.open(id);
  for (const line of byId("rows").children) line.classList.toggle("chosen", line.dataset.id === id);
}

function retell() {
  translate(document);
  document.title = `${t("desk")} · gridtrace`;
  byId("language").textContent = t("language");
  options(filters.stage, STAGES, t, "anyStage");
  options(filters.kind, KINDS, t, "anyKind");
  options(filters.sort, SORTS, (word) => t(`sort_${word}`));
  options(who.role, ROLES, (word) => t(`role_${word}`));
  show();
  showTasks();
  card.show();
}

function remember() {
  try {
    localStorage.setItem(STORED, JSON.stringify({ actor: who.actor.value, role: who.role.value, scope: who.scope.value }));
  } catch {
    // It holds until the page is closed.
  }
}

function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORED) ?? "{}");
    for (const name of ["actor", "role", "scope"]) if (typeof kept[name] === "string") who[name].value = kept[name];
  } catch {
    // Then who acts has to be said again.
  }
}

retell();
who.role.value = "dispatcher";
recall();
byId("rows").addEventListener("click", (event) => {
  const id = event.target.closest("tr")?.dataset.id;
  if (id) location.hash = id;
});
addEventListener("hashchange", () => choose(location.hash.slice(1)));
byId("more").addEventListener("click", () => load(next));
byId("filters").addEventListener("input", () => load());
for (const form of ["filters", "who"]) byId(form).addEventListener("submit", (event) => event.preventDefault());
byId("who").addEventListener("input", () => {
  remember();
  card.show();
});
who.scope.addEventListener("change", () => {
  load();
  showTasks();
});
byId("language").addEventListener("click", () => {
  switchLanguage();
  retell();
});
setInterval(() => {
  // What was unfolded by hand stays.
  if (items.length <= PAGE) load();
  loadTasks();
  card.refresh();
}, REFRESH_MS);
load();
loadTasks();
if (location.hash.length > 1) choose(location.hash.slice(1));
