// Every word of the page, in both languages, and how values are written.

const TEXTS = {
  zh: {
    online: "在线", moving: "行驶", stopped: "停驶", offline: "离线",
    cases: "案件", desk: "案件办理", evidencePack: "证据材料", noCases: "暂无案件", reportedCase: "人工上报", description: "描述", noMatch: "没有匹配的车辆", search: "搜索车牌或终端号", map: "地图",
    legend: "图例", kind: "类型", close: "关闭", retry: "立即重试", language: "English",
    connecting: "连接中", live: "实时", silent: "无新数据", waiting: "已断开",
    lost: (time) => `连接中断，地图停留在 ${time} 的状态，正在重新连接…`,
    neverConnected: "暂时无法连接，正在重试…",
    cityFailed: "网格和围栏加载失败，请刷新页面重试。",
    noWebgl: "此浏览器无法显示地图（需要 WebGL）。",
    newCase: (kind, who, rule) => `新案件：${kind}，${who}，${rule}`,
    newCases: (n) => `${n} 个新案件`,
    stay_in: "离开责任区", keep_out: "闯入禁区", speeding: "超速行驶",
    route_deviation: "偏离路线", wrong_order: "收运顺序错误", missed_point: "漏收点位", coverage: "作业覆盖率不足",
    long_stop: "超时停留", idling: "怠速停留", too_fast_to_clean: "作业超速", unloading: "场外倾倒", terminal_alarm: "终端报警",
    fence_stay_in: "作业责任区", fence_keep_out: "禁入区", fence_speed_limit: "限速区", fence_no_stop: "禁停区", fence_site: "场站",
    outside_hours: "非作业时段作业", late_start: "迟到", early_end: "早退", off_post: "脱岗",
    patrol_coverage: "巡查覆盖率不足", silence: "值班失联", notVisited: "未巡查的单元网格",
    unitGrid: "单元网格", districts: "区界", inspector: "巡查员",
    sweeper: "洗扫车", sprinkler: "洒水车", refuse_truck: "垃圾车",
    collected: "信息收集", accepted: "受理", filed: "立案", declined: "不予立案", dispatched: "派遣",
    handled: "处置", verified: "核查", closed: "结案", withdrawn: "撤销",
    vehicle: "车辆", phone: "终端手机号", workKind: "作业类型", fleet: "车队", speed: "速度", heading: "方向",
    fixedAt: "定位时间", receivedAt: "接收时间", acc: "点火 (ACC)", on: "开", off: "关", satellites: "卫星数",
    odometer: "里程", altitude: "海拔", place: "位置", alarm: "终端报警标志", track: "最近 2 小时轨迹",
    trackPoints: (n, km) => `${n} 个定位点，${km} km`, trackNone: "没有轨迹", trackFailed: "轨迹加载失败", loading: "加载中…",
    rule: "规则", version: (n) => `第 ${n} 版`, startedAt: "开始", confirmedAt: "确认", endedAt: "结束", ongoing: "进行中",
    duration: "持续", worst: "最严重", openedAt: "案件生成", stage: "阶段", caseId: "案件编号",
    thresholds: "判定阈值", evidence: "证据", fixes: (n) => `${n} 个定位点`, time: "时间", distance: "距边界",
    inside: "内", outside: "外", unknown: "—", ago: (text) => `${text}前`, second: "秒", minute: "分", hour: "小时", day: "天",
    directions: ["北", "东北", "东", "东南", "南", "西南", "西", "西北"],
    why_stay_in: (worst, rule) => `驶出“${rule}”，最远超出边界 ${worst}。`,
    why_keep_out: (worst, rule) => `驶入“${rule}”，最深进入边界 ${worst}。`,
    why_speeding: (worst, rule) => `在“${rule}”速度最高 ${worst}。`,
    why_route_deviation: (worst, rule) => `偏离路线“${rule}”，最远 ${worst}。`,
    why_wrong_order: (_, rule) => `越过“${rule}”，先到了后面的点位。`,
    why_missed_point: (worst, rule) => `时段内没有到达“${rule}”，最近 ${worst}。`,
    why_coverage: (worst, rule) => `路线“${rule}”只完成 ${worst}。`,
    why_long_stop: (worst, rule) => `按“${rule}”停留过久，已停 ${worst}。`,
    why_idling: (worst, rule) => `按“${rule}”怠速停留过久，已停 ${worst}。`,
    why_too_fast_to_clean: (worst, rule) => `作业时速度最高 ${worst}，超过“${rule}”的作业速度。`,
    why_unloading: (worst, rule) => `在允许的场站之外倾倒，持续 ${worst}（“${rule}”）。`,
    why_terminal_alarm: (worst, rule) => `终端报警“${rule}”，持续 ${worst}。`,
    why_outside_hours: (worst, rule) => `“${rule}”在班次之外行驶了 ${worst}。`,
    why_late_start: (worst, rule) => `“${rule}”开始后 ${worst}才到岗。`,
    why_early_end: (worst, rule) => `“${rule}”结束前 ${worst}已离岗。`,
    why_off_post: (worst, rule) => `当班时离开“${rule}”，最远 ${worst}。`,
    why_patrol_coverage: (worst, rule) => `“${rule}”只巡查了 ${worst} 的网格。`,
    why_silence: (worst, rule) => `当班（“${rule}”）时 ${worst}没有收到数据。`,
    askWhy: "为什么？查看判定过程", askWhyNot: "查询", whyNotTitle: "为什么有／没有案件？", moment: "时刻", momentNow: "不填时刻即为现在。",
    routes: "路线", duties: "班次", workRules: "作业规则", fences: "围栏", rulesFailed: "规则加载失败",
    explainFailed: "无法说明。", explainCut: "定位点过多，只用了最新的一部分。",
    inForceSince: "规则生效", always: "一直有效", ruleWindow: "时段", catalogVersion: "目录版本", heard: "依据", decidingFixes: "起作用的定位点",
    unjudged: "未判定", clock: "计时", clockOf: (seen, needed) => `${seen} / 需 ${needed}`, side: "位置关系", since: "自", measured: "测得",
    distanceAway: "距离", accuracy: "精度", fate_suspect: "可疑", fate_dropped: "已剔除", fate_placeless: "无位置",
    stage_quiet: "正常", stage_not_armed: "未触发条件", stage_pending: "计时中", stage_open: "违规", stage_closing: "结束确认中",
    side_inside: "在内", side_outside: "在外", side_entering: "可能进入", side_leaving: "可能离开", side_unknown: "位置未知",
    threshold: {
      distance: "距离", along: "沿线位置", length: "路线长度", travelled: "偏离行程", corridor: "走廊半宽", half_width: "设定半宽", deviation: "偏离判定",
      deviation_long: "长时间偏离", return: "返回判定", armed: "入线判定", median: "速度中值", limit_that_holds: "适用限速", planned: "计划里程", swept: "已作业",
      stay: "停留", nearest: "最近距离", visited: "已到达", was_there: "到过", points: "点位数", unit_grids: "单元网格数", unobserved: "无数据", fix_accuracy: "定位误差",
      boundary_margin: "边界容差", good: "合格比例", fail: "不合格比例", coverage_grace: "覆盖宽限", point_grace: "点位宽限", radius: "半径", patrol_grace: "巡查宽限",
      off_post_close: "返岗判定", kept: "已遵守", is_working: "作业中", is_near_a_site: "在场站附近", speed_min: "最低作业速度", speed_max: "最高作业速度",
      break_used: "已用休息", sweep_reach: "作业宽度", fixes_beyond: "越界点数", left_at: "离线位置", sight: "可视间隔", hours: "行驶距离", hours_motion: "行驶时间",
      limit: "限速", dwell: "持续时间", margin: "容差", tolerance: "容差", hysteresis: "滞回", sigma: "定位误差", onset: "开始判定",
      off_post: "离岗时间", post_margin: "边界外延", break: "休息时间", late_start: "迟到时间", early_end: "早退时间",
      patrol: "应巡比例", patrol_stay: "停留时间", grace: "宽限时间", silence: "失联时间", moved: "行驶距离", motion: "行驶时间",
      confirm: "确认时间", close: "结束判定", trigger: "触发速度", threshold: "触发速度",
      stop: "停留时间", after: "报警持续", alarm_bit: "报警位",
    },
  },
  en: {
    online: "Online", moving: "Moving", stopped: "Stopped", offline: "Offline",
    cases: "Cases", desk: "Case desk", evidencePack: "Evidence", noCases: "No cases yet", reportedCase: "Reported by hand", description: "Description", noMatch: "No such vehicle", search: "Find plate or terminal", map: "Map",
    legend: "Legend", kind: "Kind", close: "Close", retry: "Retry now", language: "中文",
    connecting: "Connecting", live: "Live", silent: "No new data", waiting: "Disconnected",
    lost: (time) => `Connection lost. The map shows the state of ${time}. Reconnecting…`,
    neverConnected: "No connection yet. Trying again…",
    cityFailed: "Unit grids and fences could not be loaded. Reload the page to try again.",
    noWebgl: "This browser cannot draw the map (it needs WebGL).",
    newCase: (kind, who, rule) => `New case: ${kind}, ${who}, ${rule}`,
    newCases: (n) => `${n} new cases`,
    stay_in: "Left duty area", keep_out: "Entered keep-out zone", speeding: "Speeding",
    route_deviation: "Left route", wrong_order: "Wrong order", missed_point: "Missed point", coverage: "Coverage too low",
    long_stop: "Stopped too long", idling: "Idling", too_fast_to_clean: "Too fast to clean", unloading: "Unloaded outside a site", terminal_alarm: "Terminal alarm",
    fence_stay_in: "Duty area", fence_keep_out: "Keep-out zone", fence_speed_limit: "Speed-limit zone", fence_no_stop: "No-stop zone", fence_site: "Depot, station",
    outside_hours: "Worked outside hours", late_start: "Late start", early_end: "Early end", off_post: "Off post",
    patrol_coverage: "Patrol coverage too low", silence: "Silent on shift", notVisited: "Unit grids not visited",
    unitGrid: "Unit grid", districts: "District boundary", inspector: "Inspector",
    sweeper: "Sweeper", sprinkler: "Sprinkler", refuse_truck: "Refuse truck",
    collected: "Collected", accepted: "Accepted", filed: "Filed", declined: "Declined", dispatched: "Dispatched",
    handled: "Handled", verified: "Verified", closed: "Closed", withdrawn: "Withdrawn",
    vehicle: "Vehicle", phone: "Terminal phone", workKind: "Work kind", fleet: "Fleet", speed: "Speed", heading: "Heading",
    fixedAt: "Fix time", receivedAt: "Received", acc: "Ignition (ACC)", on: "on", off: "off", satellites: "Satellites",
    odometer: "Odometer", altitude: "Altitude", place: "Position", alarm: "Terminal alarm bits", track: "Track, last 2 hours",
    trackPoints: (n, km) => `${n} fixes, ${km} km`, trackNone: "No track", trackFailed: "The track could not be loaded", loading: "Loading…",
    rule: "Rule", version: (n) => `version ${n}`, startedAt: "Started", confirmedAt: "Confirmed", endedAt: "Ended", ongoing: "ongoing",
    duration: "Duration", worst: "Worst", openedAt: "Case opened", stage: "Stage", caseId: "Case id",
    thresholds: "Thresholds", evidence: "Evidence", fixes: (n) => `${n} fixes`, time: "Time", distance: "To boundary",
    inside: "in", outside: "out", unknown: "—", ago: (text) => `${text} ago`, second: "s", minute: "min", hour: "h", day: "d",
    directions: ["N", "NE", "E", "SE", "S", "SW", "W", "NW"],
    why_stay_in: (worst, rule) => `Left “${rule}”, at most ${worst} beyond its boundary.`,
    why_keep_out: (worst, rule) => `Entered “${rule}”, at most ${worst} deep.`,
    why_speeding: (worst, rule) => `Reached ${worst} under the rule “${rule}”.`,
    why_route_deviation: (worst, rule) => `Left the route “${rule}”, at most ${worst} from its line.`,
    why_wrong_order: (_, rule) => `Passed over “${rule}”: a later point was visited first.`,
    why_missed_point: (worst, rule) => `Did not visit “${rule}” in its time; the nearest was ${worst}.`,
    why_coverage: (worst, rule) => `Swept only ${worst} of the route “${rule}”.`,
    why_long_stop: (worst, rule) => `Stood for ${worst}, longer than “${rule}” allows.`,
    why_idling: (worst, rule) => `Stood for ${worst} with the ignition on, longer than “${rule}” allows.`,
    why_too_fast_to_clean: (worst, rule) => `Worked at up to ${worst}, faster than the job allows (“${rule}”).`,
    why_unloading: (worst, rule) => `Unloaded for ${worst} outside every site where that is allowed (“${rule}”).`,
    why_terminal_alarm: (worst, rule) => `The terminal raised the alarm “${rule}” for ${worst}.`,
    why_outside_hours: (worst, rule) => `“${rule}” moved ${worst} outside every shift.`,
    why_late_start: (worst, rule) => `Arrived ${worst} after the beginning of “${rule}”.`,
    why_early_end: (worst, rule) => `Had left ${worst} before the end of “${rule}”.`,
    why_off_post: (worst, rule) => `On shift outside “${rule}”, at most ${worst} away.`,
    why_patrol_coverage: (worst, rule) => `Visited only ${worst} of the unit grids of “${rule}”.`,
    why_silence: (worst, rule) => `Nothing was received for ${worst} on the shift “${rule}”.`,
    askWhy: "Why? Show how it was judged", askWhyNot: "Ask", whyNotTitle: "Why a case, or why none?", moment: "Moment", momentNow: "Without a moment it is now.",
    routes: "Routes", duties: "Duty", workRules: "Rules of work", fences: "Fences", rulesFailed: "The rules could not be loaded",
    explainFailed: "There is no explanation.", explainCut: "Of too many fixes only the newest were used.",
    inForceSince: "In force since", always: "always", ruleWindow: "Window", catalogVersion: "Catalog version", heard: "Judged from", decidingFixes: "Fixes that decided",
    unjudged: "Not judged", clock: "Clock", clockOf: (seen, needed) => `${seen} of ${needed}`, side: "Side", since: "Since", measured: "Measured",
    distanceAway: "Away", accuracy: "Error", fate_suspect: "suspect", fate_dropped: "dropped", fate_placeless: "no place",
    stage_quiet: "Nothing wrong", stage_not_armed: "Not armed", stage_pending: "Pending", stage_open: "Violation", stage_closing: "Closing",
    side_inside: "inside", side_outside: "outside", side_entering: "perhaps entering", side_leaving: "perhaps leaving", side_unknown: "unknown",
    threshold: {
      distance: "Distance", along: "Along the route", length: "Length of the route", travelled: "Driven off it", corridor: "Corridor to each hand", half_width: "Half width", deviation: "Off it for",
      deviation_long: "However far, for", return: "Back on it for", armed: "On it before for", median: "Median speed", limit_that_holds: "Limit that holds", planned: "Planned", swept: "Swept",
      stay: "Stay", nearest: "Nearest", visited: "Visited", was_there: "Was there", points: "Points", unit_grids: "Unit grids", unobserved: "Unobserved", fix_accuracy: "Position error",
      boundary_margin: "Margin of the boundary", good: "Good from", fail: "Fails below", coverage_grace: "Grace", point_grace: "Grace", radius: "Radius", patrol_grace: "Grace",
      off_post_close: "Back for", kept: "Kept for", is_working: "Working", is_near_a_site: "Near a site", speed_min: "Works from", speed_max: "Works up to",
      break_used: "Break used", sweep_reach: "Reach", fixes_beyond: "Fixes beyond", left_at: "Left it at", sight: "Sight", hours: "Moved", hours_motion: "Moving",
      limit: "Limit", dwell: "Dwell", margin: "Margin", tolerance: "Tolerance", hysteresis: "Hysteresis", sigma: "Position error", onset: "Onset",
      off_post: "Absent", post_margin: "Margin of the area", break: "Break", late_start: "Late by", early_end: "Early by",
      patrol: "Share to visit", patrol_stay: "Stay", grace: "Grace", silence: "Silent", moved: "Moved", motion: "Moving",
      confirm: "Confirmation", close: "Closing", trigger: "Trigger", threshold: "Trigger",
      stop: "Stop", after: "Set for", alarm_bit: "Alarm bit",
    },
  },
};
const UNITS = { kmh: "km/h", min: "min", s: "s", m: "m", deg: "°", ratio: "", percent: "%", fixes: "" };
const STORED = "gridtrace.language";

let language = startLanguage();

function startLanguage() {
  const known = (word) => (word === "zh" || word === "en" ? word : null);
  try {
    const kept = known(localStorage.getItem(STORED));
    if (kept) return kept;
  } catch {
    // Storage may be forbidden; the browser's language serves.
  }
  return (navigator.language || "").toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** Words of another page. */
export function addTexts(words) {
  for (const [key, [zh, en]] of Object.entries(words)) {
    TEXTS.zh[key] = zh;
    TEXTS.en[key] = en;
  }
}

/** The text of a key; a word without a text (a kind of a later version) stands for itself. */
export function t(key) {
  return TEXTS[language][key] ?? key;
}

export function currentLanguage() {
  return language;
}

/** Changes to the other language; whoever shows text has to show it again. */
export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  try {
    localStorage.setItem(STORED, language);
  } catch {
    // It holds until the page is closed.
  }
}

/** Puts the texts into the elements that name a key. */
export function translate(root) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of root.querySelectorAll("[data-label]")) element.setAttribute("aria-label", t(element.dataset.label));
  for (const element of root.querySelectorAll("[data-placeholder]")) element.placeholder = t(element.dataset.placeholder);
}

const two = (n) => String(n).padStart(2, "0");

/** Local time of day; with the date when it is another day. */
export function time(text, now = new Date()) {
  const at = text instanceof Date ? text : new Date(text);
  if (Number.isNaN(at.getTime())) return t("unknown");
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const isToday = at.toDateString() === now.toDateString();
  return isToday ? clock : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock}`;
}

export function duration(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  const unit = (n, name) => `${n} ${t(name)}`;
  if (s < 60) return unit(s, "second");
  if (s < 3600) return `${unit(Math.floor(s / 60), "minute")} ${unit(s % 60, "second")}`;
  if (s < 86400) return `${unit(Math.floor(s / 3600), "hour")} ${unit(Math.floor((s % 3600) / 60), "minute")}`;
  return unit(Math.floor(s / 86400), "day");
}

export function number(value, digits = 1) {
  return typeof value === "number" && Number.isFinite(value) ? value.toFixed(digits) : t("unknown");
}

export function quantity(value, unit, digits = 1) {
  const text = number(value, digits);
  return text === t("unknown") ? text : `${text} ${unit}`;
}

export function heading(degrees) {
  return `${t("directions")[Math.round(degrees / 45) % 8]} ${degrees}°`;
}

/** `limit_kmh`, 40 becomes `Limit`, `40 km/h`. */
export function threshold(name, value) {
  const at = name.lastIndexOf("_");
  const suffix = name.slice(at + 1);
  const isUnit = at > 0 && Object.hasOwn(UNITS, suffix);
  const words = isUnit ? name.slice(0, at) : name;
  const label = TEXTS[language].threshold[words] ?? words.replaceAll("_", " ");
  const shown = Number.isInteger(value) ? String(value) : number(value);
  return [label, isUnit ? `${shown} ${UNITS[suffix]}`.trim() : shown];
}

/** `[[name, value], …]` as a list; a value is text, an element, or lines of text. */
export function facts(rows) {
  const list = element("dl", "facts");
  for (const [name, value] of rows) {
    const cell = element("dd");
    if (value instanceof Node) cell.append(value);
    else if (Array.isArray(value)) cell.append(...value.map((line, i) => element("span", i > 0 ? "minor" : "", line)));
    else cell.textContent = String(value);
    list.append(element("dt", "", name), cell);
  }
  return list;
}

/** A new element with this text; data never becomes markup. */
export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}
