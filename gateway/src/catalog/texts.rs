//! The texts that a catalog is made of, and how one thing in a text is changed.

use std::path::PathBuf;

use geofence::catalog::CatalogSources;
use serde_json::{Map, Value};

use crate::config::CatalogFiles;

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A `FeatureCollection`; things are features, known by a property.
    GeoJson,
    /// An object with an array `rules`; things are its members, known by a property.
    Rules,
    /// A table with a header; things are rows, known by a column.
    Csv,
}

/// One of the texts.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// As versions and the configuration call it.
    pub name: &'static str,
    /// As paths of the API call it.
    pub path: &'static str,
    /// What the text is.
    pub form: Form,
    /// The property or column that things are known by.
    pub key: &'static str,
    /// Its file in the configuration.
    pub file: fn(&CatalogFiles) -> &Option<PathBuf>,
    /// Its place in what a catalog is made from.
    pub source: fn(&mut CatalogSources) -> &mut Option<(String, String)>,
}

/// Every text.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "unit_grids",
        path: "unit-grids",
        form: Form::GeoJson,
        key: "code",
        file: |files| &files.unit_grids,
        source: |sources| &mut sources.unit_grids,
    },
    Kind {
        name: "fences",
        path: "fences",
        form: Form::GeoJson,
        key: "id",
        file: |files| &files.fences,
        source: |sources| &mut sources.fences,
    },
    Kind {
        name: "routes",
        path: "routes",
        form: Form::GeoJson,
        key: "id",
        file: |files| &files.routes,
        source: |sources| &mut sources.routes,
    },
    Kind {
        name: "work_rules",
        path: "work-rules",
        form: Form::Rules,
        key: "id",
        file: |files| &files.work_rules,
        source: |sources| &mut sources.work_rules,
    },
    Kind {
        name: "vehicles",
        path: "vehicles",
        form: Form::Csv,
        key: "vehicle",
        file: |files| &files.vehicles,
        source: |sources| &mut sources.vehicles,
    },
    Kind {
        name: "calendar",
        path: "calendar",
        form: Form::Csv,
        key: "date",
        file: |files| &files.calendar,
        source: |sources| &mut sources.calendar,
    },
    Kind {
        name: "shifts",
        path: "shifts",
        form: Form::Csv,
        key: "shift",
        file: |files| &files.shifts,
        source: |sources| &mut sources.shifts,
    },
    Kind {
        name: "responsibility_grids",
        path: "responsibility-grids",
        form: Form::GeoJson,
        key: "id",
        file: |files| &files.responsibility_grids,
        source: |sources| &mut sources.responsibility_grids,
    },
    Kind {
        name: "assignments",
        path: "assignments",
        form: Form::Csv,
        key: "assignment",
        file: |files| &files.assignments,
        source: |sources| &mut sources.assignments,
    },
];

/// Why a thing cannot be changed in a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It is not there.
    #[error("no {key} {id:?} there")]
    NotThere {
        /// What it would be known by.
        key: &'static str,
        /// Its id.
        id: String,
    },
    /// The thing is none of its form.
    #[error("{0}")]
    Thing(String),
    /// The text that is in force cannot be read; that is a defect of ours.
    #[error("the text cannot be read: {0}")]
    Text(String),
}

impl Kind {
    /// The one of this path.
    #[must_use]
    pub fn of_path(path: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.path == path)
    }

    /// The text with a thing in place of the one of this id, or behind all others.
    ///
    /// # Errors
    /// When the thing says another id, or is none of the form.
    pub fn put(&self, text: &str, id: &str, thing: &Value) -> Result<String, TextError> {
        match self.form {
            Form::GeoJson | Form::Rules => self.put_member(text, id, thing),
            Form::Csv => self.put_row(text, id, thing),
        }
    }

    /// The text without the thing of this id.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove(&self, text: &str, id: &str) -> Result<String, TextError> {
        let not_there = || TextError::NotThere {
            key: self.key,
            id: id.to_owned(),
        };
        match self.form {
            Form::GeoJson | Form::Rules => {
                let mut root = self.collection(text)?;
                let members = self.members(&mut root)?;
                let count = members.len();
                members.retain(|member| self.id_of(member) != Some(id));
                if members.len() == count {
                    return Err(not_there());
                }
                Ok(root.to_string())
            }
            Form::Csv => {
                let mut table = Table::read(text)?;
                let row = self.row_of(&table, id).ok_or_else(not_there)?;
                table.rows.remove(row);
                table.write()
            }
        }
    }

    fn id_of<'a>(&self, member: &'a Value) -> Option<&'a str> {
        let properties = match self.form {
            Form::Rules => member,
            _ => member.get("properties")?,
        };
        properties.get(self.key)?.as_str()
    }

    /// Checks that a member of this form says this id.
    ///
    /// # Errors
    /// When it says another.
    pub(super) fn expect_id(&self, id: &str, thing: &Value) -> Result<(), TextError> {
        if self.id_of(thing) == Some(id) {
            return Ok(());
        }
        let whose = match self.form {
            Form::Rules => "an object with",
            _ => "a feature whose properties have",
        };
        let what = format!("{whose} \"{}\": {id:?}", self.key);
        Err(TextError::Thing(format!("expected {what}")))
    }

    fn put_member(&self, text: &str, id: &str, thing: &Value) -> Result<String, TextError> {
        self.expect_id(id, thing)?;
        let mut root = self.collection(text)?;
        let members = self.members(&mut root)?;
        match members.iter_mut().find(|old| self.id_of(old) == Some(id)) {
            Some(place) => *place = thing.clone(),
            None => members.push(thing.clone()),
        }
        Ok(root.to_string())
    }

    fn collection(&self, text: &str) -> Result<Value, TextError> {
        if text.is_empty() {
            return Ok(match self.form {
                Form::Rules => serde_json::json!({ "rules": [] }),
                _ => serde_json::json!({ "type": "FeatureCollection", "features": [] }),
            });
        }
        serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| TextError::Text(error.to_string()))
    }

    fn members<'a>(&self, root: &'a mut Value) -> Result<&'a mut Vec<Value>, TextError> {
        let name = match self.form {
            Form::Rules => "rules",
            _ => "features",
        };
        root.get_mut(name)
            .and_then(Value::as_array_mut)
            .ok_or_else(|| TextError::Text(format!("no array of {name}")))
    }

    fn row_of(&self, table: &Table, id: &str) -> Option<usize> {
        let column = table.header.iter().position(|name| name == self.key)?;
        let is_it = |row: &Vec<String>| row.get(column).is_some_and(|cell| cell == id);
        table.rows.iter().position(is_it)
    }

    fn put_row(&self, text: &str, id: &str, thing: &Value) -> Result<String, TextError> {
        let fields = thing.as_object().ok_or_else(|| {
            TextError::Thing("expected an object with a field for each column".into())
        })?;
        let mut fields = fields.clone();
        let own = fields.entry(self.key).or_insert_with(|| id.into());
        if own.as_str() != Some(id) {
            return Err(TextError::Thing(format!(
                "expected \"{}\": {id:?}",
                self.key
            )));
        }
        let mut table = Table::read(text)?;
        for name in fields.keys() {
            if !table.header.contains(name) {
                table.header.push(name.clone());
                table
                    .rows
                    .iter_mut()
                    .for_each(|row| row.push(String::new()));
            }
        }
        let row = table.row(&fields)?;
        match self
            .row_of(&table, id)
            .and_then(|at| table.rows.get_mut(at))
        {
            Some(place) => *place = row,
            None => table.rows.push(row),
        }
        table.write()
    }
}

/// A CSV text.
struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn read(text: &str) -> Result<Self, TextError> {
        let wrong = |error: csv::Error| TextError::Text(error.to_string());
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let cells = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
        let header = cells(reader.headers().map_err(wrong)?);
        let rows = reader
            .records()
            .map(|record| record.map(|record| cells(&record)))
            .collect::<Result<_, _>>()
            .map_err(wrong)?;
        Ok(Self { header, rows })
    }

    fn row(&self, fields: &Map<String, Value>) -> Result<Vec<String>, TextError> {
        let cell = |name: &String| match fields.get(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(Value::Bool(flag)) => Ok(flag.to_string()),
            Some(_) => Err(TextError::Thing(format!(
                "{name}: expected a text or number"
            ))),
        };
        self.header.iter().map(cell).collect()
    }

    fn write(&self) -> Result<String, TextError> {
        let wrong = |error: &dyn std::fmt::Display| TextError::Text(error.to_string());
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in std::iter::once(&self.header).chain(&self.rows) {
            writer.write_record(row).map_err(|error| wrong(&error))?;
        }
        let bytes = writer.into_inner().map_err(|error| wrong(&error))?;
        String::from_utf8(bytes).map_err(|error| wrong(&error))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(path: &str) -> &'static Kind {
        Kind::of_path(path).unwrap()
    }

    fn fence(id: &str, name: &str) -> Value {
        json!({ "type": "Feature", "geometry": null, "properties": { "id": id, "name": name } })
    }

    #[test]
    fn a_feature_is_put_in_the_place_of_its_elder() {
        let fences = kind("fences");
        let text = fences.put("", "a", &fence("a", "first")).unwrap();
        let text = fences.put(&text, "b", &fence("b", "other")).unwrap();
        let text = fences.put(&text, "a", &fence("a", "second")).unwrap();
        let root: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            root["features"],
            json!([fence("a", "second"), fence("b", "other")])
        );
        let text = fences.remove(&text, "a").unwrap();
        let root: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(root["features"], json!([fence("b", "other")]));
        let gone = fences.remove(&text, "a").unwrap_err();
        assert_eq!(gone.to_string(), "no id \"a\" there");
        let wrong = fences.put(&text, "a", &fence("b", "")).unwrap_err();
        assert!(matches!(wrong, TextError::Thing(_)), "{wrong}");
    }

    #[test]
    fn a_rule_is_put_and_removed_by_its_id() {
        let rules = kind("work-rules");
        let rule = |kind: &str| json!({ "id": "a", "kind": kind });
        let text = rules.put("", "a", &rule("idling")).unwrap();
        let text = rules.put(&text, "a", &rule("long_stop")).unwrap();
        assert_eq!(text, r#"{"rules":[{"id":"a","kind":"long_stop"}]}"#);
        assert_eq!(rules.remove(&text, "a").unwrap(), r#"{"rules":[]}"#);
        assert!(rules.remove(&text, "b").is_err());
        let wrong = rules.put(&text, "b", &rule("idling")).unwrap_err();
        assert!(matches!(wrong, TextError::Thing(_)), "{wrong}");
    }

    #[test]
    fn a_row_is_put_by_its_columns() {
        let vehicles = kind("vehicles");
        let text = "vehicle,phone\nV1,13800000001\n";
        let fields = json!({ "phone": "13800000002", "name": "a, \"b\"", "speed_limit_kmh": 40 });
        let text = vehicles.put(text, "V2", &fields).unwrap();
        let expected = "vehicle,phone,name,speed_limit_kmh\nV1,13800000001,,\n\
                        V2,13800000002,\"a, \"\"b\"\"\",40\n";
        assert_eq!(text, expected);
        let text = vehicles.put(&text, "V1", &json!({ "phone": "9" })).unwrap();
        assert!(text.contains("\nV1,9,,\n"), "{text}");
        let text = vehicles.remove(&text, "V2").unwrap();
        assert_eq!(text, "vehicle,phone,name,speed_limit_kmh\nV1,9,,\n");
        assert!(vehicles.remove(&text, "V2").is_err());
        assert!(
            vehicles
                .put(&text, "V2", &json!({ "vehicle": "V3" }))
                .is_err()
        );
        assert!(vehicles.put(&text, "V2", &json!({ "phone": [] })).is_err());
        let first = vehicles.put("", "V1", &json!({ "phone": "9" })).unwrap();
        assert_eq!(first, "phone,vehicle\n9,V1\n");
    }
}
