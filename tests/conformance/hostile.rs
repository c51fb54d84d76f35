//! Bodies that claim more than they have: what a message costs follows its length, never what it
//! says of itself.

use bytes::Bytes;
use protocols::jt808::{
    Revision,
    message::{Message, MessageId},
};

/// Characters of JSON that a byte of a body may become, names included: a bit, a count of one, a
/// parameter with its id and its name.
const JSON_CHARACTERS_PER_BYTE: usize = 120;
const JSON_CHARACTERS_BESIDE: usize = 2_000;

/// A body of one byte over and over, and of a count that is as large as it can be.
fn bodies() -> impl Iterator<Item = Bytes> {
    let filled = (0..48).chain([200, 1_023]).flat_map(|length: usize| {
        [0x00, 0x01, 0x30, 0x64, 0xE5, 0xFF].map(|fill| vec![fill; length])
    });
    let claims = [4, 8, 12, 20, 28, 36, 44, 64]
        .into_iter()
        .flat_map(|length: usize| {
            (0..length).map(move |at| {
                let mut body = vec![0; length];
                for byte in body.iter_mut().skip(at).take(4) {
                    *byte = 0xFF;
                }
                body
            })
        });
    let long = [0x01, 0xFF].map(|fill| vec![fill; 16_384]);
    filled.chain(claims).chain(long).map(Bytes::from)
}

#[test]
fn a_hostile_count_is_refused_or_costs_what_is_there() {
    let mut taken = 0;
    for body in bodies() {
        for revision in [Revision::V2011, Revision::V2013, Revision::V2019] {
            for id in MessageId::ALL {
                let Ok(message) = Message::decode(*id, body.clone(), revision) else {
                    continue;
                };
                taken += 1;
                assert_eq!(
                    message.encode(revision),
                    Ok(body.clone()),
                    "{id} {body:02x?}"
                );
                let json = serde_json::to_string(&message).expect("a message is JSON");
                let most = JSON_CHARACTERS_BESIDE + JSON_CHARACTERS_PER_BYTE * body.len();
                assert!(json.len() <= most, "{id}: {} of {}", json.len(), body.len());
            }
        }
    }
    assert!(taken > 10_000, "{taken}");
}
