//! The catalog behind an edit of some fences: all else is shared with the one before.
//!
//! What did not change is neither read nor checked nor indexed again. Whatever is not plain (a
//! mistake, a plane that moves, a site that a route names) is left to reading everything anew, so
//! that both ways end in the same catalog, or in the same mistakes.

use std::{collections::HashSet, sync::Arc};

use serde_json::json;

use super::{
    Catalog, CatalogSources, ExemptSites,
    audience::audiences,
    features::Notes,
    fence::{self, Fence, FenceKind},
    fence_index::{CHANGED_MAX, FenceIndex},
    middle,
    places::Replaced,
    texts::Kind,
    union,
    work_rule::{AllowedSites, Demand, StopDemand},
};

impl Catalog {
    /// This catalog with another text of the fences; `None` where it must be read whole, with
    /// [`Self::load_after`]: also when there is a mistake, which is named there.
    #[must_use]
    pub fn with_fences(&self, text: &str) -> Option<Self> {
        let places = self.texts.fence_places.as_deref()?;
        let replaced = places.replaced(self.texts.get(Kind::Fences)?, text)?;
        let Replaced { gone, new, places } = replaced;
        let count = new.len();
        if count.max(gone.len()) > CHANGED_MAX {
            return None;
        }
        let (before, behind) = (self.fences.get(..gone.start)?, self.fences.get(gone.end..)?);
        let mut mistakes = Vec::new();
        let notes = &mut Notes {
            file: "",
            mistakes: &mut mistakes,
        };
        let root = json!({ "type": "FeatureCollection", "features": new });
        let vehicles = self.vehicles.as_slice();
        let known = self.texts.get(Kind::Vehicles).map(|_| vehicles);
        let drafts = fence::read(&root, known, notes);
        let extents = drafts.iter().filter_map(|draft| draft.fence.extent);
        let kept = before.iter().chain(behind);
        let extents = extents.chain(kept.clone().filter_map(|fence| fence.extent));
        let of_others = [self.grids.bounds, self.routes.bounds, self.duty_bounds];
        let bounds = union(extents.chain(of_others.into_iter().flatten()))?;
        if middle(bounds) != self.plane {
            return None;
        }
        let new = fence::lay(drafts, &self.plane, notes);
        if new.len() != count || !mistakes.is_empty() {
            return None;
        }
        let ids: HashSet<&str> = new.iter().map(|fence| &*fence.id).collect();
        if kept.clone().any(|fence| ids.contains(&*fence.id)) {
            return None;
        }
        let lost = self.fences.get(gone.clone())?.iter();
        if lost
            .filter(|old| is_lost(old, &new))
            .any(|site| self.names_site(&site.id))
        {
            return None;
        }
        let new = new.into_iter().map(Arc::new);
        let fences: Vec<Arc<Fence>> = before
            .iter()
            .cloned()
            .chain(new)
            .chain(behind.iter().cloned())
            .collect();
        let texts = self.texts.with_fences(text, places);
        let mut vehicles = Vec::clone(&self.vehicles);
        let audiences = audiences(&fences, &self.routes.all, &self.work, &mut vehicles);
        let is_same = vehicles == *self.vehicles;
        Some(Self {
            version: texts.version(&fences),
            plane: self.plane,
            bounds: Some(bounds),
            grids: Arc::clone(&self.grids),
            fence_index: self.fence_index.edited(&fences, &gone, count),
            by_fingerprint: Arc::new(super::by_fingerprint(&fences)),
            routes: Arc::clone(&self.routes),
            work: Arc::clone(&self.work),
            audiences: if audiences == *self.audiences {
                Arc::clone(&self.audiences)
            } else {
                Arc::new(audiences)
            },
            fences: Arc::new(fences),
            vehicles: if is_same {
                Arc::clone(&self.vehicles)
            } else {
                Arc::new(vehicles)
            },
            by_terminal: Arc::clone(&self.by_terminal),
            duties: Arc::clone(&self.duties),
            duty_bounds: self.duty_bounds,
            texts,
        })
    }

    /// The text of the fences with this feature in the place of the one of an id, or behind all
    /// others; without the one of the id where no feature is given. `None` where the text must be
    /// read to say it, or there is none to take away.
    #[must_use]
    pub fn fence_text_with(&self, id: &str, feature: Option<&str>) -> Option<String> {
        let (text, places) = (
            self.texts.get(Kind::Fences)?,
            self.texts.fence_places.as_deref()?,
        );
        let index = self.fences.iter().position(|fence| fence.id == id);
        match feature {
            Some(feature) => places.put(text, index, feature),
            None => places.remove(text, index?),
        }
    }

    /// This catalog with all its fences in one index, where many edits have left too much beside it;
    /// `None` where there is little to gain. It takes as long as some fifty edits.
    #[must_use]
    pub fn merged(&self) -> Option<Self> {
        self.fence_index.is_grown().then(|| Self {
            fence_index: FenceIndex::build(&self.fences),
            ..self.clone()
        })
    }

    pub(super) fn edited(&self, sources: &CatalogSources) -> Option<Self> {
        self.with_fences(self.texts.fences_of_edit(sources)?)
    }

    /// A route or a rule of work names this site.
    fn names_site(&self, id: &str) -> bool {
        let by_route = self
            .routes
            .all
            .iter()
            .any(|route| match &route.exempt_sites {
                ExemptSites::All => false,
                ExemptSites::Only(ids) => ids.iter().any(|own| own == id),
            });
        by_route
            || self.work_rules().iter().any(|rule| {
                let sites = match &rule.demand {
                    Demand::LongStop(StopDemand { sites, .. })
                    | Demand::Idling(StopDemand { sites, .. }) => sites,
                    Demand::Unloading(unloading) => &unloading.sites,
                    _ => return false,
                };
                matches!(sites, AllowedSites::Only(ids) if ids.iter().any(|own| own == id))
            })
    }
}

/// The fence was a site, and is none any more.
fn is_lost(old: &Fence, new: &[Fence]) -> bool {
    let is_same = |fence: &Fence| fence.kind == FenceKind::Site && fence.id == old.id;
    old.kind == FenceKind::Site && !new.iter().any(is_same)
}

#[cfg(test)]
mod tests;
