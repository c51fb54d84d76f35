//! Which terminal the catalog has for a number plate.

use std::{collections::HashMap, sync::Arc};

use geofence::{catalog::Catalog as Snapshot, identity::TerminalId};
use parking_lot::Mutex;

use super::handshake::Claim;
use crate::catalog::Catalog;

/// The plates of one version of the catalog, looked up at each registration.
#[derive(Debug, Default)]
pub struct Plates {
    current: Mutex<Option<(u32, Arc<Index>)>>,
}

/// By plate; `None` where several vehicles have the same one, which binds nobody.
type Index = HashMap<String, Option<TerminalId>>;

impl Plates {
    /// What the catalog says of the plate that a terminal sends. `color` 0 means that it is none.
    pub fn claim(&self, catalog: &Catalog, terminal: TerminalId, plate: &str, color: u8) -> Claim {
        let plate = plain(plate);
        if plate.is_empty() || color == 0 {
            return Claim::Nothing;
        }
        catalog.with(|snapshot| {
            let own = snapshot.vehicle_of(&terminal);
            match self.index(snapshot).get(&plate) {
                Some(Some(holder)) if *holder == terminal => Claim::Own,
                Some(Some(_)) => Claim::OfAnother,
                Some(None) => Claim::Nothing,
                // The catalog has the vehicle without a plate: there is nothing to compare.
                None if own.is_some_and(|own| plain(&own.plate).is_empty()) => Claim::Nothing,
                None => Claim::Unlisted,
            }
        })
    }

    fn index(&self, snapshot: &Snapshot) -> Arc<Index> {
        let mut current = self.current.lock();
        if let Some((version, index)) = &*current
            && *version == snapshot.version()
        {
            return Arc::clone(index);
        }
        let mut index = Index::new();
        for vehicle in snapshot.vehicles() {
            let plate = plain(&vehicle.plate);
            if !plate.is_empty() {
                index
                    .entry(plate)
                    .and_modify(|holder| *holder = None)
                    .or_insert(Some(vehicle.terminal));
            }
        }
        let index = Arc::new(index);
        *current = Some((snapshot.version(), Arc::clone(&index)));
        index
    }
}

/// Without what people write between the characters of a plate, or not.
fn plain(plate: &str) -> String {
    plate
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_uppercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CatalogFiles;

    #[test]
    fn a_plate_belongs_to_the_terminal_of_its_vehicle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vehicles.csv");
        let text =
            "vehicle,phone,plate\nV1,1,晋A·00001\nV2,2,晋A00002\nV3,3,\nV4,4,晋A9\nV5,5,晋A9\n";
        std::fs::write(&path, text).unwrap();
        let files = CatalogFiles {
            vehicles: Some(path),
            ..CatalogFiles::default()
        };
        let catalog = Catalog::load(&files).unwrap();
        let plates = Plates::default();
        let claim = |phone: &str, plate: &str, color| {
            plates.claim(&catalog, phone.parse().unwrap(), plate, color)
        };
        assert_eq!(claim("1", "晋a00001", 2), Claim::Own);
        assert_eq!(claim("1", "晋A00002", 2), Claim::OfAnother);
        assert_eq!(claim("1", "晋A00007", 2), Claim::Unlisted);
        assert_eq!(claim("1", "", 2), Claim::Nothing);
        assert_eq!(claim("1", "LSVAA4182E2184847", 0), Claim::Nothing);
        assert_eq!(
            claim("3", "晋A00007", 2),
            Claim::Nothing,
            "no plate in the catalog"
        );
        assert_eq!(claim("4", "晋A9", 2), Claim::Nothing, "two have it");
        assert_eq!(claim("7", "晋A00002", 2), Claim::OfAnother);
    }
}
