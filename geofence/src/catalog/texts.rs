//! The texts that a catalog was made of, kept to be told apart from those of the next one.

use std::sync::Arc;

use super::{CatalogSources, CodeLayout, fence::Fence, places::Places};

/// One of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    UnitGrids,
    Fences,
    Vehicles,
    Routes,
    WorkRules,
    Calendar,
    Shifts,
    ResponsibilityGrids,
    Assignments,
}

impl Kind {
    /// Every kind, in the order in which they count for the version.
    const ALL: [Self; 9] = [
        Self::UnitGrids,
        Self::Fences,
        Self::Vehicles,
        Self::Routes,
        Self::WorkRules,
        Self::Calendar,
        Self::Shifts,
        Self::ResponsibilityGrids,
        Self::Assignments,
    ];

    fn of(self, sources: &CatalogSources) -> Option<&str> {
        let source = match self {
            Self::UnitGrids => &sources.unit_grids,
            Self::Fences => &sources.fences,
            Self::Vehicles => &sources.vehicles,
            Self::Routes => &sources.routes,
            Self::WorkRules => &sources.work_rules,
            Self::Calendar => &sources.calendar,
            Self::Shifts => &sources.shifts,
            Self::ResponsibilityGrids => &sources.responsibility_grids,
            Self::Assignments => &sources.assignments,
        };
        source.as_ref().map(|(_, text)| &**text)
    }
}

/// The texts of a catalog; those that did not change are shared by its versions.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    /// By the places of their kinds in [`Kind::ALL`].
    all: [Option<Text>; Kind::ALL.len()],
    /// Where the fences stand; `None` where that is not plain.
    pub(super) fence_places: Option<Arc<Places>>,
    pub(super) code_layouts: Vec<CodeLayout>,
    counties: Vec<String>,
}

#[derive(Clone, Debug)]
struct Text {
    text: Arc<str>,
    /// 0 for fences: theirs are asked one by one.
    digest: u64,
}

impl Texts {
    /// Those of the sources, shared with another catalog where they are the same.
    pub(super) fn of(sources: &CatalogSources, before: Option<&Self>) -> Self {
        let all = Kind::ALL.map(|kind| {
            let text = kind.of(sources)?;
            let same = before.filter(|before| before.get(kind) == Some(text));
            let same = same.and_then(|before| before.all.get(kind as usize)?.clone());
            Some(same.unwrap_or_else(|| Text {
                text: text.into(),
                digest: match kind {
                    Kind::Fences => 0,
                    _ => super::hash(text.as_bytes()),
                },
            }))
        });
        let places = Kind::Fences.of(sources).and_then(Places::find);
        Self {
            all,
            fence_places: places.map(Arc::new),
            code_layouts: sources.code_layouts.clone(),
            counties: sources.counties.clone(),
        }
    }

    /// What they say of each kind, without the texts: they can only be told apart.
    pub(super) fn digests(&self) -> Self {
        let all = self.all.each_ref().map(|text| {
            text.as_ref().map(|text| Text {
                text: Arc::default(),
                digest: text.digest,
            })
        });
        Self {
            all,
            ..Self::default()
        }
    }

    /// Whether both have the same text of a kind, other than of the fences, by its digest.
    pub(super) fn has_same(&self, kind: Kind, other: &Self) -> bool {
        let digest = |texts: &Self| {
            let text = texts.all.get(kind as usize)?.as_ref()?;
            Some(text.digest)
        };
        kind != Kind::Fences && digest(self) == digest(other)
    }

    pub(super) fn get(&self, kind: Kind) -> Option<&str> {
        let text = self.all.get(kind as usize)?.as_ref();
        text.map(|text| &*text.text)
    }

    pub(super) fn with_fences(&self, text: &str, places: Places) -> Self {
        let mut texts = self.clone();
        if let Some(place) = texts.all.get_mut(Kind::Fences as usize) {
            *place = Some(Text {
                text: text.into(),
                digest: 0,
            });
        }
        texts.fence_places = Some(Arc::new(places));
        texts
    }

    /// Whether a text of the sources is the same, and is read by the same rules.
    pub(super) fn is_same(&self, kind: Kind, sources: &CatalogSources) -> bool {
        let is_by_same_rules = kind != Kind::UnitGrids
            || (self.code_layouts == sources.code_layouts && self.counties == sources.counties);
        is_by_same_rules && self.get(kind) == kind.of(sources)
    }

    /// Whether nothing changed but the fences, which are there before and after.
    pub(super) fn fences_of_edit<'a>(&self, sources: &'a CatalogSources) -> Option<&'a str> {
        let mut others = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Fences);
        let is_edit = others.all(|kind| self.is_same(kind, sources));
        Kind::Fences.of(sources).filter(|_| is_edit)
    }

    /// A digest of everything. Of the text of the fences only what it says counts.
    pub(super) fn version(&self, fences: &[Arc<Fence>]) -> u32 {
        let mut bytes = Vec::new();
        for (index, text) in (0_u8..).zip(&self.all) {
            if let Some(text) = text {
                bytes.push(index);
                bytes.extend(text.digest.to_le_bytes());
            }
        }
        bytes.extend(fences.iter().flat_map(|fence| fence.digest.to_le_bytes()));
        let version = super::hash(&bytes);
        u32::try_from((version ^ version >> 32) & u64::from(u32::MAX)).unwrap_or(0)
    }
}
