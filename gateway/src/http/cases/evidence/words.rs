//! The words of the page for paper, in both languages.

use std::borrow::Cow;

use geofence::{case::clock::Limit, language::Language};

/// What the page says in a language.
pub(super) trait Words: Sized {
    /// What a browser asks for first; a city's paper is Chinese unless it asks for English.
    fn accepted(header: &str) -> Self;

    fn tag(self) -> &'static str;

    /// The word that asks for the other one.
    fn other(self) -> &'static str;

    /// The text of a key; a word of a later version stands for itself.
    fn text(self, key: &str) -> Cow<'_, str>;

    /// What the system itself has remarked; people's own words stay.
    fn remark(self, remark: &str) -> Cow<'_, str>;

    /// `4 work hours`.
    fn limit(self, limit: Limit) -> String;

    /// `limit_kmh`, 40 becomes `Limit`, `40 km/h`.
    fn quantity(self, name: &str, value: f64) -> (String, String);
}

impl Words for Language {
    fn accepted(header: &str) -> Self {
        if header.trim_start().to_ascii_lowercase().starts_with("en") {
            Self::English
        } else {
            Self::Chinese
        }
    }

    fn tag(self) -> &'static str {
        match self {
            Self::Chinese => "zh-CN",
            Self::English => "en",
        }
    }

    fn other(self) -> &'static str {
        match self {
            Self::Chinese => "en",
            Self::English => "zh",
        }
    }

    fn text(self, key: &str) -> Cow<'_, str> {
        word(self, WORDS, key).map_or(Cow::Borrowed(key), Cow::Borrowed)
    }

    fn remark(self, remark: &str) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Chinese => chinese(remark),
            Self::English => remark,
        })
    }

    fn limit(self, limit: Limit) -> String {
        let text = limit.to_string();
        let Self::Chinese = self else {
            return text;
        };
        let (amount, unit) = text.split_once(' ').unwrap_or((&text, ""));
        let unit = unit.strip_suffix('s').unwrap_or(unit);
        format!("{amount} {}", chinese(unit))
    }

    fn quantity(self, name: &str, value: f64) -> (String, String) {
        let unit = name.rsplit_once('_').and_then(|(words, suffix)| {
            let (_, unit) = UNITS.iter().find(|(known, _)| *known == suffix)?;
            Some((words, *unit))
        });
        let (words, unit) = unit.unwrap_or((name, ""));
        let label =
            word(self, MEASURES, words).map_or_else(|| words.replace('_', " "), str::to_owned);
        let shown = if value.fract().abs() < 1e-9 {
            format!("{value:.0}")
        } else {
            format!("{value:.2}")
        };
        (label, format!("{shown} {unit}").trim().to_owned())
    }
}

/// Of what the system says; anything else stays.
fn chinese(english: &str) -> &str {
    let row = CHINESE.iter().find(|(known, _)| *known == english);
    row.map_or(english, |(_, chinese)| chinese)
}

fn word(language: Language, table: &[Row], key: &str) -> Option<&'static str> {
    let (_, chinese, english) = table.iter().find(|(known, ..)| *known == key)?;
    Some(match language {
        Language::Chinese => chinese,
        Language::English => english,
    })
}

/// Key, Chinese, English.
type Row = (&'static str, &'static str, &'static str);

const UNITS: &[(&str, &str)] = &[
    ("kmh", "km/h"),
    ("min", "min"),
    ("s", "s"),
    ("m", "m"),
    ("deg", "°"),
    ("ratio", ""),
    ("percent", "%"),
    ("fixes", ""),
];

const WORDS: &[Row] = &[
    ("title", "案件证据", "Case evidence"),
    ("other", "English", "中文"),
    ("number", "案件编号", "Case number"),
    ("id", "案件标识", "Case id"),
    ("stage", "阶段", "Stage"),
    ("kind", "类型", "Kind"),
    ("category", "案件类别", "Category"),
    ("severity", "紧急程度", "Severity"),
    ("source", "来源", "Source"),
    ("description", "描述", "Description"),
    ("vehicle", "车辆", "Vehicle"),
    ("phone", "终端手机号", "Terminal phone"),
    ("fleet", "车队", "Fleet"),
    ("place", "位置（WGS-84）", "Place (WGS-84)"),
    ("grid", "单元网格", "Unit grid"),
    ("handler", "管辖区域", "Jurisdiction"),
    ("city", "全市", "the city"),
    ("department", "责任部门", "Department"),
    ("occurred_at", "发生时间", "Occurred"),
    ("opened_at", "案件生成", "Opened"),
    ("ended_at", "结束", "Ended"),
    ("forced", "强制结案", "closed by force"),
    ("rework", "返工次数", "Rework"),
    ("deferred", "缓办至", "Put off until"),
    ("merged", "并入", "Merged into"),
    ("split_from", "拆分自", "Split from"),
    ("made_at", "制表时间", "Made"),
    ("times", "时间均为北京时间（GMT+8）", "All times are GMT+8"),
    ("version_of", "第 {} 版", "version {}"),
    ("gone", "已不再保存的数据", "No longer kept"),
    (
        "gone_positions",
        "证据定位点对应的原始位置已过保存期限",
        "stored positions of the fixes below, past their retention; the case keeps its own evidence",
    ),
    (
        "gone_rule",
        "当时生效的规则图形",
        "the shape of the rule as it judged",
    ),
    ("gone_media", "案件所附媒体", "a medium that the case names"),
    ("map", "示意图", "Map"),
    ("legend_track", "轨迹", "Track"),
    (
        "legend_fix",
        "证据定位点（编号见表）",
        "Fixes of the evidence, numbered as below",
    ),
    ("legend_shape", "围栏或路线", "Fence or route"),
    ("legend_place", "案件位置", "Place of the case"),
    ("legend_missed", "未完成路段", "Stretches not swept"),
    ("legend_grid", "未巡查网格", "Unit grids not visited"),
    ("north", "北", "N"),
    ("no_map", "没有位置。", "There is no place."),
    ("track_fixes", "轨迹定位点", "Fixes of the track"),
    (
        "track_cut",
        "定位点过多，只取最新部分",
        "of too many, the newest",
    ),
    ("violation", "违规", "Violation"),
    ("disproved", "已被后续数据推翻", "disproved by later data"),
    ("rule", "规则", "Rule"),
    ("catalog", "目录版本", "Catalog version"),
    ("shape", "图形", "Shape"),
    ("as_judged", "与判定时一致", "as it judged"),
    (
        "other_version",
        "规则版本不同",
        "of another version of the rule",
    ),
    ("none", "无图形", "none"),
    ("shape_gone", "已不存在", "gone"),
    ("started_at", "开始", "Started"),
    ("confirmed_at", "确认", "Confirmed"),
    ("ongoing", "进行中", "ongoing"),
    ("worst", "最严重", "Worst"),
    ("thresholds", "判定阈值", "Thresholds"),
    ("measured", "测得", "Measured"),
    ("fixes", "证据定位点", "Fixes of the evidence"),
    ("time", "时间", "Time"),
    ("lat", "纬度", "Latitude"),
    ("lon", "经度", "Longitude"),
    ("speed", "速度 km/h", "Speed km/h"),
    ("heading", "方向 °", "Heading °"),
    ("distance", "距边界 m", "To boundary m"),
    ("record", "日志记录", "Log record"),
    ("stretches", "未完成路段", "Stretches not swept"),
    ("segment", "路段", "Segment"),
    ("from_m", "起 m", "From m"),
    ("to_m", "止 m", "To m"),
    ("passes", "缺遍数", "Passes lacking"),
    ("state", "状态", "State"),
    ("missed", "未到", "missed"),
    ("too_fast", "过快", "too fast"),
    ("idle", "未作业", "not at work"),
    ("unobserved", "无数据", "unobserved"),
    ("grids", "未巡查的单元网格", "Unit grids not visited"),
    ("explanation", "判定说明", "How it was judged"),
    ("no_explanation", "没有重新判定：", "Not judged once more: "),
    ("reported", "案件由人上报", "a person reported the case"),
    (
        "positions_gone",
        "原始位置已过保存期限",
        "the positions are past their retention",
    ),
    (
        "rule_gone",
        "目录中已无此规则",
        "the catalog has no such rule any more",
    ),
    ("unreadable", "无法写出", "it cannot be written"),
    ("photos", "图像与媒体", "Pictures and media"),
    ("named", "案件所附", "named by the case"),
    (
        "near",
        "同一时段由终端上传",
        "sent by the terminal around that time",
    ),
    ("clocks", "计时", "Clocks"),
    ("clock", "计时", "Clock"),
    ("limit", "时限", "Limit"),
    ("due", "到期", "Due"),
    ("used", "已用", "Used"),
    ("left", "剩余", "Left"),
    ("late", "超期", "overdue"),
    ("running", "计时中", "running"),
    ("stopped", "已停止", "stopped"),
    ("waiting", "暂停", "stands still"),
    ("history", "办理经过", "History"),
    ("move", "操作", "Move"),
    ("who", "经办人", "Who"),
    ("remark", "意见", "Remark"),
    ("link", "固定链接", "Stable link"),
    ("telemetry", "自动检测", "telemetry"),
    ("citizen", "公众", "citizen"),
    ("manual", "人工", "by hand"),
    ("inspector", "监督员", "inspector"),
    ("operator", "受理员", "operator"),
    ("dispatcher", "派遣员", "dispatcher"),
    ("leader", "值班长", "leader"),
    ("system", "系统", "system"),
    ("low", "低", "low"),
    ("normal", "一般", "normal"),
    ("high", "高", "high"),
    ("urgent", "紧急", "urgent"),
    ("filing", "立案", "filing"),
    ("dispatch", "派遣", "dispatch"),
    ("handling", "处置", "handling"),
    ("checking", "核查", "checking"),
    ("closing", "结案", "closing"),
    ("total", "总时限", "total"),
    ("open", "上报", "open"),
    ("accept", "受理", "accept"),
    ("file", "立案", "file"),
    ("decline", "不予立案", "decline"),
    ("return", "退回", "return"),
    ("handle", "处置", "handle"),
    ("verify_pass", "核查通过", "check passed"),
    ("verify_fail", "返工", "check failed"),
    ("close", "结案", "close"),
    ("force_close", "强制结案", "close by force"),
    ("withdraw", "撤销", "withdraw"),
    ("reopen", "重新办理", "reopen"),
    ("hand_over", "移交", "hand over"),
    ("extend", "延期", "extend"),
    ("defer", "缓办", "defer"),
    ("resume", "恢复", "resume"),
    ("merge", "合并", "merge"),
    ("absorb", "并案", "absorb"),
    ("split", "拆分", "split"),
    ("note", "备注", "note"),
    ("amend", "更正", "amend"),
    ("find_again", "再次确认", "found again"),
    ("warn", "预警", "warning"),
    ("overdue", "超期", "overdue"),
    ("stay_in", "离开责任区", "Left duty area"),
    ("keep_out", "闯入禁区", "Entered keep-out zone"),
    ("speeding", "超速行驶", "Speeding"),
    ("route_deviation", "偏离路线", "Left route"),
    ("wrong_order", "收运顺序错误", "Wrong order"),
    ("missed_point", "漏收点位", "Missed point"),
    ("coverage", "作业覆盖率不足", "Coverage too low"),
    ("long_stop", "超时停留", "Stopped too long"),
    ("idling", "怠速停留", "Idling"),
    ("too_fast_to_clean", "作业超速", "Too fast to clean"),
    ("unloading", "场外倾倒", "Unloaded outside a site"),
    ("terminal_alarm", "终端报警", "Terminal alarm"),
    ("outside_hours", "非作业时段作业", "Worked outside hours"),
    ("late_start", "迟到", "Late start"),
    ("early_end", "早退", "Early end"),
    ("off_post", "脱岗", "Off post"),
    (
        "patrol_coverage",
        "巡查覆盖率不足",
        "Patrol coverage too low",
    ),
    ("silence", "值班失联", "Silent on shift"),
    ("collected", "信息收集", "Collected"),
    ("accepted", "受理", "Accepted"),
    ("filed", "立案", "Filed"),
    ("declined", "不予立案", "Declined"),
    ("dispatched", "派遣", "Dispatched"),
    ("handled", "处置", "Handled"),
    ("verified", "核查", "Verified"),
    ("closed", "结案", "Closed"),
    ("withdrawn", "撤销", "Withdrawn"),
];

/// What the system itself says in English: remarks, how details begin, units of limits.
const CHINESE: &[(&str, &str)] = &[
    ("found", "自动发现"),
    ("found again", "再次确认"),
    ("disproved by later data", "已被后续数据推翻"),
    ("amended by later data", "按后续数据更正"),
    ("joined by later data", "后续数据表明属同一事件"),
    (
        "later data joins it with another case; a person has acted on the younger one",
        "后续数据表明与另一案件属同一事件；较新案件已有人办理，不自动合并",
    ),
    ("one more interval", "同一案件再次发生"),
    ("by policy", "按规定自动办理"),
    ("the time has come", "缓办期满"),
    ("violation", "违规"),
    ("case", "案件"),
    ("minute", "分钟"),
    ("hour", "小时"),
    ("day", "天"),
    ("work minute", "工作分钟"),
    ("work hour", "工作小时"),
    ("work day", "个工作日"),
    ("work day minute", "工作日分钟"),
];

/// Thresholds and measures, without their units.
const MEASURES: &[Row] = &[
    ("distance", "距离", "Distance"),
    ("along", "沿线位置", "Along the route"),
    ("length", "路线长度", "Length of the route"),
    ("travelled", "偏离行程", "Driven off it"),
    ("corridor", "走廊半宽", "Corridor to each hand"),
    ("half_width", "设定半宽", "Half width"),
    ("deviation", "偏离判定", "Off it for"),
    ("deviation_long", "长时间偏离", "However far, for"),
    ("return", "返回判定", "Back on it for"),
    ("armed", "入线判定", "On it before for"),
    ("median", "速度中值", "Median speed"),
    ("limit_that_holds", "适用限速", "Limit that holds"),
    ("planned", "计划里程", "Planned"),
    ("swept", "已作业", "Swept"),
    ("stay", "停留", "Stay"),
    ("nearest", "最近距离", "Nearest"),
    ("visited", "已到达", "Visited"),
    ("was_there", "到过", "Was there"),
    ("points", "点位数", "Points"),
    ("unit_grids", "单元网格数", "Unit grids"),
    ("unobserved", "无数据", "Unobserved"),
    ("fix_accuracy", "定位误差", "Position error"),
    ("boundary_margin", "边界容差", "Margin of the boundary"),
    ("good", "合格比例", "Good from"),
    ("fail", "不合格比例", "Fails below"),
    ("coverage_grace", "覆盖宽限", "Grace"),
    ("point_grace", "点位宽限", "Grace"),
    ("radius", "半径", "Radius"),
    ("patrol_grace", "巡查宽限", "Grace"),
    ("off_post_close", "返岗判定", "Back for"),
    ("kept", "已遵守", "Kept for"),
    ("is_working", "作业中", "Working"),
    ("is_near_a_site", "在场站附近", "Near a site"),
    ("speed_min", "最低作业速度", "Works from"),
    ("speed_max", "最高作业速度", "Works up to"),
    ("break_used", "已用休息", "Break used"),
    ("sweep_reach", "作业宽度", "Reach"),
    ("fixes_beyond", "越界点数", "Fixes beyond"),
    ("left_at", "离线位置", "Left it at"),
    ("sight", "可视间隔", "Sight"),
    ("hours", "行驶距离", "Moved"),
    ("hours_motion", "行驶时间", "Moving"),
    ("limit", "限速", "Limit"),
    ("dwell", "持续时间", "Dwell"),
    ("margin", "容差", "Margin"),
    ("tolerance", "容差", "Tolerance"),
    ("hysteresis", "滞回", "Hysteresis"),
    ("sigma", "定位误差", "Position error"),
    ("onset", "开始判定", "Onset"),
    ("off_post", "离岗时间", "Absent"),
    ("post_margin", "边界外延", "Margin of the area"),
    ("break", "休息时间", "Break"),
    ("late_start", "迟到时间", "Late by"),
    ("early_end", "早退时间", "Early by"),
    ("patrol", "应巡比例", "Share to visit"),
    ("patrol_stay", "停留时间", "Stay"),
    ("grace", "宽限时间", "Grace"),
    ("silence", "失联时间", "Silent"),
    ("moved", "行驶距离", "Moved"),
    ("motion", "行驶时间", "Moving"),
    ("confirm", "确认时间", "Confirmation"),
    ("close", "结束判定", "Closing"),
    ("trigger", "触发速度", "Trigger"),
    ("threshold", "触发速度", "Trigger"),
    ("stop", "停留时间", "Stop"),
    ("after", "报警持续", "Set for"),
    ("alarm_bit", "报警位", "Alarm bit"),
];

#[cfg(test)]
mod tests {
    use geofence::{
        case::{
            Severity, Source, Stage,
            clock::ClockKind,
            moves::{Move, Role},
        },
        violation::ViolationKind,
    };

    use super::*;

    #[test]
    fn every_word_of_a_case_has_both_languages() {
        let stages = Stage::ALL.iter().map(|one| one.as_str());
        let kinds = ViolationKind::ALL.iter().map(|one| one.as_str());
        let moves = Move::ALL.iter().map(|one| one.as_str());
        let roles = Role::ALL.iter().map(|one| one.as_str());
        let clocks = ClockKind::ALL.iter().map(|one| one.as_str());
        let rest = Severity::ALL.iter().map(|one| one.as_str());
        let sources = Source::ALL.iter().map(|one| one.as_str());
        let all = stages.chain(kinds).chain(moves).chain(roles);
        for word in all.chain(clocks).chain(rest).chain(sources) {
            for language in Language::ALL {
                assert!(
                    super::word(language, WORDS, word).is_some(),
                    "{word}: {language:?}"
                );
            }
        }
    }

    #[test]
    fn no_key_is_there_twice() {
        let keys = |table: &[Row]| table.iter().map(|(key, ..)| *key).collect();
        let of_system = CHINESE.iter().map(|(key, _)| *key).collect();
        let tables: [Vec<&str>; 3] = [keys(WORDS), keys(MEASURES), of_system];
        for mut keys in tables {
            let count = keys.len();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), count);
        }
    }

    #[test]
    fn a_limit_is_told_in_the_language_of_the_page() {
        let limit = |text: &str| {
            let limit: Limit = text.parse().unwrap();
            Language::ALL.map(|language| language.limit(limit))
        };
        for text in ["4 work hours", "1 work day", "90 minutes", "2 days"] {
            let [chinese, english] = limit(text);
            assert_eq!(english, text);
            assert!(
                !chinese.contains(|c: char| c.is_ascii_alphabetic()),
                "{chinese}"
            );
        }
        assert_eq!(limit("4 work hours")[0], "4 工作小时");
        assert_eq!(limit("1 work day")[0], "1 个工作日");
    }

    #[test]
    fn a_threshold_has_its_unit_behind_it() {
        let quantity = |name, value| Language::English.quantity(name, value);
        assert_eq!(
            quantity("limit_kmh", 40.0),
            ("Limit".to_owned(), "40 km/h".to_owned())
        );
        assert_eq!(
            quantity("new_thing", 0.25),
            ("new thing".to_owned(), "0.25".to_owned())
        );
    }
}
