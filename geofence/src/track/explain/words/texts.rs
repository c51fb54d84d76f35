//! The words of explanations as data: each text in English and in Chinese, with places by name.

use crate::language::Language;

/// One text; `{name}` is a place to be filled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    pub(super) english: &'static str,
    pub(super) chinese: &'static str,
}

impl Text {
    pub(super) const fn of(self, language: Language) -> &'static str {
        match language {
            Language::English => self.english,
            Language::Chinese => self.chinese,
        }
    }

    /// The text with its places filled. What is filled in is not looked at again.
    pub(super) fn fill(self, language: Language, places: &[(&str, &str)]) -> String {
        let mut filled = String::new();
        let mut rest = self.of(language);
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let (name, behind) = after.split_once('}').unwrap_or((after, ""));
            let place = places.iter().find(|(known, _)| *known == name);
            filled.push_str(place.map_or("?", |(_, value)| *value));
            rest = behind;
        }
        filled.push_str(rest);
        filled
    }
}

macro_rules! texts {
    ($($name:ident: $english:literal, $chinese:literal;)*) => {
        $(pub(super) const $name: Text = Text { english: $english, chinese: $chinese };)*

        #[cfg(test)]
        const ALL: &[(&str, Text)] = &[$((stringify!($name), $name)),*];
    };
}

texts! {
    NOTHING_ASKED: "The rule asks for nothing by itself.", "规则本身不要求任何检查。";

    // Whom and what it is about.
    THIS_TERMINAL: "this terminal", "此终端";
    VEHICLE: "vehicle {id}", "车辆 {id}";
    FORM_FENCE: "fence", "围栏";
    FORM_ROUTE: "route", "路线";
    FORM_RULE: "rule", "规则";
    FORM_SHIFT: "shift", "班次";
    FORM_HOURS: "hours", "作业时段";
    FORM_VEHICLE: "vehicle", "车辆限速";
    INSIDE: "inside", "内";
    OUTSIDE: "outside", "外";
    ENTERING: "entering", "驶入";
    LEAVING: "leaving", "驶出";

    // Why a check says nothing.
    NOT_CONCERNED: "The {what} does not concern {who}.", "{what}不适用于{who}。";
    OUTSIDE_HOURS: "The {what} does not hold at this moment: it is outside its windows.",
        "此刻不在{what}的有效时段内。";
    OTHER_LIMIT: "Another limit goes before this one: {kmh} km/h.", "另一项限速优先：{kmh} km/h。";
    OTHER_RULE: "Another rule goes before this one.", "另一条规则优先。";
    OTHER_SHIFT: "At this moment {who} is on another shift, or has another duty area.",
        "此刻{who}在另一个班次，或责任区不同。";
    NO_VEHICLE: "No vehicle of the catalog carries the terminal.", "目录中没有车辆装有此终端。";
    NO_ASSIGNMENT: "No assignment concerns {who}.", "{who}没有排班。";
    OFF_SHIFT: "No shift of {who} holds at this moment.", "此刻{who}没有班次。";
    ON_SHIFT: "A shift holds at this moment, and the rule is about the time outside.",
        "此刻当班，而规则只管班次之外的时间。";
    NOT_ASKED: "The {what} does not ask for this check.", "{what}不要求这项检查。";
    NO_DUTY_AREA: "The assignment names no duty area.", "排班没有指定责任区。";
    NO_UNIT_GRIDS: "The duty area has no unit grids to visit.", "责任区没有需要巡查的单元网格。";
    TOO_NEW: "The {what} is newer than what it would judge.", "{what}的生效时间晚于所要判定的内容。";
    NEVER_HEARD: "No usable fix is known from before this moment.", "此刻之前没有可用的定位点。";
    LOST: "Nothing was received for so long that {who} is not expected any more.",
        "太久没有收到数据，不再等待{who}。";
    UNOBSERVED: "Nothing usable was received: clocks stand still, and nothing opens.",
        "没有收到可用的数据：计时暂停，不产生违规。";
    UNOBSERVED_FOR: "Nothing usable was received for {silent}: clocks stand still, and nothing opens.",
        "已有 {silent}没有收到可用的数据：计时暂停，不产生违规。";
    AT_THE_END: "It is decided at the end, not at this moment.", "到结束时才判定，此刻不判定。";

    // What the state machine says.
    IS_OPEN: "A violation has been open: it began {span} before this moment.",
        "违规正在进行：开始于此刻之前 {span}。";
    IS_CLOSING: "A violation has been open: it began {span} before this moment; it seems to be ending, which is not sure yet.",
        "违规正在进行：开始于此刻之前 {span}；似乎即将结束，尚未确定。";
    SWEPT: "Swept so far: {swept} of {planned}.", "已作业 {swept}，计划 {planned}。";
    VISITED: "Visited: {visited} of {all}.", "应到 {all} 处，已到 {visited} 处。";
    STAYED: "Stayed for {span} of {needed}.", "已停留 {span}，需要 {needed}。";
    NEAR_A_SITE: "The vehicle stands so near to a site that it may be in it: the stop is not counted.",
        "车辆停在场站附近，可能就在场站内：不计停留。";
    NOTHING_COUNTED: "Nothing is wrong, and nothing is being counted.", "没有违反，也没有计时。";
    COUNTED_OF: "{what} for {span}; {needed} make a violation.", "{what} {span}；满 {needed}即构成违规。";
    COUNTED: "{what} for {span} so far.", "{what} {span}，还在继续。";

    // What is counted, before how long.
    NO_REPORT: "No location report was received", "没有收到位置汇报已";
    SEEN_SINCE_BEGIN: "Seen outside the duty area since the shift began,", "班次开始后在责任区外已";
    GONE: "Gone from the duty area", "离开责任区已";
    SEEN_OUTSIDE: "Seen outside the duty area", "在责任区外已";
    MOVED: "Moved", "已行驶";
    STOOD: "Stood", "已停留";
    UNLOADING: "Unloading", "卸料已";
    ALARM_SET: "The alarm was set", "报警已持续";
    OBSERVED: "Observed {side}", "在边界{side}已";
    TOO_FAST: "At {median} km/h, too fast", "以 {median} km/h 超速行驶已";
    ABOVE: "At {median} km/h, above {threshold} km/h (the limit of {limit} and its margin),",
        "以 {median} km/h 行驶，高于 {threshold} km/h（限速 {limit} 加容差），已";

    // On which side of a boundary.
    FOUND_WRONG: "The vehicle was found {side} and was not seen to cross the boundary: nothing opens until it was seen on the other side. ({distance} from the boundary.)",
        "首次看到车辆时已在边界{side}，没有看到它越过边界：在另一侧看到它之前不产生违规。（距边界{distance}。）";
    SEEMS_TO_BE: "The vehicle seems to be {side}, which is not sure yet: two fixes and {confirm} s beyond {margin} m are asked for. ({distance} from the boundary.)",
        "车辆似乎正在{side}，尚未确定：需要两个定位点，并越过边界 {margin} 米满 {confirm} 秒。（距边界{distance}。）";
    SIDE_UNSURE: "It is not sure on which side the vehicle is: {distance} from the boundary, {margin} m are asked for.",
        "不能确定车辆在哪一侧：距边界{distance}，需要 {margin} 米。";
    SIDE_RIGHT: "The vehicle is {side}, {distance} from the boundary: nothing is wrong.",
        "车辆在边界{side}，距边界{distance}：没有违反。";
    SIDE_MOVING: "The vehicle is {side}, {distance} from the boundary: nothing is wrong.",
        "车辆正在{side}，距边界{distance}：没有违反。";

    // Speeds.
    NO_SPEED: "No speed is known.", "速度未知。";
    LIMIT_OUTSIDE: "The vehicle is outside the fence, {distance} from its boundary: its limit does not hold there.",
        "车辆在围栏外，距边界{distance}：限速在那里不适用。";
    NOT_ABOVE: "The median of the last speeds, {median} km/h, is not above {threshold} km/h: the limit of {limit} and its margin.",
        "最近速度的中值 {median} km/h 不高于 {threshold} km/h（限速 {limit} 加容差）。";

    // Routes.
    NOT_ON_ROUTE: "The vehicle has not been on the route for long enough to leave it. ({distance} from its line.)",
        "车辆在路线上的时间还不够长，不能算偏离。（距路线{distance}。）";
    OFF_ROUTE: "Off the corridor for {span}, {travelled} driven; {needed_s} s and {needed_m} m make a violation, or {long_s} s. ({distance} from the line.)",
        "驶出走廊已 {span}，行驶 {travelled}；满 {needed_s} 秒且 {needed_m} 米，或满 {long_s} 秒即构成违规。（距路线{distance}。）";
    ON_ROUTE: "The vehicle is on the route, {distance} from its line.", "车辆在路线上，距路线{distance}。";

    // Quantities.
    METRES: "{number} m", " {number} 米";
    UNKNOWN_DISTANCE: "at an unknown distance", "未知";
    SECONDS: "{s} s", "{s} 秒";
    MINUTES: "{min} min", "{min} 分钟";
    HOURS: "{h} h {min} min", "{h} 小时 {min} 分钟";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<&str> {
        let parts = text.split('{').skip(1);
        let mut names: Vec<_> = parts.map(|part| part.split_once('}').unwrap().0).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn both_languages_tell_the_same_places() {
        for (name, text) in ALL {
            assert_eq!(places(text.english), places(text.chinese), "{name}");
            let is_han = |letter: char| ('\u{4e00}'..='\u{9fff}').contains(&letter);
            assert!(text.chinese.contains(is_han), "{name}");
            assert!(text.english.is_ascii(), "{name}");
        }
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let told = NOT_CONCERNED.fill(Language::Chinese, &[("what", "围栏"), ("who", "{what} {x")]);
        assert_eq!(told, "围栏不适用于{what} {x。");
    }
}
