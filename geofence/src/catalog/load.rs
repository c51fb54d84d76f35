//! Making a catalog from its texts.

use std::{collections::HashMap, sync::Arc};

use super::{
    Catalog, CatalogMistake, CatalogSources, Extent, Grids, Routes,
    audience::audiences,
    bounds, by_fingerprint, duty,
    features::{Notes, Vertex},
    fence::{self, Fence, FenceKind},
    fence_index::FenceIndex,
    middle, parse, route,
    texts::{Kind, Texts},
    union,
    unit_grid::{self, UnitGrid},
    vehicle::{self, Vehicle},
    work_rule::{self, WorkRule, WorkRules},
};
use crate::geometry::{Plane, Raster};

impl Catalog {
    /// Reads and checks the texts.
    ///
    /// # Errors
    /// Every mistake of every text, with its place.
    pub fn load(sources: &CatalogSources) -> Result<Self, Vec<CatalogMistake>> {
        Self::load_with(None, sources)
    }

    /// The same catalog, or the same mistakes, in less time and memory: what did not change since
    /// this one is taken from it.
    ///
    /// # Errors
    /// Every mistake of every text, with its place.
    pub fn load_after(&self, sources: &CatalogSources) -> Result<Self, Vec<CatalogMistake>> {
        match self.edited(sources) {
            Some(edited) => Ok(edited),
            None => Self::load_with(Some(self), sources),
        }
    }

    fn load_with(
        before: Option<&Self>,
        sources: &CatalogSources,
    ) -> Result<Self, Vec<CatalogMistake>> {
        let kept = Kept::of(before, sources);
        let mut mistakes = Vec::new();
        let mut drafts = Drafts::read(sources, &kept, &mut mistakes);
        let of_parts = drafts.bounds(&kept);
        let bounds = union(of_parts.into_iter().flatten());
        let plane = bounds.map_or_else(Plane::without_city, middle);
        if kept.is_any() && before.is_some_and(|before| before.plane != plane) {
            // Everything lies elsewhere on it.
            return Self::load_with(None, sources);
        }
        let noted = &mut mistakes;
        let grids = laid(drafts.grids.take(), noted, |drafts, notes| {
            unit_grid::lay(drafts, &plane, notes)
        });
        let fences = laid(drafts.fences.take(), noted, |drafts, notes| {
            fence::lay(drafts, &plane, notes)
        });
        let routes = laid(drafts.routes.take(), noted, |drafts, notes| {
            route::lay(drafts, &plane, notes)
        });
        let all: &[UnitGrid] = match (kept.grids, &grids) {
            (Some(kept), _) => &kept.all,
            (None, grids) => grids.as_deref().unwrap_or_default(),
        };
        let mut duties = duty::lay(drafts.duty, all, sources, &plane, &mut mistakes);
        if let (Some(vehicles), Some((file, _))) = (&mut drafts.vehicles, &sources.assignments) {
            mistakes.extend(duties.enrol(vehicles, file));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let [of_grids, _, of_routes, duty_bounds] = of_parts;
        let grids = || Arc::new(Grids::new(grids.unwrap_or_default(), of_grids));
        let grids = kept.grids.map_or_else(grids, Arc::clone);
        let routes = || Arc::new(Routes::new(routes.unwrap_or_default(), of_routes));
        let routes = kept.routes.map_or_else(routes, Arc::clone);
        let own = || {
            let fences = fences.unwrap_or_default().into_iter().map(Arc::new);
            let fences: Vec<Arc<Fence>> = fences.collect();
            let index = FenceIndex::build(&fences);
            (Arc::new(fences), index)
        };
        let shared = kept.fences;
        let (fences, fence_index) = shared.map_or_else(own, |kept| {
            (Arc::clone(&kept.fences), kept.fence_index.clone())
        });
        let work = WorkRules::new(drafts.rules, sources.work_rules.as_ref());
        let mut vehicles = drafts.vehicles.unwrap_or_default();
        let audiences = audiences(&fences, &routes.all, &work, &mut vehicles);
        let terminals = vehicles.iter().map(|vehicle| vehicle.terminal);
        let mut texts = Texts::of(sources, before.map(|before| &before.texts));
        let places = texts.fence_places.take();
        texts.fence_places = places.filter(|places| places.features.len() == fences.len());
        Ok(Self {
            version: texts.version(&fences),
            plane,
            bounds,
            grids,
            by_fingerprint: Arc::new(by_fingerprint(&fences)),
            fences,
            fence_index,
            routes,
            work: Arc::new(work),
            by_terminal: Arc::new(terminals.zip(0..).collect()),
            vehicles: Arc::new(vehicles),
            duties: Arc::new(duties),
            duty_bounds,
            audiences: Arc::new(audiences),
            texts,
        })
    }
}

impl Grids {
    fn new(all: Vec<UnitGrid>, bounds: Option<Extent>) -> Self {
        let raster = Raster::build(all.iter().map(|grid| &grid.shape), Raster::FINE);
        Self {
            all,
            raster,
            bounds,
        }
    }
}

impl Routes {
    fn new(all: Vec<route::Route>, bounds: Option<Extent>) -> Self {
        let by_fingerprint: HashMap<u64, u32> =
            all.iter().map(|route| route.fingerprint).zip(0..).collect();
        Self {
            all,
            by_fingerprint,
            bounds,
        }
    }
}

fn laid<D, T>(
    drafts: Option<(&str, D)>,
    mistakes: &mut Vec<CatalogMistake>,
    lay: impl FnOnce(D, &mut Notes<'_>) -> T,
) -> Option<T> {
    drafts.map(|(file, drafts)| lay(drafts, &mut Notes { file, mistakes }))
}

/// What is taken from the catalog before: its text did not change, nor any that it was checked with.
#[derive(Default)]
struct Kept<'a> {
    grids: Option<&'a Arc<Grids>>,
    /// With their index.
    fences: Option<&'a Catalog>,
    routes: Option<&'a Arc<Routes>>,
}

impl<'a> Kept<'a> {
    fn of(before: Option<&'a Catalog>, sources: &CatalogSources) -> Self {
        let Some(before) = before else {
            return Self::default();
        };
        let is_same = |kind| before.texts.is_same(kind, sources);
        let has_same_vehicles = is_same(Kind::Vehicles);
        let has_same_fences = has_same_vehicles && is_same(Kind::Fences);
        let has_same_routes = has_same_fences && is_same(Kind::Routes);
        Self {
            grids: is_same(Kind::UnitGrids).then_some(&before.grids),
            fences: has_same_fences.then_some(before),
            routes: has_same_routes.then_some(&before.routes),
        }
    }

    const fn is_any(&self) -> bool {
        self.grids.is_some() || self.fences.is_some() || self.routes.is_some()
    }
}

/// The texts as they were read, before there is a plane, with the names of their files. There are
/// none of what is kept.
struct Drafts<'a> {
    vehicles: Option<Vec<Vehicle>>,
    grids: Option<(&'a str, Vec<unit_grid::Draft>)>,
    fences: Option<(&'a str, Vec<fence::Draft>)>,
    routes: Option<(&'a str, Vec<route::Draft>)>,
    rules: Vec<WorkRule>,
    duty: duty::Draft,
}

impl<'a> Drafts<'a> {
    fn read(
        sources: &'a CatalogSources,
        kept: &Kept<'_>,
        mistakes: &mut Vec<CatalogMistake>,
    ) -> Self {
        let vehicles = sources
            .vehicles
            .as_ref()
            .map(|(file, text)| vehicle::read(text, &mut Notes { file, mistakes }));
        let known = vehicles.as_deref();
        let fresh = |source: &'a Option<(String, String)>, is_kept: bool| {
            source.as_ref().filter(|_| !is_kept)
        };
        let grids = parse(fresh(&sources.unit_grids, kept.grids.is_some()), mistakes);
        let fences = parse(fresh(&sources.fences, kept.fences.is_some()), mistakes);
        let routes = parse(fresh(&sources.routes, kept.routes.is_some()), mistakes);
        let rules = parse(sources.work_rules.as_ref(), mistakes);
        let grids = grids.map(|(file, root)| {
            let notes = &mut Notes { file, mistakes };
            let (layouts, counties) = (&sources.code_layouts, &sources.counties);
            (file, unit_grid::read(&root, layouts, counties, notes))
        });
        let fences = fences.map(|(file, root)| {
            (
                file,
                fence::read(&root, known, &mut Notes { file, mistakes }),
            )
        });
        // Fences that cannot be read have sites that nobody knows.
        let is_known = kept.fences.is_some() || fences.is_some() || sources.fences.is_none();
        let of_kept = kept.fences.into_iter().flat_map(|kept| &*kept.fences);
        let of_kept = of_kept.map(|fence| &**fence);
        let drafts = fences.iter().flat_map(|(_, drafts)| drafts);
        let all = of_kept.chain(drafts.map(|draft| &draft.fence));
        let sites = all.filter(|fence| fence.kind == FenceKind::Site);
        let sites: Vec<&str> = sites.map(|fence| &*fence.id).collect();
        let sites = is_known.then_some(&*sites);
        let routes = routes.map(|(file, root)| {
            let notes = &mut Notes { file, mistakes };
            (file, route::read(&root, known, sites, notes))
        });
        let rules = rules.map(|(file, root)| {
            work_rule::read(&root, known, sites, &mut Notes { file, mistakes })
        });
        let duty = duty::read(sources, known, mistakes);
        Self {
            grids,
            fences,
            routes,
            rules: rules.unwrap_or_default(),
            duty,
            vehicles,
        }
    }

    /// About the unit grids, fences, routes and duty areas.
    fn bounds(&self, kept: &Kept<'_>) -> [Option<Extent>; 4] {
        let of_grids = self.grids.iter().flat_map(|(_, drafts)| drafts);
        let of_grids = of_grids.flat_map(|draft| draft.rings.iter().flatten().copied());
        let of_kept = kept.fences.into_iter().flat_map(|kept| &*kept.fences);
        let of_fences = self.fences.iter().flat_map(|(_, drafts)| drafts);
        let of_fences = of_fences.filter_map(|draft| draft.fence.extent);
        let of_fences = of_fences.chain(of_kept.filter_map(|fence| fence.extent));
        let of_routes = self.routes.iter().flat_map(|(_, drafts)| drafts);
        let of_routes = of_routes.flat_map(route::Draft::vertices);
        let or = |kept: Option<Option<Extent>>, vertices: &mut dyn Iterator<Item = Vertex>| {
            kept.unwrap_or_else(|| bounds(vertices))
        };
        [
            or(kept.grids.map(|kept| kept.bounds), &mut { of_grids }),
            union(of_fences),
            or(kept.routes.map(|kept| kept.bounds), &mut { of_routes }),
            bounds(self.duty.vertices()),
        ]
    }
}
