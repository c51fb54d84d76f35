//! What a catalog is made from.

use super::CodeLayout;

/// The texts of a catalog, each with the name that its mistakes are reported under.
#[derive(Clone, Debug)]
pub struct CatalogSources {
    /// GeoJSON.
    pub unit_grids: Option<(String, String)>,
    /// GeoJSON.
    pub fences: Option<(String, String)>,
    /// GeoJSON.
    pub routes: Option<(String, String)>,
    /// JSON.
    pub work_rules: Option<(String, String)>,
    /// CSV.
    pub vehicles: Option<(String, String)>,
    /// CSV.
    pub calendar: Option<(String, String)>,
    /// CSV.
    pub shifts: Option<(String, String)>,
    /// GeoJSON.
    pub responsibility_grids: Option<(String, String)>,
    /// CSV.
    pub assignments: Option<(String, String)>,
    /// The layouts that codes of unit grids may have.
    pub code_layouts: Vec<CodeLayout>,
    /// The county-level areas that codes must begin with; any when empty.
    pub counties: Vec<String>,
}

impl Default for CatalogSources {
    fn default() -> Self {
        Self {
            unit_grids: None,
            fences: None,
            routes: None,
            work_rules: None,
            vehicles: None,
            calendar: None,
            shifts: None,
            responsibility_grids: None,
            assignments: None,
            code_layouts: vec![CodeLayout::FIFTEEN, CodeLayout::FOURTEEN],
            counties: Vec::new(),
        }
    }
}
