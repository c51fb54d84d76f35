//! The case on paper: A4, both languages, everything escaped by the template.

use std::collections::BTreeMap;

use geofence::{
    case::{Case, Interval, clock::Clock, desk::CaseChange, moves::Role},
    language::Language,
    units::{Latitude, Longitude, Timestamp},
    violation::{EvidenceFix, Stretch, StretchState},
};
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use super::{Gone, Links, Pack, Picture, drawing, shape::ShapeState, words::Words as _};
use crate::{
    Gateway,
    clock::rfc3339,
    http::{
        media::is_shown,
        view::{Subject, hex},
    },
};

/// Paper is read where the city is.
const LOCAL_MS: i64 = 8 * 3_600_000;

/// A page and what it is written from.
#[derive(Clone, Copy)]
struct Writer<'a> {
    pack: &'a Pack,
    gateway: &'a Gateway,
    language: Language,
}

/// The page whole.
pub(super) fn page(pack: &Pack, gateway: &Gateway, language: Language) -> Markup {
    let writer = Writer {
        pack,
        gateway,
        language,
    };
    let links = Links::of(pack.case.id);
    let number = pack.case.number();
    let title = format!("{} {number}", writer.text("title"));
    html! {
        (DOCTYPE)
        html lang=(language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/assets/print.css";
            }
            body {
                nav {
                    a href=(format!("?lang={}", language.other())) { (writer.text("other")) }
                    a href=(links.document) { "JSON" }
                    a href=(links.track) { "GeoJSON" }
                }
                header {
                    p.city { (gateway.catalog.name()) }
                    h1 { (writer.text("title")) }
                    p.number { (writer.text("number")) " " (number) }
                }
                (writer.gone())
                (writer.facts())
                section.picture {
                    h2 { (writer.text("map")) }
                    @match drawing::drawing(pack, gateway, language) {
                        Some(map) => (map),
                        None => p { (writer.text("no_map")) },
                    }
                    (writer.track())
                }
                @let first = |index: usize| {
                    let before = pack.case.intervals.iter().take(index);
                    before.map(|interval| interval.violation.evidence.fixes.len()).sum::<usize>()
                };
                @for (index, interval) in pack.case.intervals.iter().enumerate() {
                    (writer.interval(index, interval, first(index)))
                }
                (writer.explanation())
                (writer.pictures())
                (writer.clocks())
                (writer.history())
                footer {
                    p { (writer.text("link")) " " (links.document) }
                    p { (writer.text("made_at")) " " (local(pack.made_at)) " · " (writer.text("times")) }
                }
            }
        }
    }
}

impl<'a> Writer<'a> {
    fn text(self, key: &str) -> String {
        self.language.text(key).into_owned()
    }

    fn gone(self) -> Markup {
        let line = |gone: &Gone| {
            html! {
                li {
                    (self.text(&format!("gone_{}", gone.what)))
                    @if gone.name.is_empty() { " (" (gone.missing) " / " (gone.of) ")" }
                    @else { ": " (gone.name) }
                }
            }
        };
        html! {
            @if !self.pack.gone.is_empty() {
                section.gone {
                    h2 { (self.text("gone")) }
                    ul { @for one in &self.pack.gone { (line(one)) } }
                }
            }
        }
    }

    fn facts(self) -> Markup {
        let case = &self.pack.case;
        let subject = case.terminal;
        let subject = subject.map(|terminal| Subject::of(terminal, &self.gateway.catalog));
        let mut rows: Vec<(&str, String)> =
            vec![("id", case.id.to_string()), ("stage", self.stage(case))];
        if let Some(kind) = case.kind() {
            rows.push(("kind", self.text(kind.as_str())));
        }
        rows.push(("category", self.category(&case.category)));
        rows.push(("severity", self.text(case.severity.as_str())));
        rows.push(("source", self.text(case.source.as_str())));
        rows.push(("description", case.description.clone()));
        if let Some(subject) = subject {
            let known = [subject.plate, subject.vehicle];
            let known: Vec<String> = known.into_iter().flatten().collect();
            rows.push(("vehicle", known.join(" · ")));
            rows.push(("phone", subject.phone));
            rows.push(("fleet", subject.fleet.unwrap_or_default()));
        }
        if let Some(place) = case.place {
            rows.push(("place", degrees(place.latitude, place.longitude)));
        }
        rows.push(("grid", case.unit_grid.clone().unwrap_or_default()));
        let handler = Some(case.handler.clone()).filter(|code| !code.is_empty());
        rows.push(("handler", handler.unwrap_or_else(|| self.text("city"))));
        rows.push(("department", case.department.clone().unwrap_or_default()));
        rows.push(("occurred_at", local(case.occurred_at)));
        rows.push(("opened_at", local(case.opened_at)));
        rows.push(("ended_at", case.ended_at.map(local).unwrap_or_default()));
        rows.push((
            "deferred",
            case.deferred_until.map(local).unwrap_or_default(),
        ));
        let rework = (case.rework > 0).then(|| case.rework.to_string());
        rows.push(("rework", rework.unwrap_or_default()));
        let name = |id: Option<_>| {
            id.map_or_else(String::new, |id: geofence::identity::CaseId| id.to_string())
        };
        rows.push(("merged", name(case.merged_into)));
        rows.push(("split_from", name(case.split_from)));
        rows.retain(|(_, value)| !value.is_empty());
        html! { dl.facts { @for (key, value) in rows { dt { (self.text(key)) } dd { (value) } } } }
    }

    fn stage(self, case: &Case) -> String {
        let stage = self.text(case.stage.as_str());
        if case.is_forced {
            format!("{stage} ({})", self.text("forced"))
        } else {
            stage
        }
    }

    fn category(self, code: &str) -> String {
        let named = self.pack.desk.policy.categories().get(code);
        named.map_or_else(
            || code.to_owned(),
            |category| format!("{code} {}", category.name),
        )
    }

    fn track(self) -> Markup {
        let track = &self.pack.track;
        html! {
            p.minor {
                (self.text("track_fixes")) ": " (track.positions.len())
                @if track.is_cut { " (" (self.text("track_cut")) ")" }
                " · " (local(track.from)) " – " (local(track.to))
            }
        }
    }

    /// Fixes are numbered on through the case, as in the drawing.
    fn interval(self, index: usize, interval: &Interval, fixes_before: usize) -> Markup {
        let violation = &interval.violation;
        let evidence = &violation.evidence;
        let rule =
            self.pack.rules.iter().find(|rule| {
                rule.id == violation.rule.id && rule.version == violation.rule.version
            });
        let ended = violation.ended_at.map(local);
        let worst = format!("{:.1} {}", violation.worst, violation.kind.worst_unit());
        html! {
            section.violation {
                h2 {
                    (self.text("violation")) " " (index + 1) ": " (self.text(violation.kind.as_str()))
                    @if !interval.stands { " – " (self.text("disproved")) }
                }
                dl.facts {
                    dt { (self.text("rule")) }
                    dd {
                        (violation.rule.name) " (" (violation.rule.id) ", "
                        (self.text("version_of").replace("{}", &violation.rule.version.to_string())) ")"
                    }
                    @if let Some(rule) = rule {
                        dt { (self.text("catalog")) } dd { (rule.catalog_version) }
                        dt { (self.text("shape")) } dd { (self.shape_state(rule.state)) }
                    }
                    dt { (self.text("started_at")) } dd { (local(violation.started_at)) }
                    dt { (self.text("confirmed_at")) } dd { (local(violation.confirmed_at)) }
                    dt { (self.text("ended_at")) }
                    dd { (ended.unwrap_or_else(|| self.text("ongoing"))) }
                    dt { (self.text("worst")) } dd { (worst) }
                }
                div.pair {
                    (self.quantities("thresholds", &evidence.thresholds))
                    (self.quantities("measured", &evidence.measured))
                }
                @if !evidence.fixes.is_empty() { (self.fixes(&evidence.fixes, fixes_before)) }
                @if !evidence.stretches.is_empty() { (self.stretches(&evidence.stretches)) }
                @if !evidence.unit_grids.is_empty() {
                    h3 { (self.text("grids")) }
                    p { (evidence.unit_grids.join(" · ")) }
                }
            }
        }
    }

    fn shape_state(self, state: ShapeState) -> String {
        match state {
            ShapeState::Gone => self.text("shape_gone"),
            other => self.text(other.as_str()),
        }
    }

    fn quantities(self, title: &str, all: &BTreeMap<String, f64>) -> Markup {
        html! {
            @if !all.is_empty() {
                div {
                    h3 { (self.text(title)) }
                    table {
                        @for (name, value) in all {
                            @let (label, value) = self.language.quantity(name, *value);
                            tr { th scope="row" { (label) } td { (value) } }
                        }
                    }
                }
            }
        }
    }

    fn head(self, keys: &[&str]) -> Markup {
        html! { thead { tr { @for key in keys { th scope="col" { (self.text(key)) } } } } }
    }

    fn fixes(self, fixes: &[EvidenceFix], before: usize) -> Markup {
        let keys = [
            "#", "time", "lat", "lon", "speed", "heading", "distance", "record",
        ];
        html! {
            h3 { (self.text("fixes")) }
            table.wide {
                (self.head(&keys))
                tbody {
                    @for (number, fix) in (before + 1..).zip(fixes) {
                        tr {
                            td { (number) }
                            td { (local(fix.fixed_at)) }
                            td { (format!("{:.6}", fix.latitude.degrees())) }
                            td { (format!("{:.6}", fix.longitude.degrees())) }
                            td { (format!("{:.1}", f64::from(fix.speed_dkmh) / 10.0)) }
                            td { (fix.heading_deg) }
                            td { (fix.distance_m.map(|m| format!("{m:.1}")).unwrap_or_default()) }
                            td { (fix.log_offset) }
                        }
                    }
                }
            }
        }
    }

    fn stretches(self, stretches: &[Stretch]) -> Markup {
        let keys = ["segment", "from_m", "to_m", "passes", "state"];
        let state = |state: StretchState| match state {
            StretchState::Missed => "missed",
            StretchState::TooFast => "too_fast",
            StretchState::Idle => "idle",
            StretchState::Unobserved => "unobserved",
        };
        html! {
            h3 { (self.text("stretches")) }
            table.wide {
                (self.head(&keys))
                tbody {
                    @for one in stretches {
                        tr {
                            td { (one.segment) }
                            td { (format!("{:.0}", one.from_m)) }
                            td { (format!("{:.0}", one.to_m)) }
                            td { (one.passes) }
                            td { (self.text(state(one.state))) }
                        }
                    }
                }
            }
        }
    }

    /// In the words of the machinery that judges.
    fn explanation(self) -> Markup {
        let key = match self.language {
            Language::Chinese => "sentence_zh",
            Language::English => "sentence",
        };
        let sentence = |value: &Value| {
            let text = value.get(key).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        html! {
            section.explanation {
                h2 { (self.text("explanation")) }
                @match &self.pack.explanation {
                    Ok(told) => { p { (sentence(told)) } }
                    Err(why) => { p { (self.text("no_explanation")) (self.text(why)) } }
                }
            }
        }
    }

    fn pictures(self) -> Markup {
        html! {
            @if !self.pack.media.is_empty() {
                section.photos {
                    h2 { (self.text("photos")) }
                    @for picture in &self.pack.media { (self.picture(picture)) }
                }
            }
        }
    }

    fn picture(self, picture: &Picture) -> Markup {
        let media = &picture.media;
        let kind = media.kind.content_type();
        let href = format!("/api/v1/media/{}/content", media.id);
        let why = if picture.is_named { "named" } else { "near" };
        html! {
            figure {
                @if is_shown(media.kind) && kind.starts_with("image/") {
                    img src=(href) alt="";
                }
                figcaption {
                    (local(media.at)) " · " (self.text(why)) " · " (kind)
                    @if let Some(name) = &media.facts.original_name { " · " (name) }
                    br;
                    span.minor { "SHA-256 " (hex(&media.sha256)) }
                }
            }
        }
    }

    fn clocks(self) -> Markup {
        let clocks = &self.pack.case.clocks;
        let keys = [
            "clock",
            "started_at",
            "limit",
            "due",
            "used",
            "left",
            "state",
        ];
        html! {
            @if !clocks.is_empty() {
                section {
                    h2 { (self.text("clocks")) }
                    table.wide {
                        (self.head(&keys))
                        tbody { @for clock in clocks { (self.clock(clock)) } }
                    }
                }
            }
        }
    }

    fn clock(self, clock: &Clock) -> Markup {
        let (now, time) = (self.pack.made_at, &self.pack.desk.time);
        let is_late = if clock.is_open() {
            clock.is_late(now)
        } else {
            clock.is_overdue
        };
        let state = match (clock.is_open(), clock.running_since) {
            (false, _) => "stopped",
            (true, Some(_)) => "running",
            (true, None) => "waiting",
        };
        let left = clock.remaining(now, time).map(hours);
        html! {
            tr {
                td { (self.text(clock.kind.as_str())) }
                td { (local(clock.started_at)) }
                td { (clock.limit.map(|limit| self.language.limit(limit)).unwrap_or_default()) }
                td { (clock.due_at.map(local).unwrap_or_default()) }
                td { (hours(clock.used(now, time))) }
                td { (left.unwrap_or_default()) }
                td { (self.text(state)) @if is_late { ", " strong { (self.text("late")) } } }
            }
        }
    }

    fn history(self) -> Markup {
        html! {
            section {
                h2 { (self.text("history")) }
                table.wide {
                    (self.head(&["time", "move", "stage", "who", "remark"]))
                    tbody { @for line in &self.pack.history { (self.line(line)) } }
                }
            }
        }
    }

    /// What the system says of itself is put into the language of the page.
    fn line(self, line: &CaseChange) -> Markup {
        let (who, remark) = match line.role {
            Role::System => (
                self.text(&line.actor),
                self.language.remark(&line.remark).into_owned(),
            ),
            _ => (line.actor.clone(), line.remark.clone()),
        };
        let detail = self.detail(line);
        html! {
            tr {
                td { (local(line.at)) }
                td { (self.text(line.name.as_str())) }
                td { (self.text(line.to.as_str())) }
                td { (who) " (" (self.text(line.role.as_str())) ")" }
                td.said {
                    (remark)
                    @if !detail.is_empty() { span.minor { " " (detail) } }
                }
            }
        }
    }

    /// `clock: filing, limit: 4 work hours`, `violation: ID`.
    fn detail(self, line: &CaseChange) -> String {
        if let Some(clock) = line.clock() {
            let limit = line.detail.rsplit_once(": ").map(|(_, limit)| limit);
            let limit = limit.and_then(|limit| limit.parse().ok());
            let limit = limit.map(|limit| self.language.limit(limit));
            let clock = self.text(clock.as_str());
            return format!("{clock} {}", limit.unwrap_or_default());
        }
        match line.detail.split_once(": ") {
            Some((what, id)) if line.role == Role::System => {
                format!("{}: {id}", self.language.remark(what))
            }
            _ => line.detail.clone(),
        }
    }
}

/// `2026-11-24 16:00:00`, at GMT+8.
fn local(at: Timestamp) -> String {
    let text = rfc3339(at.plus_millis(LOCAL_MS));
    text.get(..19).unwrap_or_default().replace('T', " ")
}

fn degrees(latitude: Latitude, longitude: Longitude) -> String {
    format!("{:.6}, {:.6}", latitude.degrees(), longitude.degrees())
}

/// `-1:05` is an hour and five minutes too long.
fn hours(millis: i64) -> String {
    let minutes = millis.unsigned_abs() / 60_000;
    let sign = if millis < 0 { "-" } else { "" };
    format!("{sign}{}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paper_has_the_citys_time_and_clocks_hours_and_minutes() {
        assert_eq!(local(Timestamp(1_721_032_215_000)), "2024-07-15 16:30:15");
        assert_eq!(hours(3_900_000), "1:05");
        assert_eq!(hours(-3_900_000), "-1:05");
    }
}
