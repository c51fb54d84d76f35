//! The statements of evaluations. Both databases understand the same ones, but for a few words.
//!
//! Figures are data, so the statements are put together; all texts in them are quoted here.

use super::{By, EvaluationQuery, EventKind, Figure, FigureCases, Filter, Measure, Span};
use crate::case_changes::without_nul;

/// Where the databases differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// The table of events.
    pub(crate) table: &'static str,
    /// The keys and values of the JSON object that is the parameter.
    pub(crate) map: &'static str,
    /// The bits that any of a group's masks has, of the bits that these literals name.
    pub(crate) bits: fn(&str, &[String]) -> String,
    /// An id of a case as a value.
    pub(crate) id: fn(&str) -> String,
}

/// A statement with its parameter.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) sql: String,
    /// JSON of [`By::Carrier::subjects`]; without it there is no parameter.
    pub(crate) map: Option<String>,
}

/// Bits of a mask: the sign is left alone.
const MASK_BITS: usize = 63;

/// Period, subject and values, in this order.
///
/// Every row has a mask with a bit for each figure that counts it, and rows are grouped by their
/// masks: there are few, so that neither cases nor figures are gone through one by one. That counts
/// rows, and figures count cases. So what a case may have several rows of in a period is grouped by
/// cases first, in a statement of its own; it is little.
pub(crate) fn figures(query: &EvaluationQuery, dialect: &Dialect) -> Text {
    let masks = Masks::of(query);
    let period = period(query.span, "");
    let width = masks.width();
    let names = |prefix: &str| {
        let names = (0..width).map(|mask| format!(", {prefix}m{mask}"));
        names.collect::<String>()
    };
    let columns = |part: Part| {
        let columns = (0..width).map(|mask| format!(", {} AS m{mask}", masks.case(mask, part)));
        columns.collect::<String>()
    };
    let among = masks.among();
    let places = |from: usize| {
        let places = (from..from + width).map(|place| format!(", {place}"));
        places.collect::<String>()
    };

    // Carriers are given their subjects once they are few.
    let is_mapped = matches!(query.by, By::Carrier { .. });
    let key = if is_mapped {
        "e.carrier".to_owned()
    } else {
        subject(&query.by)
    };
    let rows = format!(
        "{} e WHERE {}",
        dialect.table,
        restrictions(query, "e.carrier")
    );
    let mut parts = format!(
        "SELECT {period} AS period, {key} AS subject{}, CAST(count(*) AS double precision) AS n, \
         sum(value) AS v FROM {rows}{among} GROUP BY 1, 2{}",
        columns(Part::Rows),
        places(3)
    );
    let (with, from) = source(query, dialect);
    if is_mapped {
        let join = join(&query.by, "r.subject");
        parts = format!(
            "SELECT r.period, coalesce(map.whose, r.subject) AS subject{}, r.n, r.v \
             FROM ({parts}) r{join} WHERE coalesce(map.whose, r.subject) <> ''",
            names("r.")
        );
    }
    if let Some(apart) = masks.apart() {
        let any = (0..width).map(|mask| {
            let bits = masks.bits(mask, |figure| figure.measure == Measure::Cases);
            format!(", {} AS m{mask}", any_bit(dialect, mask, &bits))
        });
        let any = any.collect::<String>();
        parts.push_str(&format!(
            " UNION ALL SELECT period, subject{}, CAST(count(*) AS double precision), 0 FROM \
             (SELECT period, subject{any} FROM (SELECT {period} AS period, {} AS subject, \
             e.case_id{} FROM {from} AND {apart}{among}) again GROUP BY period, subject, case_id) \
             cases GROUP BY 1, 2{}",
            names(""),
            subject(&query.by),
            columns(Part::Cases),
            places(3)
        ));
    }

    let mut values = String::new();
    let mut having = Vec::new();
    for (index, figure) in query.figures.iter().enumerate() {
        let (mask, bit) = (index / MASK_BITS, literal(index % MASK_BITS));
        let of = match figure.measure {
            Measure::Cases => "n",
            Measure::Value => "v",
        };
        let sum = format!("coalesce(sum({of}) FILTER (WHERE m{mask} & {bit} <> 0), 0.0)");
        values.push_str(&format!(", {sum}"));
        having.push(format!("{sum} <> 0"));
    }
    let mut sql =
        format!("{with}SELECT period, subject{values} FROM ({parts}) parts GROUP BY 1, 2");
    // A subject without any counted row says nothing.
    if !having.is_empty() {
        sql.push_str(&format!(" HAVING {}", having.join(" OR ")));
    }
    sql.push_str(&format!(" ORDER BY 1, 2 LIMIT {}", query.rows_max));
    Text {
        sql,
        map: map(&query.by),
    }
}

fn any_bit(dialect: &Dialect, mask: usize, bits: &[String]) -> String {
    if bits.is_empty() {
        "0".to_owned()
    } else {
        (dialect.bits)(&format!("m{mask}"), bits)
    }
}

fn literal(bit: usize) -> String {
    (1_u64 << bit).to_string()
}

/// What a statement counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Rows: each is a case of its own, or has a value.
    Rows,
    /// The cases of rows of which there may be several.
    Cases,
}

/// A bit a figure, in as many masks as it takes.
#[derive(Debug)]
struct Masks<'a> {
    query: &'a EvaluationQuery,
    /// Events that a figure counts together with others: a case may have a row of each.
    shared: Vec<EventKind>,
}

impl<'a> Masks<'a> {
    fn of(query: &'a EvaluationQuery) -> Self {
        let counted = query.figures.iter();
        let counted = counted.filter(|figure| figure.measure == Measure::Cases);
        let together = counted.filter(|figure| figure.filter.events.len() > 1);
        let shared = together.flat_map(|figure| figure.filter.events.iter().copied());
        Self {
            query,
            shared: shared.collect(),
        }
    }

    fn width(&self) -> usize {
        self.query.figures.len().div_ceil(MASK_BITS).max(1)
    }

    fn figures(&self, mask: usize) -> impl Iterator<Item = (String, &Figure)> {
        let figures = self.query.figures.chunks(MASK_BITS).nth(mask);
        let figures = figures.unwrap_or_default().iter().enumerate();
        figures.map(|(bit, figure)| (literal(bit), figure))
    }

    fn bits(&self, mask: usize, is_wanted: impl Fn(&Figure) -> bool) -> Vec<String> {
        let wanted = self.figures(mask).filter(|(_, figure)| is_wanted(figure));
        wanted.map(|(bit, _)| bit).collect()
    }

    /// The mask of a row. By event, so that only the conditions of its own figures are looked at.
    fn case(&self, mask: usize, part: Part) -> String {
        let mut cases = String::new();
        for (event, ..) in EventKind::ALL {
            let bits = |measure: Measure| {
                let of_event = self.figures(mask).filter(|(_, figure)| {
                    figure.measure == measure && figure.filter.events.contains(event)
                });
                let bits = of_event.map(|(bit, figure)| {
                    let also = conditions(&figure.filter, self.query.span);
                    if also.is_empty() {
                        bit
                    } else {
                        format!("CASE WHEN {} THEN {bit} ELSE 0 END", also.join(" AND "))
                    }
                });
                bits.collect::<Vec<_>>().join(" | ")
            };
            let (counted, added) = (bits(Measure::Cases), bits(Measure::Value));
            let may_repeat = self.query.span != Span::Day;
            let counted = match part {
                Part::Rows if counted.is_empty() || self.shared.contains(event) => String::new(),
                Part::Rows if may_repeat => {
                    format!("CASE WHEN is_repeated THEN 0 ELSE {counted} END")
                }
                _ => counted,
            };
            let added = if part == Part::Rows {
                added
            } else {
                String::new()
            };
            let all: Vec<String> = [counted, added]
                .into_iter()
                .filter(|bits| !bits.is_empty())
                .collect();
            if !all.is_empty() {
                let word = quoted(event.as_str());
                cases.push_str(&format!(" WHEN {word} THEN {}", all.join(" | ")));
            }
        }
        if cases.is_empty() {
            "0".to_owned()
        } else {
            format!("CASE event{cases} ELSE 0 END")
        }
    }

    /// Which rows there may be several of for one case in a period; `None` for none.
    fn apart(&self) -> Option<String> {
        let words: Vec<&str> = self.shared.iter().map(|one| one.as_str()).collect();
        match (self.query.span, words.is_empty()) {
            (Span::Day, true) => None,
            (Span::Day, false) => Some(any_of("event", &words)),
            (_, true) => Some("is_repeated".to_owned()),
            (_, false) => Some(format!("(is_repeated OR {})", any_of("event", &words))),
        }
    }

    /// Only what is counted, where that is little: else it is quicker to look at everything.
    fn among(&self) -> String {
        let filters = self.query.figures.iter().map(|figure| &figure.filter);
        let mut events: Vec<&str> = filters
            .flat_map(|filter| &filter.events)
            .map(|event| event.as_str())
            .collect();
        events.sort_unstable();
        events.dedup();
        if events.len() * 2 > EventKind::ALL.len() {
            return String::new();
        }
        format!(" AND {}", any_of("event", &events))
    }
}

/// The ids of the cases behind a figure, in their order.
pub(crate) fn cases(wanted: &FigureCases, dialect: &Dialect) -> Text {
    let query = &wanted.query;
    let (with, from) = source(query, dialect);
    let mut sql = format!(
        "{with}SELECT DISTINCT e.case_id FROM {from} AND {} = {} AND {} = {}",
        period(query.span, ""),
        wanted.period,
        subject(&query.by),
        quoted(&wanted.subject)
    );
    let filters = query.figures.iter().map(|figure| &figure.filter);
    let any: Vec<String> = filters
        .map(|filter| format!("({})", condition(filter, query.span)))
        .collect();
    sql.push_str(&format!(" AND ({})", any.join(" OR ")));
    if let Some(after) = wanted.after {
        let id = (dialect.id)(&quoted(&after.to_string()));
        sql.push_str(&format!(" AND e.case_id > {id}"));
    }
    sql.push_str(&format!(" ORDER BY e.case_id LIMIT {}", wanted.limit));
    Text {
        sql,
        map: map(&query.by),
    }
}

/// What comes before the statement, and its rows up to the first of its own conditions.
fn source(query: &EvaluationQuery, dialect: &Dialect) -> (String, String) {
    let Dialect { table, map, .. } = dialect;
    let with = match &query.by {
        By::Carrier { .. } => {
            format!("WITH map(id, whose) AS MATERIALIZED (SELECT key, value FROM {map}) ")
        }
        _ => String::new(),
    };
    let join = join(&query.by, "e.carrier");
    let restrictions = restrictions(query, "coalesce(map.whose, e.carrier)");
    (with, format!("{table} e{join} WHERE {restrictions}"))
}

fn join(by: &By, carrier: &str) -> String {
    match by {
        By::Carrier { others: true, .. } => format!(" LEFT JOIN map ON map.id = {carrier}"),
        By::Carrier { .. } => format!(" JOIN map ON map.id = {carrier}"),
        _ => String::new(),
    }
}

/// The conditions of time and place; `whose` names the subject of a carrier.
fn restrictions(query: &EvaluationQuery, whose: &str) -> String {
    let (from, to) = query.days;
    let mut text = format!("day >= {from} AND day < {to}");
    if matches!(query.by, By::Carrier { .. }) {
        text.push_str(&format!(" AND e.carrier IS NOT NULL AND {whose} <> ''"));
    }
    if !query.jurisdictions.is_empty() {
        let each = query.jurisdictions.iter().map(|place| {
            let (of_grid, of_handler) = (begins("unit_grid", place), begins("handler", place));
            format!("{of_grid} OR {of_handler}")
        });
        let any = each.collect::<Vec<_>>().join(" OR ");
        text.push_str(&format!(" AND ({any})"));
    }
    text
}

fn map(by: &By) -> Option<String> {
    let By::Carrier { subjects, .. } = by else {
        return None;
    };
    let clean = subjects
        .iter()
        .map(|(key, value)| (without_nul(key), without_nul(value).into()));
    let object: serde_json::Map<String, serde_json::Value> = clean.collect();
    Some(serde_json::Value::Object(object).to_string())
}

fn period(span: Span, prefix: &str) -> String {
    match span {
        Span::Day => format!("{prefix}day"),
        Span::Week => format!("(({prefix}day + 3) / 7)"),
        Span::Month => format!("{prefix}month"),
    }
}

fn subject(by: &By) -> String {
    match by {
        By::City => "''".to_owned(),
        By::Place(digits) => {
            let place = "coalesce(unit_grid, handler)";
            format!(
                "(CASE WHEN length({place}) >= {digits} THEN substr({place}, 1, {digits}) \
                 ELSE '' END)"
            )
        }
        By::Department => "coalesce(department, '')".to_owned(),
        By::Carrier { .. } => "coalesce(map.whose, e.carrier)".to_owned(),
    }
}

fn condition(filter: &Filter, span: Span) -> String {
    let events: Vec<&str> = filter.events.iter().map(|one| one.as_str()).collect();
    let mut all = vec![any_of("event", &events)];
    all.extend(conditions(filter, span));
    all.join(" AND ")
}

/// What is asked for beside the events.
fn conditions(filter: &Filter, span: Span) -> Vec<String> {
    let mut all = Vec::new();
    if !filter.kinds.is_empty() {
        let kinds: Vec<&str> = filter.kinds.iter().map(|one| one.as_str()).collect();
        all.push(any_of("kind", &kinds));
    }
    if !filter.sources.is_empty() {
        let sources: Vec<&str> = filter.sources.iter().map(|one| one.as_str()).collect();
        all.push(any_of("source", &sources));
    }
    if !filter.severities.is_empty() {
        let words: Vec<&str> = filter.severities.iter().map(|one| one.as_str()).collect();
        all.push(any_of("severity", &words));
    }
    if !filter.categories.is_empty() {
        let each = filter
            .categories
            .iter()
            .map(|code| begins("category", code));
        all.push(format!("({})", each.collect::<Vec<_>>().join(" OR ")));
    }
    let flags = [
        ("is_late", filter.late),
        ("is_forced", filter.forced),
        ("is_deferred", filter.deferred),
    ];
    for (column, wanted) in flags {
        match wanted {
            Some(true) => all.push(column.to_owned()),
            Some(false) => all.push(format!("NOT {column}")),
            None => {}
        }
    }
    if filter.due_in_period {
        all.push(format!("{} = {}", period(span, "due_"), period(span, "")));
    }
    if let Some(min) = filter.value_min.filter(|min| min.is_finite()) {
        all.push(format!("value >= {min:?}"));
    }
    all
}

fn any_of(column: &str, words: &[&str]) -> String {
    if words.is_empty() {
        return "1 = 0".to_owned();
    }
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("{column} IN ({})", words.join(", "))
}

fn begins(column: &str, prefix: &str) -> String {
    let length = prefix.chars().count();
    format!("substr({column}, 1, {length}) = {}", quoted(prefix))
}

/// A text as a literal: both databases take a quotation mark twice for one, and nothing else for
/// special.
fn quoted(text: &str) -> String {
    format!("'{}'", without_nul(text).replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_within_its_quotation_marks() {
        assert_eq!(quoted("a'; DROP--\0"), "'a''; DROP--\u{FFFD}'");
        let filter = Filter {
            categories: vec!["'1".into()],
            ..Filter::default()
        };
        let expected = "1 = 0 AND (substr(category, 1, 2) = '''1')";
        assert_eq!(condition(&filter, Span::Day), expected);
    }
}
