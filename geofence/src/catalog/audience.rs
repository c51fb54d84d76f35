//! Which fences, routes and rules of work concern whom.

use std::{collections::HashMap, sync::Arc};

use super::{
    fence::{AppliesTo, Fence, FenceKind},
    route::Route,
    vehicle::{Vehicle, WorkKind},
    work_rule::WorkRules,
};

/// Which fences and routes concern the members of an audience.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Audience {
    /// One bit a fence; shared by those who are concerned by the same. `None` is by none.
    concerned: Option<Arc<[u64]>>,
    /// The stay-in fences among them.
    stay_in: Vec<u32>,
    /// The routes that its members drive.
    routes: Vec<u32>,
    /// The rules of work that concern them, the nearest first.
    rules: Vec<u32>,
}

impl Audience {
    pub(super) const NOBODY: &'static Self = &Self {
        concerned: None,
        stay_in: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
    };

    pub(crate) fn is_concerned(&self, fence: u32) -> bool {
        let words = self.concerned.as_deref();
        let word = words.and_then(|words| words.get(fence as usize / 64));
        let word = word.copied().unwrap_or(0);
        word >> (fence % 64) & 1 == 1
    }

    pub(crate) fn stay_in(&self) -> &[u32] {
        &self.stay_in
    }

    pub(crate) fn routes(&self) -> &[u32] {
        &self.routes
    }

    pub(crate) fn rules(&self) -> &[u32] {
        &self.rules
    }

    pub(super) const fn concerned(&self) -> Option<&Arc<[u64]>> {
        self.concerned.as_ref()
    }

    /// How many bytes the lists of places take.
    pub(super) const fn places_bytes(&self) -> usize {
        (self.stay_in.len() + self.routes.len() + self.rules.len()) * size_of::<u32>()
    }

    /// Takes the stay-in fences out of the bits of all of them.
    fn find_stay_in(&mut self, stay_in: &[u64]) {
        let own = self.concerned.iter().flat_map(|words| &**words);
        for (index, (own, mask)) in (0_u32..).zip(own.zip(stay_in)) {
            let mut bits = own & mask;
            while bits != 0 {
                self.stay_in.push(index * 64 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
    }
}

/// The audiences of a catalog, each once; the first is that of terminals without a vehicle. Every
/// vehicle learns which is its own.
///
/// No vehicle is asked about every fence: a fence says whom it concerns.
pub(super) fn audiences(
    fences: &[Arc<Fence>],
    routes: &[Route],
    work: &WorkRules,
    vehicles: &mut [Vehicle],
) -> Vec<Audience> {
    let mut everybody = vec![0; fences.len().div_ceil(64)];
    let mut stay_in = everybody.clone();
    for (index, fence) in (0_u32..).zip(fences) {
        if fence.applies_to.is_everybody() {
            set(&mut everybody, index);
        }
        if fence.kind == FenceKind::StayIn {
            set(&mut stay_in, index);
        }
    }
    let everybody: Arc<[u64]> = everybody.into();
    let of_fences = Named::new(fences.iter().map(|fence| &fence.applies_to));
    let of_routes = Named::new(routes.iter().map(|route| &route.applies_to));
    let mut nobody = Audience {
        concerned: Some(Arc::clone(&everybody)),
        rules: work.nearest(None),
        ..Audience::default()
    };
    nobody.find_stay_in(&stay_in);
    let mut audiences = vec![nobody];
    let mut known: HashMap<Audience, usize> = HashMap::new();
    for vehicle in vehicles {
        let mut audience = Audience {
            concerned: Some(Arc::clone(&everybody)),
            stay_in: Vec::new(),
            routes: of_routes.of(vehicle).collect(),
            rules: work.nearest(Some(vehicle)),
        };
        let own: Vec<u32> = of_fences.of(vehicle).collect();
        if !own.is_empty() {
            let mut words = everybody.to_vec();
            own.into_iter().for_each(|index| set(&mut words, index));
            audience.concerned = Some(words.into());
        }
        audience.find_stay_in(&stay_in);
        audience.routes.sort_unstable();
        audience.routes.dedup();
        vehicle.audience = *known.entry(audience).or_insert_with_key(|audience| {
            audiences.push(audience.clone());
            audiences.len() - 1
        });
    }
    audiences
}

fn set(bits: &mut [u64], index: u32) {
    if let Some(word) = bits.get_mut(index as usize / 64) {
        *word |= 1 << (index % 64);
    }
}

/// The places of things by whom they name.
struct Named<'a> {
    vehicles: HashMap<&'a str, Vec<u32>>,
    fleets: HashMap<&'a str, Vec<u32>>,
    work_kinds: HashMap<WorkKind, Vec<u32>>,
}

impl<'a> Named<'a> {
    fn new(all: impl Iterator<Item = &'a AppliesTo>) -> Self {
        let mut named = Self {
            vehicles: HashMap::new(),
            fleets: HashMap::new(),
            work_kinds: HashMap::new(),
        };
        for (index, applies_to) in (0_u32..).zip(all) {
            for id in &applies_to.vehicles {
                named.vehicles.entry(id).or_default().push(index);
            }
            for id in &applies_to.fleets {
                named.fleets.entry(id).or_default().push(index);
            }
            for kind in &applies_to.work_kinds {
                named.work_kinds.entry(*kind).or_default().push(index);
            }
        }
        named
    }

    /// Some more than once.
    fn of(&self, vehicle: &Vehicle) -> impl Iterator<Item = u32> {
        let of_vehicle = self.vehicles.get(&*vehicle.id).into_iter().flatten();
        let of_fleet = self.fleets.get(&*vehicle.fleet).into_iter().flatten();
        let of_kind = self
            .work_kinds
            .get(&vehicle.work_kind)
            .into_iter()
            .flatten();
        of_vehicle.chain(of_fleet).chain(of_kind).copied()
    }
}
