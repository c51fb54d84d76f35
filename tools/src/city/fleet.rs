//! Fleets and their vehicles.

use std::fmt::Write as _;

use super::DISTRICTS;

/// What a vehicle does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkKind {
    /// Sweeps at walking pace.
    Sweeper,
    /// Flushes streets, faster.
    Sprinkler,
    /// Collects refuse with many stops.
    RefuseTruck,
    /// Walks his grids.
    Inspector,
}

impl WorkKind {
    /// The word in the catalog.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sweeper => "sweeper",
            Self::Sprinkler => "sprinkler",
            Self::RefuseTruck => "refuse_truck",
            Self::Inspector => "inspector",
        }
    }

    /// The word for people.
    const fn name(self) -> &'static str {
        match self {
            Self::Sweeper => "洗扫车",
            Self::Sprinkler => "洒水车",
            Self::RefuseTruck => "垃圾车",
            Self::Inspector => "巡查员",
        }
    }

    /// The letter in the middle of a plate.
    const fn letter(self) -> char {
        match self {
            Self::Sweeper => 'S',
            Self::Sprinkler => 'P',
            Self::RefuseTruck => 'L',
            Self::Inspector => 'X',
        }
    }
}

/// The vehicles of one district.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// `fleet-` and the district's code.
    pub id: String,
    /// For people.
    pub name: String,
    /// Index of its duty area in [`super::City::fence_list`].
    pub duty_area: usize,
}

/// A vehicle, or an inspector with a portable terminal.
#[derive(Clone, Debug, PartialEq)]
pub struct Vehicle {
    /// Its id in the catalog.
    pub vehicle: String,
    /// Eleven digits: the terminal's phone number without padding.
    pub phone: String,
    /// Licence plate; empty for inspectors.
    pub plate: String,
    /// What it does.
    pub work_kind: WorkKind,
    /// Index in [`super::City::fleets`].
    pub fleet: usize,
    /// For people.
    pub name: String,
    /// Its own limit in km/h.
    pub speed_limit_kmh: Option<f64>,
}

/// Twenty vehicles as a city has them: 6 sweepers, 4 sprinklers, 5 refuse trucks, 5 inspectors,
/// the kinds mixed so that a small fleet has them all.
const MIX: [WorkKind; 20] = {
    use WorkKind::{Inspector as I, RefuseTruck as R, Sprinkler as P, Sweeper as S};
    [R, S, P, I, S, R, I, P, S, I, R, S, P, I, R, S, I, R, S, P]
};

/// Deals vehicles over the fleets.
pub(super) fn vehicles(fleets: &[Fleet], count: u32) -> Vec<Vehicle> {
    (0..count)
        .zip((0..fleets.len()).cycle())
        .map(|(index, fleet)| {
            let round = index as usize / fleets.len().max(1);
            let work_kind = MIX
                .iter()
                .copied()
                .cycle()
                .nth(round % MIX.len())
                .unwrap_or(MIX[0]);
            vehicle(u64::from(index), fleet, work_kind)
        })
        .collect()
}

/// The vehicle of this index in the list.
pub(super) fn vehicle(index: u64, fleet: usize, work_kind: WorkKind) -> Vehicle {
    let number = index + 1;
    let district = DISTRICTS.get(fleet).map_or("", |district| district.name);
    let is_driven = work_kind != WorkKind::Inspector;
    Vehicle {
        vehicle: format!("V{number:05}"),
        phone: format!("138{number:08}"),
        plate: if is_driven {
            // Four digits and the letter; beyond 9,999 the first letter steps on.
            let lead = char::from(b'A' + u8::try_from(number / 10_000 % 26).unwrap_or(0));
            let plate_number = number % 10_000;
            if number < 10_000 {
                format!("晋A{}{plate_number:04}", work_kind.letter())
            } else {
                format!("晋A{lead}{plate_number:04}")
            }
        } else {
            String::new()
        },
        work_kind,
        fleet,
        name: format!("{district}{}{number:03}", work_kind.name()),
        speed_limit_kmh: is_driven.then_some(60.0),
    }
}

/// The vehicles as the catalog reads them.
pub(super) fn csv(vehicles: &[Vehicle], fleets: &[Fleet]) -> String {
    let mut text = String::from("vehicle,phone,plate,work_kind,fleet,name,speed_limit_kmh\n");
    for v in vehicles {
        let fleet = fleets.get(v.fleet).map_or("", |fleet| &fleet.id);
        let limit = v
            .speed_limit_kmh
            .map(|limit| limit.to_string())
            .unwrap_or_default();
        let (kind, phone) = (v.work_kind.as_str(), &v.phone);
        // None of these values holds a comma or a quote; writing into a String cannot fail.
        _ = writeln!(
            text,
            "{},{phone},{},{kind},{fleet},{},{limit}",
            v.vehicle, v.plate, v.name
        );
    }
    text
}
