// One case at the desk: what it is, its clocks, what may be done, its history, what others were told.

import { aboutOf, kindOf, nameOf } from "./cases.js";
import { ask, newKey } from "./desk-api.js";
import { currentLanguage, duration, element, facts, quantity, t, time } from "./text.js";

const SEVERITIES = ["low", "normal", "high", "urgent"];

export class CaseCard {
  /** `who()` says who acts; `onMoved()` is called when a case has changed. */
  constructor(panel, who, onMoved) {
    Object.assign(this, { panel, who, onMoved });
    this.id = null;
    this.item = null;
    this.deliveries = null;
    this.numbers = [];
    /** The move whose form is open, the version that was seen then, and what was typed. */
    this.form = null;
    this.told = null;
    this.isBusy = false;
  }

  async open(id) {
    Object.assign(this, { id, item: null, form: null, told: null, deliveries: null, numbers: [] });
    this.panel.replaceChildren(element("p", "nothing", t("loading")));
    await this.load();
    this.panel.focus({ preventScroll: true });
  }

  /** From time to time; not while something is typed. */
  refresh() {
    if (this.id && !this.form && !this.isBusy) this.load();
  }

  async load() {
    const { id } = this;
    const path = `/api/v1/cases/${encodeURIComponent(id)}`;
    const scope = encodeURIComponent(this.who().scope);
    const [found, deliveries, numbers] = await Promise.all([ask(`${path}?scope=${scope}`), ask(`/api/v1/deliveries?case=${encodeURIComponent(id)}`), ask(`${path}/receivers`)]);
    if (id !== this.id) return;
    if (!found.ok) {
      this.item = null;
      this.panel.replaceChildren(element("p", "problem", `${t("caseFailed")}${found.problem}`));
      return;
    }
    this.item = found.body;
    this.deliveries = deliveries.ok ? deliveries.body.items : null;
    this.numbers = numbers.ok ? numbers.body.items : [];
    this.show();
  }

  show() {
    const { item, panel } = this;
    if (!item) return;
    const scroll = panel.scrollTop;
    const focused = panel.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    panel.dataset.id = item.id;
    panel.dataset.stage = item.stage;
    panel.dataset.version = item.version;
    const parts = [this.head(), this.message(), this.facts(), this.clocks(), this.tasks(), this.moves(), this.history(), this.deliveryList()];
    panel.replaceChildren(...parts.flat().filter(Boolean));
    panel.scrollTop = scroll;
    if (focused) panel.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  head() {
    const { item } = this;
    const head = element("div", "desk-head");
    head.append(element("h2", "", kindOf(item)), element("span", "chip stage-chip", t(item.stage)));
    if (item.late) head.append(element("span", "late-mark", t("late")));
    const links = element("p", "case-links");
    const track = `/api/v1/cases/${item.id}/track.geojson`;
    for (const [key, href] of [["evidencePack", `/cases/${item.id}/print?lang=${currentLanguage()}`], ["evidenceJson", item.evidence_href], ["trackFile", track]]) {
      const link = element("a", "link", t(key));
      link.href = href;
      link.dataset.link = key;
      links.append(link, " ");
    }
    return [head, element("p", "number minor", item.number), links];
  }

  message() {
    if (!this.told) return null;
    const message = element("p", `told ${this.told.kind}`, this.told.text);
    message.setAttribute("role", "alert");
    return message;
  }

  facts() {
    const { item } = this;
    const rows = [
      [t("about"), aboutOf(item)],
      [t("vehicle"), item.subject ? nameOf(item.subject) : t("unknown")],
      [t("unitGrid"), item.unit_grid ?? t("unknown")],
      [t("handler"), item.handler || t("city")],
      [t("department"), item.department ?? t("unknown")],
      [t("category"), item.category || t("unknown")],
      [t("severity"), t(item.severity)],
      [t("source"), t(item.source)],
      [t("openedAt"), time(item.opened_at)],
    ];
    if (item.rule && item.description) rows.splice(1, 0, [t("description"), item.description]);
    if (typeof item.worst === "number") rows.push([t("worst"), quantity(item.worst, item.worst_unit)]);
    if (item.deferred_until) rows.push([t("putOff"), time(item.deferred_until)]);
    return facts(rows);
  }

  clocks() {
    const list = element("ul", "clocks");
    for (const clock of this.item.clocks) {
      const line = element("li", clock.overdue ? "clock-line overdue" : "clock-line");
      line.dataset.clock = clock.clock;
      line.append(element("span", "", t(`clock_${clock.clock}`)), element("span", "minor", clock.limit ?? ""), element("span", "clock-left", left(clock)));
      list.append(line);
    }
    return [element("h3", "", t("clocks")), list];
  }

  /** What inspectors were asked, and until when. */
  tasks() {
    const { tasks } = this.item;
    if (!tasks?.length) return null;
    const list = element("ul", "tasks");
    for (const task of [...tasks].reverse()) {
      const { overdue: isLate, state } = task;
      const node = element("li", isLate ? "task-line overdue" : "task-line");
      Object.assign(node.dataset, { task: task.kind, state, overdue: String(isLate) });
      const said = task.answer ? `${t("task_answered")} · ${t(`answer_${task.answer}`)}` : t(`task_${state}`);
      node.append(element("strong", "", t(`task_${task.kind}`)), element("span", "", `${said}${isLate ? ` · ${t("late")}` : ""}`));
      node.append(element("span", "minor", task.answered_by ?? task.inspector ?? t("anybody")));
      node.append(element("time", "minor", [task.opened_at, task.ended_at].filter(Boolean).map((at) => time(at)).join(" – ")));
      if (task.due_at) node.append(element("span", "minor", `${t("due")} ${time(task.due_at)}`));
      list.append(node);
    }
    return [element("h3", "", t("tasks")), list];
  }

  moves() {
    const { role } = this.who();
    const allowed = this.item.allowed_moves.filter((rule) => rule.roles.includes(role));
    const buttons = element("div", "moves");
    for (const rule of allowed) {
      const button = element("button", "quiet", t(`move_${rule.move}`));
      button.type = "button";
      button.dataset.move = rule.move;
      button.dataset.focus = `move-${rule.move}`;
      button.title = rule.what;
      button.setAttribute("aria-expanded", String(this.form?.rule.move === rule.move));
      button.addEventListener("click", () => {
        this.form = this.form?.rule.move === rule.move ? null : { rule, version: this.item.version, key: newKey(), values: {} };
        this.told = null;
        this.show();
        this.panel.querySelector(".move-form :is(textarea, input, select)")?.focus();
      });
      buttons.append(button);
    }
    const parts = [element("h3", "", t("moves")), allowed.length > 0 ? buttons : element("p", "minor", t("noMoves"))];
    if (this.form && allowed.some((rule) => rule.move === this.form.rule.move)) parts.push(this.moveForm());
    return parts;
  }

  /** The fields that the move needs, and those that it may have. */
  moveForm() {
    const { rule, values } = this.form;
    const form = element("form", "move-form");
    const field = (name, label, input, isNeeded) => {
      input.name = name;
      input.required = isNeeded;
      input.dataset.focus = `field-${name}`;
      if (values[name] !== undefined) input.value = values[name];
      input.addEventListener("input", () => (values[name] = input.value));
      const wrapped = element("label", "", t(label));
      wrapped.append(input);
      form.append(wrapped);
    };
    const input = (type) => Object.assign(element("input"), { type });
    const needs = (need) => rule.needs.includes(need);
    if (needs("department")) {
      values.department ??= this.item.department ?? "";
      field("department", "department", input("text"), true);
    }
    if (needs("jurisdiction")) field("jurisdiction", "targetJurisdiction", input("text"), false);
    if (needs("minutes")) field("minutes", "minutes", Object.assign(input("number"), { min: 1 }), true);
    if (needs("until")) field("until", "until", input("datetime-local"), true);
    if (needs("into")) field("into", "into", input("text"), true);
    if (needs("violations")) form.append(this.violations(values));
    if (rule.move === "accept" || rule.move === "file") {
      field("category", "category", input("text"), false);
      const severity = element("select");
      for (const word of ["", ...SEVERITIES]) severity.append(Object.assign(element("option", "", t(word || "keepIt")), { value: word }));
      field("severity", "severity", severity, false);
    }
    field("remark", "remark", Object.assign(element("textarea"), { rows: 3 }), needs("remark"));
    const actions = element("div", "form-actions");
    const send = Object.assign(element("button", "send", `${t("send")}: ${t(`move_${rule.move}`)}`), { type: "submit", disabled: this.isBusy });
    const cancel = Object.assign(element("button", "quiet", t("cancel")), { type: "button" });
    cancel.addEventListener("click", () => {
      this.form = null;
      this.show();
    });
    actions.append(send, cancel);
    form.append(actions);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    return form;
  }

  violations(values) {
    const set = element("fieldset");
    set.append(element("legend", "", t("violations")));
    values.violations ??= [];
    for (const { violation, kind, started_at: startedAt } of this.item.intervals) {
      const box = Object.assign(element("input"), { type: "checkbox", checked: values.violations.includes(violation) });
      box.addEventListener("change", () => {
        values.violations = values.violations.filter((id) => id !== violation);
        if (box.checked) values.violations.push(violation);
      });
      const label = element("label", "check-label");
      label.append(box, element("span", "", `${t(kind)} ${time(startedAt)}`));
      set.append(label);
    }
    return set;
  }

  async send() {
    const { form, id } = this;
    const who = this.who();
    if (!who.actor) {
      this.told = { kind: "problem", text: t("needsActor") };
      this.show();
      return;
    }
    if (this.isBusy) return;
    const { rule, version, key, values } = form;
    const body = { move: rule.move, version, key, ...who, remark: values.remark ?? "" };
    for (const name of ["department", "category", "severity", "into"]) if (values[name]) body[name] = values[name];
    if (rule.needs.includes("jurisdiction")) body.jurisdiction = values.jurisdiction ?? "";
    if (rule.needs.includes("minutes")) body.minutes = Number(values.minutes);
    if (rule.needs.includes("until")) body.until = new Date(values.until).toISOString();
    if (rule.needs.includes("violations")) body.violations = values.violations;
    if (who.role === "department" && this.item.department) body.actor_department = this.item.department;
    this.isBusy = true;
    const { ok, status, body: answer, problem } = await ask(`/api/v1/cases/${encodeURIComponent(id)}/moves`, body);
    this.isBusy = false;
    if (id !== this.id) return;
    if (ok) {
      this.form = null;
      this.told = { kind: "good", text: t("done") };
      this.item = answer.case;
    } else if (status === 409 && answer?.version > version) {
      // What was typed stays, for the case as it is now.
      this.told = { kind: "conflict", text: `${t("conflict")} ${problem}` };
      if (answer.allowed_moves?.some((one) => one.move === rule.move)) this.form = { ...form, version: answer.version, key: newKey() };
      else this.form = null;
    } else {
      this.told = { kind: "problem", text: `${t("moveFailed")}${problem}` };
    }
    this.show();
    await this.load();
    this.onMoved();
  }

  history() {
    const list = element("ol", "history");
    for (const line of [...this.item.history].reverse()) {
      const node = element("li");
      node.dataset.move = line.move;
      const head = element("div", "history-head");
      head.append(element("strong", "", t(`move_${line.move}`)), element("span", "minor", `${line.actor} · ${t(`role_${line.role}`)}`), element("time", "minor", time(line.at)));
      node.append(head);
      if (line.remark) node.append(element("p", "said", line.remark));
      if (line.detail) node.append(element("p", "minor", line.detail));
      list.append(node);
    }
    return [element("h3", "", `${t("history")} · ${this.item.history.length}`), list];
  }

  deliveryList() {
    const title = element("h3", "", t("deliveries"));
    if (this.deliveries === null) return [title, element("p", "minor", t("deliveriesFailed"))];
    if (this.deliveries.length === 0) return [title, element("p", "minor", t("noDeliveries"))];
    const list = element("ul", "deliveries");
    for (const { receiver, number } of this.numbers) list.append(element("li", "", `${receiver}: ${t("theirNumber")} ${number}`));
    for (const one of this.deliveries) {
      const node = element("li", `delivery-${one.state}`);
      node.dataset.state = one.state;
      node.append(element("span", "", `${one.receiver} · ${one.event} #${one.sequence} · ${t(`delivery_${one.state}`)} · ${one.attempts} ${t("attempts")}`));
      if (one.state === "pending" && one.next_at) node.append(element("span", "minor", time(one.next_at)));
      const said = [one.status, one.said].filter(Boolean).join(" ");
      if (said) node.append(element("p", "said minor", said));
      if (one.state === "dead") {
        const button = Object.assign(element("button", "quiet", t("resend")), { type: "button" });
        button.addEventListener("click", async () => {
          const { ok, problem } = await ask(`/api/v1/deliveries/${encodeURIComponent(one.id)}/resend`, {});
          if (!ok) this.told = { kind: "problem", text: problem };
          await this.load();
        });
        node.append(button);
      }
      list.append(node);
    }
    return [title, list];
  }
}

/** What is left of a clock, in its own time. */
function left(clock) {
  if (clock.stopped_at) return `${t("stopped_clock")} · ${t("used")} ${duration(clock.used_s * 1000)}`;
  const standing = clock.running ? "" : ` · ${t("waiting_clock")}`;
  if (typeof clock.remaining_s !== "number") return `${t("used")} ${duration(clock.used_s * 1000)}${standing}`;
  const word = clock.remaining_s < 0 ? t("over") : t("left");
  const due = clock.due_at ? ` · ${time(clock.due_at)}` : "";
  return `${word} ${duration(Math.abs(clock.remaining_s) * 1000)}${due}${standing}`;
}
