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
    /// There is an aggregate of bits.
    pub(crate) has_bit_or: bool,
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
pub(crate) fn figures(query: &EvaluationQuery, dialect: &Dialect) -> Text {
    let (inner, outer, having) = if dialect.has_bit_or {
        masks(query)
    } else {
        flags(query)
    };
    let filters = query.figures.iter().map(|figure| &figure.filter);
    let mut events: Vec<&str> = filters
        .flat_map(|filter| &filter.events)
        .map(|event| event.as_str())
        .collect();
    events.sort_unstable();
    events.dedup();
    let (with, from) = source(query, dialect);
    let period = period(query.span, "");
    let subject = subject(&query.by);
    let any = any_of("event", &events);
    let mut sql = format!(
        "{with}SELECT period, subject{outer} FROM (SELECT {period} AS period, {subject} AS \
         subject{inner} FROM {from} AND {any} GROUP BY 1, 2, e.case_id) cases \
         GROUP BY period, subject"
    );
    // A subject without any counted row says nothing.
    if !having.is_empty() {
        sql.push_str(&format!(" HAVING {}", having.join(" OR ")));
    }
    sql.push_str(&format!(
        " ORDER BY period, subject LIMIT {}",
        query.rows_max
    ));
    Text {
        sql,
        map: map(&query.by),
    }
}

/// What is selected of the rows of a case, what of the cases of a subject, and when there is
/// something: a flag a figure.
fn flags(query: &EvaluationQuery) -> (String, String, Vec<String>) {
    let (mut inner, mut outer, mut having) = (String::new(), String::new(), Vec::new());
    for (index, Figure { filter, measure }) in query.figures.iter().enumerate() {
        let is_counted = condition(filter, query.span);
        let of_case = match measure {
            Measure::Cases => format!("max(CASE WHEN {is_counted} THEN 1 ELSE 0 END)"),
            Measure::Value => format!("sum(CASE WHEN {is_counted} THEN value ELSE 0 END)"),
        };
        inner.push_str(&format!(", {of_case} AS f{index}"));
        outer.push_str(&format!(", CAST(sum(f{index}) AS double precision)"));
        having.push(format!("sum(f{index}) <> 0"));
    }
    (inner, outer, having)
}

/// The same with a bit a figure: one aggregate looks at each row once. A flag a figure took more than
/// twice the allowed two seconds over a month's million rows.
fn masks(query: &EvaluationQuery) -> (String, String, Vec<String>) {
    let (mut inner, mut outer, mut having) = (String::new(), String::new(), Vec::new());
    let is_counted = |(_, figure): &(usize, &Figure)| figure.measure == Measure::Cases;
    let (counted, added): (Vec<_>, Vec<_>) = query.figures.iter().enumerate().partition(is_counted);
    for (mask, figures) in counted.chunks(MASK_BITS).enumerate() {
        // By event, so that only the conditions of its own figures are looked at.
        let mut cases = String::new();
        for (event, ..) in EventKind::ALL {
            let of_event = figures.iter().enumerate();
            let of_event = of_event.filter(|(_, (_, one))| one.filter.events.contains(event));
            let bits = of_event.map(|(bit, (_, figure))| {
                let value = format!("{}::bigint", 1_u64 << bit);
                let also = conditions(&figure.filter, query.span);
                if also.is_empty() {
                    value
                } else {
                    format!("CASE WHEN {} THEN {value} ELSE 0 END", also.join(" AND "))
                }
            });
            let bits = bits.collect::<Vec<_>>().join(" | ");
            if !bits.is_empty() {
                cases.push_str(&format!(" WHEN {} THEN {bits}", quoted(event.as_str())));
            }
        }
        if cases.is_empty() {
            cases.push_str(" WHEN '' THEN 0::bigint");
        }
        inner.push_str(&format!(
            ", bit_or(CASE event{cases} ELSE 0 END) AS m{mask}"
        ));
        having.push(format!("bit_or(m{mask}) <> 0"));
    }
    for (index, figure) in &added {
        let is_counted = condition(&figure.filter, query.span);
        inner.push_str(&format!(
            ", sum(CASE WHEN {is_counted} THEN value ELSE 0 END) AS f{index}"
        ));
        having.push(format!("sum(f{index}) <> 0"));
    }
    for index in 0..query.figures.len() {
        let value = match counted.iter().position(|(counted, _)| *counted == index) {
            Some(place) => {
                let (mask, bit) = (place / MASK_BITS, place % MASK_BITS);
                format!("((m{mask} >> {bit}) & 1)::int")
            }
            None => format!("f{index}"),
        };
        outer.push_str(&format!(", CAST(sum({value}) AS double precision)"));
    }
    (inner, outer, having)
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
    let (with, join) = match &query.by {
        By::Carrier { others, .. } => (
            format!("WITH map(id, whose) AS MATERIALIZED (SELECT key, value FROM {map}) "),
            if *others {
                " LEFT JOIN map ON map.id = e.carrier"
            } else {
                " JOIN map ON map.id = e.carrier"
            },
        ),
        _ => (String::new(), ""),
    };
    let (from, to) = query.days;
    let mut text = format!("{table} e{join} WHERE day >= {from} AND day < {to}");
    if matches!(query.by, By::Carrier { .. }) {
        text.push_str(" AND e.carrier IS NOT NULL AND coalesce(map.whose, e.carrier) <> ''");
    }
    if !query.jurisdictions.is_empty() {
        let each = query.jurisdictions.iter().map(|place| {
            let (of_grid, of_handler) = (begins("unit_grid", place), begins("handler", place));
            format!("{of_grid} OR {of_handler}")
        });
        let any = each.collect::<Vec<_>>().join(" OR ");
        text.push_str(&format!(" AND ({any})"));
    }
    (with, text)
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
