//! The table as a file: CSV, and XLSX (ECMA-376) with the formulas on a second sheet.
//!
//! No text becomes a formula: in CSV see `harmless`, in XLSX every text is a cell of type
//! `inlineStr`, which no program evaluates. Markup is escaped, and signs that XML cannot hold are
//! replaced.

use std::io;

use quick_xml::escape::escape;
use storage::evaluation::Span;

use super::{Level, Row, date, days_of, formulas::Formulas, span_word, zip};
use crate::tracks::files::harmless;

/// A cell.
#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Text(String),
    Number(Option<f64>),
}

impl Cell {
    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A table with all that its files say.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// Whose figures.
    pub level: Level,
    /// Of which periods.
    pub span: Span,
    /// By which formulas.
    pub formulas: &'a Formulas,
    /// In order.
    pub rows: &'a [Row],
}

impl Table<'_> {
    /// CSV with a line of names.
    ///
    /// # Errors
    /// When it cannot be written: never, as it is written into memory.
    pub fn csv(&self) -> io::Result<Vec<u8>> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        for line in self.lines() {
            let cells = line.iter().map(|cell| match cell {
                Cell::Text(text) => harmless(text).into_owned(),
                Cell::Number(number) => number.map_or_else(String::new, shown),
            });
            csv.write_record(cells)?;
        }
        csv.into_inner().map_err(|error| error.into_error())
    }

    /// A workbook.
    ///
    /// # Errors
    /// When it is larger than 4 GiB.
    pub fn xlsx(&self) -> io::Result<Vec<u8>> {
        let files = [
            ("[Content_Types].xml", CONTENT_TYPES.into()),
            ("_rels/.rels", RELATIONS.into()),
            ("xl/workbook.xml", WORKBOOK.into()),
            ("xl/_rels/workbook.xml.rels", WORKBOOK_RELATIONS.into()),
            ("xl/worksheets/sheet1.xml", sheet(&self.lines())),
            ("xl/worksheets/sheet2.xml", sheet(&self.formula_lines())),
        ];
        zip::archive(&files).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))
    }

    fn lines(&self) -> Vec<Vec<Cell>> {
        let formulas = self.formulas;
        let figures = formulas.figures.iter().map(|figure| &figure.name);
        let indicators = formulas.indicators.iter().map(|indicator| &indicator.name);
        let mut names: Vec<Cell> = ["period", "from", "to", "level", "subject", "name"]
            .map(Cell::text)
            .into();
        names.extend(figures.chain(indicators).map(|name| Cell::text(name)));
        names.extend(["score", "rank", "formulas"].map(Cell::text));
        let mut lines = vec![names];
        for row in self.rows {
            let (from, to) = days_of(self.span, row.period);
            let mut line: Vec<Cell> = [
                span_word(self.span),
                &date(from),
                &date(to - 1),
                self.level.as_str(),
                &row.subject,
                &row.name,
            ]
            .map(Cell::text)
            .into();
            let values = row.figures.iter().chain(&row.indicators);
            line.extend(values.map(|value| Cell::Number(*value)));
            line.push(Cell::Number(row.score));
            line.push(Cell::Number(row.rank.map(f64::from)));
            line.push(Cell::text(&formulas.version));
            lines.push(line);
        }
        lines
    }

    fn formula_lines(&self) -> Vec<Vec<Cell>> {
        let formulas = self.formulas;
        let mut lines = vec![
            vec![Cell::text("formulas"), Cell::text(&formulas.version)],
            ["name", "label", "version", "formula"]
                .map(Cell::text)
                .into(),
        ];
        for figure in &formulas.figures {
            lines.push(vec![
                Cell::text(&figure.name),
                Cell::text(&figure.label),
                Cell::Number(None),
                Cell::Text(figure.text()),
            ]);
        }
        for indicator in &formulas.indicators {
            lines.push(vec![
                Cell::text(&indicator.name),
                Cell::text(&indicator.label),
                Cell::Number(Some(indicator.version.into())),
                Cell::Text(indicator.text()),
            ]);
        }
        lines
    }
}

/// Whole numbers as such, others with two digits.
pub fn shown(number: f64) -> String {
    if number.fract().abs() > 0.0 {
        format!("{number:.2}")
    } else {
        format!("{number:.0}")
    }
}

const CONTENT_TYPES: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">\
<Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
<Default Extension=\"xml\" ContentType=\"application/xml\"/>\
<Override PartName=\"/xl/workbook.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml\"/>\
<Override PartName=\"/xl/worksheets/sheet1.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml\"/>\
<Override PartName=\"/xl/worksheets/sheet2.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml\"/>\
</Types>";
const RELATIONS: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
<Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" Target=\"xl/workbook.xml\"/>\
</Relationships>";
const WORKBOOK: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
<workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" \
xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\"><sheets>\
<sheet name=\"evaluation\" sheetId=\"1\" r:id=\"rId1\"/>\
<sheet name=\"formulas\" sheetId=\"2\" r:id=\"rId2\"/></sheets></workbook>";
const WORKBOOK_RELATIONS: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
<Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\" Target=\"worksheets/sheet1.xml\"/>\
<Relationship Id=\"rId2\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\" Target=\"worksheets/sheet2.xml\"/>\
</Relationships>";

fn sheet(lines: &[Vec<Cell>]) -> Vec<u8> {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData>",
    );
    for line in lines {
        xml.push_str("<row>");
        for cell in line {
            match cell {
                Cell::Text(text) => {
                    xml.push_str("<c t=\"inlineStr\"><is><t xml:space=\"preserve\">");
                    xml.push_str(&escape(printable(text).as_str()));
                    xml.push_str("</t></is></c>");
                }
                Cell::Number(Some(number)) if number.is_finite() => {
                    xml.push_str(&format!("<c><v>{number}</v></c>"));
                }
                Cell::Number(_) => xml.push_str("<c/>"),
            }
        }
        xml.push_str("</row>");
    }
    xml.push_str("</sheetData></worksheet>");
    xml.into_bytes()
}

/// Without the signs that XML 1.0 cannot hold (section 2.2).
fn printable(text: &str) -> String {
    let is_held = |sign: char| {
        matches!(sign, '\t' | '\n' | '\r')
            || (sign >= ' ' && !matches!(sign, '\u{FFFE}' | '\u{FFFF}'))
    };
    text.chars()
        .map(|sign| if is_held(sign) { sign } else { '\u{FFFD}' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMULAS: &str = r#"
        version = "=v"
        [[figure]]
        name = "closed"
        label = "<b>"
        of = { events = ["closed"] }
        [[indicator]]
        name = "rate"
        version = 7
        unit = "percent"
        numerator = ["closed"]
    "#;

    fn row(subject: &str) -> Row {
        Row {
            period: 2026 * 12,
            subject: subject.to_owned(),
            name: "@name".to_owned(),
            figures: vec![Some(3.0)],
            indicators: vec![Some(66.666)],
            score: None,
            rank: Some(1),
        }
    }

    #[test]
    fn a_text_is_no_formula_in_csv() {
        let formulas = Formulas::read(FORMULAS).unwrap();
        let rows = [row("=cmd|' /C calc'!A0"), row("a,\"b\"\n-1")];
        let table = Table {
            level: Level::Department,
            span: Span::Month,
            formulas: &formulas,
            rows: &rows,
        };
        let text = String::from_utf8(table.csv().unwrap()).unwrap();
        assert_eq!(
            text,
            "period,from,to,level,subject,name,closed,rate,score,rank,formulas\n\
             month,2026-01-01,2026-01-31,department,'=cmd|' /C calc'!A0,'@name,3,66.67,,1,'=v\n\
             month,2026-01-01,2026-01-31,department,\"a,\"\"b\"\"\n-1\",'@name,3,66.67,,1,'=v\n"
        );
    }

    #[test]
    fn a_text_is_no_formula_and_no_markup_in_a_workbook() {
        let formulas = Formulas::read(FORMULAS).unwrap();
        let rows = [row("=1+1</t></is></c><f>\u{1}&")];
        let table = Table {
            level: Level::Department,
            span: Span::Month,
            formulas: &formulas,
            rows: &rows,
        };
        let text = String::from_utf8_lossy(&table.xlsx().unwrap()).into_owned();
        let cell = "<c t=\"inlineStr\"><is><t xml:space=\"preserve\">=1+1&lt;/t&gt;&lt;/is&gt;\
                    &lt;/c&gt;&lt;f&gt;\u{FFFD}&amp;</t></is></c>";
        assert!(text.contains(cell), "{text}");
        assert!(!text.contains("<f>"), "{text}");
        for part in [
            "<c><v>3</v></c><c><v>66.666</v></c><c/>",
            ">&lt;b&gt;<",
            "<v>7</v>",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
