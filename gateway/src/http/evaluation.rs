//! `/api/v1/evaluation`: figures, indicators and scores, the formulas behind them, and the cases
//! behind each figure.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use geofence::{
    case::{Case, policy::is_jurisdiction},
    catalog::day_of,
    identity::CaseId,
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};
use storage::evaluation::Span;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Problem,
    api::{Page, Shared, decode_cursor, limit},
    view::CaseView,
};
use crate::{
    Gateway, clock,
    evaluation::{
        self, Evaluated, EvaluationError, Level, Request, Row, date, days_of,
        formulas::{FigureFormula, Formulas, Indicator},
        sheet::Table,
        span_of_word, span_word,
    },
};

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(table))
        .routes(routes!(cases))
        .routes(routes!(formulas))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TableParameters {
    /// Whose rows; `city` where it is not given.
    level: Option<String>,
    /// `day`, `week` or `month`, the default.
    period: Option<String>,
    /// The first day; whole periods are taken.
    #[param(format = Date)]
    from: Option<String>,
    /// The last day; today where it is not given.
    #[param(format = Date)]
    to: Option<String>,
    /// Cases that lie or are handled there.
    jurisdiction: Option<String>,
    /// `json`, the default; `csv`; `xlsx`.
    format: Option<String>,
}

fn level(text: Option<&str>) -> Result<Level, Problem> {
    let word = text.unwrap_or("city");
    Level::from_word(word).ok_or_else(|| {
        let words = Level::ALL.map(Level::as_str).join(", ");
        Problem::bad_request(format!("level: one of {words}"))
    })
}

fn span(text: Option<&str>) -> Result<Span, Problem> {
    let word = text.unwrap_or("month");
    span_of_word(word).ok_or_else(|| Problem::bad_request("period: one of day, week, month"))
}

fn day(name: &str, text: &str) -> Result<i32, Problem> {
    let day = day_of(text).and_then(|day| i32::try_from(day).ok());
    // Periods before and behind it have numbers too.
    day.filter(|day| (-700_000..2_900_000).contains(day))
        .ok_or_else(|| Problem::bad_request(format!("{name}: expected a day, such as 2026-11-24")))
}

fn jurisdictions(text: Option<String>) -> Result<Vec<String>, Problem> {
    let place = text.filter(|text| !text.is_empty());
    if place
        .as_deref()
        .is_some_and(|place| !is_jurisdiction(place))
    {
        let what = "jurisdiction: it is the beginning of a unit grid's code";
        return Err(Problem::bad_request(what));
    }
    Ok(place.into_iter().collect())
}

impl From<EvaluationError> for Problem {
    fn from(error: EvaluationError) -> Self {
        match error {
            EvaluationError::Store(error) => error.into(),
            EvaluationError::TooMany(_) | EvaluationError::NoSuchLevel => {
                Self::bad_request(error.to_string())
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
    Xlsx,
}

/// Figures, indicators and scores of a level, by periods.
#[utoipa::path(
    get,
    path = "/evaluation",
    tag = "evaluation",
    params(TableParameters),
    responses(
        (status = 200, description = "The table. As JSON: `items` with `figures` and `indicators` by their names, `score`, `rank`, and `cases`, a URI template (RFC 6570) of the list behind a figure.", content((Object = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"))),
        (status = 503, description = "The store is away, or as many as `evaluation.running_max` are being computed."),
    ),
)]
async fn table(
    State(gateway): Shared,
    Query(parameters): Query<TableParameters>,
) -> Result<Response, Problem> {
    let format = match parameters.format.as_deref() {
        None | Some("json") => Format::Json,
        Some("csv") => Format::Csv,
        Some("xlsx") => Format::Xlsx,
        Some(_) => return Err(Problem::bad_request("format: one of json, csv, xlsx")),
    };
    let span = span(parameters.period.as_deref())?;
    let (today, _) = storage::evaluation::hour_of(clock::now());
    let to = match &parameters.to {
        Some(text) => day("to", text)?,
        None => today,
    };
    let from = match &parameters.from {
        Some(text) => day("from", text)?,
        None => to,
    };
    let days_max = gateway.config.evaluation.days_max;
    let days = Request::whole_periods(span, from, to);
    if from > to || i64::from(days.1) - i64::from(days.0) > i64::from(days_max) {
        let what = format!(
            "from: not after to, and at most {days_max} days in whole periods (evaluation.days_max)"
        );
        return Err(Problem::bad_request(what));
    }
    let request = Request {
        level: level(parameters.level.as_deref())?,
        span,
        days,
        jurisdictions: jurisdictions(parameters.jurisdiction)?,
        rows_max: gateway.config.evaluation.rows_max,
    };
    let Some(_turn) = gateway.evaluations.enter() else {
        let what = "as many evaluations as evaluation.running_max are being computed; ask later";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, what));
    };
    let formulas = &gateway.evaluations.formulas;
    let catalog = gateway.catalog.in_force();
    let desk = gateway.cases.desk(&catalog);
    let evaluated = evaluation::evaluate(
        &*gateway.store,
        &catalog.snapshot,
        desk.policy.levels(),
        formulas,
        &request,
        clock::now(),
    )
    .await?;
    answer(format, &request, formulas, &evaluated)
}

fn answer(
    format: Format,
    request: &Request,
    formulas: &Formulas,
    evaluated: &Evaluated,
) -> Result<Response, Problem> {
    let table = Table {
        level: request.level,
        span: request.span,
        formulas,
        rows: &evaluated.rows,
    };
    let (file, media_type, ending) = match format {
        Format::Json => {
            return Ok(Json(TableView::new(request, formulas, evaluated)).into_response());
        }
        Format::Csv => (
            table.csv(),
            "text/csv; charset=utf-8; header=present",
            "csv",
        ),
        Format::Xlsx => (
            table.xlsx(),
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "xlsx",
        ),
    };
    let file =
        file.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let name = format!(
        "attachment; filename=\"evaluation-{}-{}-{}-{}.{ending}\"",
        request.level.as_str(),
        span_word(request.span),
        date(request.days.0),
        date(request.days.1 - 1)
    );
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, file).into_response())
}

/// The table as JSON.
#[derive(Debug, Serialize)]
struct TableView<'a> {
    /// The version of all formulas.
    formulas: &'a str,
    /// The version of each indicator's formula.
    versions: Named<'a, u32>,
    level: &'static str,
    period: &'static str,
    from: String,
    to: String,
    /// The store said in time what terminals did; else the figures of work are null.
    work_known: bool,
    items: Vec<RowView<'a>>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct RowView<'a> {
    from: String,
    to: String,
    subject: &'a str,
    name: &'a str,
    figures: Named<'a, Option<f64>>,
    indicators: Named<'a, Option<f64>>,
    score: Option<f64>,
    rank: Option<u32>,
    /// URI template (RFC 6570): with the name of a figure of cases, the list of its cases.
    cases: String,
}

/// A JSON object that keeps the order of the formulas.
#[derive(Debug)]
struct Named<'a, T>(Vec<(&'a str, T)>);

impl<T: Serialize> Serialize for Named<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn rounded(value: Option<f64>) -> Option<f64> {
    value.map(|value| (value * 100.0).round() / 100.0)
}

impl<'a> TableView<'a> {
    fn new(request: &Request, formulas: &'a Formulas, evaluated: &'a Evaluated) -> Self {
        let indicators = formulas.indicators.iter();
        Self {
            formulas: &formulas.version,
            versions: Named(indicators.map(|i| (i.name.as_str(), i.version)).collect()),
            level: request.level.as_str(),
            period: span_word(request.span),
            from: date(request.days.0),
            to: date(request.days.1 - 1),
            work_known: evaluated.is_work_known,
            items: evaluated
                .rows
                .iter()
                .map(|row| RowView::new(request, formulas, row))
                .collect(),
            next: None,
        }
    }
}

impl<'a> RowView<'a> {
    fn new(request: &Request, formulas: &'a Formulas, row: &'a Row) -> Self {
        let (from, to) = days_of(request.span, row.period);
        let figures = formulas.figures.iter().zip(&row.figures);
        let indicators = formulas.indicators.iter().zip(&row.indicators);
        let mut cases = format!(
            "/api/v1/evaluation/cases?level={}&period={}&day={}&subject={}",
            request.level.as_str(),
            span_word(request.span),
            date(from),
            encoded(&row.subject)
        );
        for place in &request.jurisdictions {
            cases.push_str(&format!("&jurisdiction={}", encoded(place)));
        }
        cases.push_str("{&figure}");
        Self {
            from: date(from),
            to: date(to - 1),
            subject: &row.subject,
            name: &row.name,
            figures: Named(
                figures
                    .map(|(figure, value)| (figure.name.as_str(), rounded(*value)))
                    .collect(),
            ),
            indicators: Named(
                indicators
                    .map(|(indicator, value)| (indicator.name.as_str(), rounded(*value)))
                    .collect(),
            ),
            score: rounded(row.score),
            rank: row.rank,
            cases,
        }
    }
}

/// For the query of an address (RFC 3986, section 2.3: everything but the unreserved).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CasesParameters {
    /// The name of a figure of cases.
    figure: String,
    /// Of the row; `city` where it is not given.
    level: Option<String>,
    /// `day`, `week` or `month`, the default.
    period: Option<String>,
    /// Any day of the period.
    #[param(format = Date)]
    day: String,
    /// Of the row.
    #[serde(default)]
    subject: String,
    jurisdiction: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// The cases behind a figure.
#[utoipa::path(
    get,
    path = "/evaluation/cases",
    tag = "evaluation",
    params(CasesParameters),
    responses(
        (status = 200, body = Page<CaseView>),
        (status = 503, description = "The store is away."),
    ),
)]
async fn cases(
    State(gateway): Shared,
    Query(parameters): Query<CasesParameters>,
) -> Result<Json<Page<CaseView>>, Problem> {
    let span = span(parameters.period.as_deref())?;
    let day = day("day", &parameters.day)?;
    let request = Request {
        level: level(parameters.level.as_deref())?,
        span,
        days: Request::whole_periods(span, day, day),
        jurisdictions: jurisdictions(parameters.jurisdiction)?,
        rows_max: 1,
    };
    let catalog = gateway.catalog.in_force();
    let desk = gateway.cases.desk(&catalog);
    let levels = desk.policy.levels();
    let formulas = &gateway.evaluations.formulas;
    let figure = &parameters.figure;
    let found = evaluation::cases_of(&catalog.snapshot, levels, formulas, &request, figure);
    let mut wanted = found.ok_or_else(|| {
        let what = "figure: no figure of cases that the formulas have, or no such level";
        Problem::bad_request(what)
    })?;
    wanted.subject = parameters.subject;
    wanted.limit = limit(parameters.limit)?;
    wanted.after = decode_cursor::<CaseId>(parameters.cursor.as_deref())?;
    let found = gateway.store.evaluated_cases(&wanted).await?;
    let view = |case: Case| CaseView::new(&case, &gateway.catalog);
    Ok(Json(Page::of(found, wanted.limit, |case| case.id, view)))
}

#[derive(Debug, Serialize)]
struct FormulasView<'a> {
    version: &'a str,
    figures: &'a [FigureFormula],
    indicators: Vec<IndicatorView<'a>>,
}

#[derive(Debug, Serialize)]
struct IndicatorView<'a> {
    #[serde(flatten)]
    indicator: &'a Indicator,
    formula: String,
}

/// The formulas in force.
#[utoipa::path(
    get,
    path = "/evaluation/formulas",
    tag = "evaluation",
    responses(
        (status = 200, description = "`version`, `figures` and `indicators`, each with its formula.", body = Object),
    ),
)]
async fn formulas(State(gateway): Shared) -> Response {
    let formulas = &gateway.evaluations.formulas;
    let indicators = formulas.indicators.iter().map(|indicator| IndicatorView {
        indicator,
        formula: indicator.text(),
    });
    Json(FormulasView {
        version: &formulas.version,
        figures: &formulas.figures,
        indicators: indicators.collect(),
    })
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_in_an_address_is_encoded() {
        assert_eq!(encoded("14 0&å=~"), "14%200%26%C3%A5%3D~");
    }

    #[test]
    fn days_have_a_form_and_jurisdictions_too() {
        assert_eq!(day("to", "1970-01-02").ok(), Some(1));
        for wrong in ["", "2026-02-30", "2026-1-1", "20260101"] {
            assert!(day("to", wrong).is_err(), "{wrong}");
        }
        assert!(jurisdictions(Some("1401'".into())).is_err());
        assert_eq!(jurisdictions(Some(String::new())).ok(), Some(vec![]));
    }
}
