//! `gateway/docs/evaluation.md`, written from the formulas and the events. With
//! `UPDATE_DOCUMENTS=1` this test writes the file; otherwise it compares.

use std::{env, fmt::Write as _, fs, path::PathBuf};

use storage::evaluation::EventKind;

use super::formulas::{Formulas, Score};

const HEAD: &str = "# Evaluation

Figures, indicators and scores of cases and work, by day, week and month at local time. Written from
`gateway/evaluation.toml` by `gateway/src/evaluation/document.rs`: run its test with
`UPDATE_DOCUMENTS=1`.

- `GET /api/v1/evaluation?level=&period=&from=&to=&jurisdiction=&format=`: `level` is `city`, `district`,
  `street`, `community` (the parts of a unit grid's code), `department`, `crew`, `vehicle` or
  `inspector`; `period` is `day`, `week` (Monday to Sunday) or `month`; `from` and `to` are days, both
  included, and whole periods are taken; `format` is `json`, `csv` or `xlsx`.
- `GET /api/v1/evaluation/cases?level=&period=&day=&subject=&jurisdiction=&figure=`: the cases behind a
  figure, as many as it says. Each row of the table has this address as a URI template: put the
  figure's name into it.
- `GET /api/v1/evaluation/formulas`: the formulas in force.

**What counts.** A row is written for each thing that happens to a case on a day, in the transaction
that changes the case, with what the case was then: department, jurisdiction, late or not. So a month
that is over stays as it was published. A figure counts cases: one that was sent back twice in a month
is one reworked case of this month (and, by days, one of each of the two days). Only `happened`
follows the case: what is declined, withdrawn or disproved by late data did not happen.

**Where it counts.** A case counts where it lies, and where it has no unit grid, where it is handled.
The empty subject is what is not known so exactly. By vehicle and inspector it counts for whom the
catalog had under that terminal when it was found; crews are those of the catalog in force.

**What falls due.** A case is due on the day of its closing, or before that on the day when its total
clock runs out; where that has no limit, the clock of handling. Clocks stand still while a case is put
off, so that the due ones are already less the deferred ones.

**Work.** Duties are those of the roster in force that have begun; one is attended when the terminal
reported in one of the hours that it touches. Kilometres are the odometer's from the first to the last
reading of a day; a terminal whose odometer ran backwards has none that day. Both are known of the
city, crews, vehicles and inspectors; of a place only duties whose whole area lies there. Within a
jurisdiction kilometres and hours are not told: they may have been driven elsewhere. Of coverage only
what was below its target is known: routes that were swept as planned leave no case behind.

**Score.** The points of all indicators that give some; equal scores share a rank. The default points
follow a city's trial rule (按期结案 50 points from 70 % on, 结案 20 from 90 %, urgent 10, a fifth of a
point less for each reworked case and half a point from its third failed check); where that says
nothing, a point less for each percent below.

A city's own file (`evaluation.formulas`) takes the place of the default one whole. Every result names
the version of the formulas, and each indicator's own.
";

fn document() -> String {
    let formulas = Formulas::load(None).unwrap();
    let version = &formulas.version;
    let mut text = format!("{HEAD}\n## Events\n\n| event | what happened |\n|---|---|\n");
    for (_, word, what) in EventKind::ALL {
        writeln!(text, "| `{word}` | {what} |").unwrap();
    }
    let head = "| figure | | what it counts |\n|---|---|---|\n";
    write!(text, "\n## Figures of \"{version}\"\n\n{head}").unwrap();
    for figure in &formulas.figures {
        let (name, label) = (&figure.name, &figure.label);
        writeln!(text, "| `{name}` | {label} | `{}` |", figure.text()).unwrap();
    }
    let head = "| indicator | | version | formula | points |\n|---|---|---|---|---|\n";
    write!(text, "\n## Indicators of \"{version}\"\n\n{head}").unwrap();
    for indicator in &formulas.indicators {
        let points = indicator.score.as_ref().map(points).unwrap_or_default();
        let (name, label) = (&indicator.name, &indicator.label);
        let (version, formula) = (indicator.version, indicator.text());
        writeln!(
            text,
            "| `{name}` | {label} | {version} | {formula} | {points} |"
        )
        .unwrap();
    }
    text
}

fn points(score: &Score) -> String {
    match score {
        Score::Linear {
            points,
            full_at,
            less_per_unit,
        } => format!("{points} from {full_at} on, {less_per_unit} less for each below"),
        Score::Steps { steps } => {
            let each = steps.iter();
            let each = each.map(|(from, points)| format!("{points} from {from} on"));
            each.collect::<Vec<_>>().join(", ")
        }
        Score::Each { each } => format!("{each} for each"),
    }
}

#[test]
fn the_document_says_what_the_formulas_say() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/evaluation.md");
    let expected = document();
    if env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is not what the formulas say: run this test with UPDATE_DOCUMENTS=1",
        path.display()
    );
}
