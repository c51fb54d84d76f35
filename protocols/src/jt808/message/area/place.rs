//! 0x8600 to 0x8607: places (经纬度), whose hemispheres are bits of attributes.

use crate::{
    jt808::message::{
        json::{self, JsonError, JsonProblem, Object},
        location_report::MicroDegrees,
    },
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// A place in WGS-84, without its hemispheres: two DWORDs, the latitude first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Latitude.
    pub latitude: MicroDegrees,
    /// Longitude.
    pub longitude: MicroDegrees,
}

impl Place {
    pub(in super::super) fn decode(r: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            latitude: MicroDegrees(r.dword("latitude")?),
            longitude: MicroDegrees(r.dword("longitude")?),
        })
    }

    pub(in super::super) fn encode(self, w: &mut Writer) -> Result<(), EncodeError> {
        w.dword(self.latitude.0);
        w.dword(self.longitude.0);
        Ok(())
    }

    /// Adds `lat` and `lon`, with a prefix before them.
    pub(in super::super) fn put(
        self,
        object: &mut Object,
        prefix: &str,
        is_south: bool,
        is_west: bool,
    ) {
        let mut put = |name, word: MicroDegrees, is_negative| {
            let degrees = json::degrees(word.0, is_negative);
            json::put(object, &format!("{prefix}{name}"), degrees);
        };
        put("lat", self.latitude, is_south);
        put("lon", self.longitude, is_west);
    }

    /// Takes `lat` and `lon`, with a prefix before them, and adds what their signs say.
    pub(in super::super) fn take(
        object: &mut Object,
        prefix: &str,
        signs: &mut Signs,
    ) -> Result<Self, JsonError> {
        let name = |name| format!("{prefix}{name}");
        let mut degrees = |name: &str, limit| {
            let value = json::take(object, name)?;
            json::micro_degrees(&value, name, limit)
        };
        let (latitude, is_south) = degrees(&name("lat"), 90)?;
        let (longitude, is_west) = degrees(&name("lon"), 180)?;
        signs.south = same(signs.south, latitude, is_south, &name("lat"))?;
        signs.west = same(signs.west, longitude, is_west, &name("lon"))?;
        Ok(Self {
            latitude: MicroDegrees(latitude),
            longitude: MicroDegrees(longitude),
        })
    }
}

/// Which hemispheres the signs of places say, where they say one: 0 has no sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// South, not north.
    pub(in super::super) south: Option<bool>,
    /// West, not east.
    pub(in super::super) west: Option<bool>,
}

/// One bit says the hemisphere of all places.
fn same(
    said: Option<bool>,
    magnitude: u32,
    is_negative: bool,
    name: &str,
) -> Result<Option<bool>, JsonError> {
    match said {
        _ if magnitude == 0 => Ok(said),
        Some(said) if said != is_negative => {
            let problem = JsonProblem::Expected("in the hemisphere of the other places");
            Err(JsonError::new(name, problem))
        }
        _ => Ok(Some(is_negative)),
    }
}

#[cfg(test)]
impl crate::jt808::message::arbitrary::Arbitrary for Place {
    fn arbitrary(
        c: &mut crate::jt808::message::arbitrary::Choices,
        revision: crate::jt808::Revision,
    ) -> Self {
        let word: u32 = c.any(revision);
        let (latitude, longitude) = match c.below(4) {
            0 => (0, word % 180_000_001),
            _ => (word % 90_000_001, word % 180_000_001),
        };
        Self {
            latitude: MicroDegrees(latitude),
            longitude: MicroDegrees(longitude),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn take(value: &serde_json::Value, signs: &mut Signs) -> Result<Place, JsonError> {
        let mut object = value.as_object().cloned().unwrap();
        Place::take(&mut object, "", signs)
    }

    #[test]
    fn all_places_are_in_one_hemisphere() {
        let mut signs = Signs::default();
        take(&json!({ "lat": 0.0, "lon": 113.5 }), &mut signs).unwrap();
        assert_eq!((signs.south, signs.west), (None, Some(false)));
        let place = take(&json!({ "lat": -22.5, "lon": 113.6 }), &mut signs).unwrap();
        assert_eq!(place.latitude, MicroDegrees(22_500_000));
        assert_eq!((signs.south, signs.west), (Some(true), Some(false)));
        let error = take(&json!({ "lat": 22.5, "lon": 113.6 }), &mut signs).unwrap_err();
        assert_eq!(error.field, "lat");
    }

    #[test]
    fn swapped_degrees_are_refused_and_read_as_they_are() {
        let signs = &mut Signs::default();
        let error = take(&json!({ "lat": 113.5, "lon": 22.5 }), signs).unwrap_err();
        assert_eq!(error.to_string(), "lat: must be degrees");
        let place = Place {
            latitude: MicroDegrees(113_500_000),
            longitude: MicroDegrees(1_066_569_743),
        };
        let mut object = Object::new();
        place.put(&mut object, "top_left_", false, true);
        assert_eq!(object.get("top_left_lat"), Some(&json!(113.5)));
        assert_eq!(object.get("top_left_lon"), Some(&json!(-1066.569743)));
    }
}
