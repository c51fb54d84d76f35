// The words of the case desk: key, Chinese, English.

import { addTexts } from "./text.js";

addTexts({
  whoActs: ["经办人", "Who acts"], actor: ["姓名", "Name"], role: ["岗位", "Part"], scope: ["管辖代码", "Jurisdiction"],
  wholeCity: ["全市", "whole city"], codePrefix: ["代码前缀", "code prefix"], jurisdiction: ["区域", "Area"], sort: ["排序", "Order"],
  onlyOverdue: ["仅超期", "Overdue only"], sort_opened: ["最新生成", "Newest"], sort_changed: ["最近变动", "Last changed"], sort_due: ["最先到期", "Due first"],
  anyStage: ["全部阶段", "All stages"], anyKind: ["全部类型", "All kinds"], caseNumber: ["案件编号", "Case"], about: ["内容", "About"],
  department: ["责任部门", "Department"], due: ["到期", "Due"], noSuchCases: ["没有符合条件的案件", "No such cases"], more: ["更多", "More"],
  chooseCase: ["请选择案件。", "Choose a case."], listFailed: ["列表加载失败：", "The list could not be loaded: "], caseFailed: ["案件加载失败：", "The case could not be loaded: "],
  needsActor: ["请先填写姓名。", "First say who you are: your name is missing."],
  late: ["超期", "Overdue"], handler: ["管辖区域", "Handled by"], city: ["全市", "the city"], category: ["类别", "Category"], severity: ["紧急程度", "Severity"], source: ["来源", "Source"],
  low: ["低", "low"], normal: ["一般", "normal"], high: ["高", "high"], urgent: ["紧急", "urgent"],
  telemetry: ["自动检测", "telemetry"], citizen: ["公众", "citizen"], manual: ["人工", "by hand"],
  clocks: ["计时", "Clocks"], left: ["剩余", "left"], over: ["已超", "over"], used: ["已用", "used"], stopped_clock: ["已停止", "stopped"], waiting_clock: ["暂停", "stands still"],
  clock_filing: ["立案", "Filing"], clock_dispatch: ["派遣", "Dispatch"], clock_handling: ["处置", "Handling"], clock_checking: ["核查", "Checking"], clock_closing: ["结案", "Closing"], clock_total: ["总时限", "Total"],
  moves: ["可办理的操作", "What may be done"], noMoves: ["此岗位目前没有可办理的操作。", "Nothing may be done now in this part."], history: ["办理经过", "History"],
  deliveries: ["推送状态", "Deliveries"], noDeliveries: ["没有推送。", "Nothing was sent anywhere."], deliveriesFailed: ["推送状态不可用。", "The deliveries are not known."],
  resend: ["重新发送", "Send again"], attempts: ["次尝试", "attempts"], theirNumber: ["对方编号", "Their number"],
  delivery_pending: ["等待发送", "pending"], delivery_delivered: ["已送达", "delivered"], delivery_superseded: ["已由后续消息代替", "superseded"], delivery_dead: ["发送失败", "dead letter"],
  send: ["确定", "Do it"], cancel: ["取消", "Cancel"], remark: ["意见", "Remark"], minutes: ["延长分钟数", "Minutes more"], until: ["至", "Until"], into: ["并入案件标识", "Into the case (id)"],
  targetJurisdiction: ["移交至（代码，空为全市）", "To the jurisdiction (code; empty is the city)"], violations: ["拆出的违规", "Violations to take out"], keepIt: ["不变", "as it is"],
  done: ["已办理。", "Done."], moveFailed: ["未能办理：", "Not done: "], noAnswer: ["没有响应。", "There was no answer."],
  conflict: ["案件已被他人办理，现为下面的状态。请核对后再操作。", "Somebody has moved the case meanwhile: below is how it stands now. Look again before you act."],
  putOff: ["缓办至", "Put off until"], evidenceJson: ["JSON", "JSON"], trackFile: ["轨迹 GeoJSON", "Track GeoJSON"],
  role_inspector: ["监督员", "Inspector"], role_operator: ["受理员", "Operator"], role_dispatcher: ["派遣员", "Dispatcher"], role_department: ["专业部门", "Department"], role_leader: ["值班长", "Leader"], role_system: ["系统", "System"],
  move_open: ["上报", "Opened"], move_accept: ["受理", "Accept"], move_file: ["立案", "File"], move_decline: ["不予立案", "Decline"], move_dispatch: ["派遣", "Dispatch"], move_return: ["退回", "Return"],
  move_handle: ["处置完成", "Handled"], move_verify_pass: ["核查通过", "Check passed"], move_verify_fail: ["返工", "Check failed"], move_close: ["结案", "Close"], move_force_close: ["强制结案", "Close by force"],
  move_withdraw: ["撤销", "Withdraw"], move_reopen: ["重新办理", "Reopen"], move_hand_over: ["移交", "Hand over"], move_extend: ["延期", "Extend"], move_defer: ["缓办", "Put off"], move_resume: ["恢复", "Resume"],
  move_merge: ["合并", "Merge"], move_absorb: ["并案", "Absorb"], move_split: ["拆分", "Split"], move_note: ["备注", "Note"], move_amend: ["更正", "Amended"], move_find_again: ["再次确认", "Found again"],
  move_warn: ["预警", "Warning"], move_overdue: ["超期", "Overdue"],
});
