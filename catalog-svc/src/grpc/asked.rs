//! Requests that make something: what tells one that is sent again from another, and the id of what it makes.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use prost::Message;
use sha2::Digest as _;
use uuid::Uuid;

use crate::{
    access::Actor,
    store::asked::{Asked, Key, Sha256, id_before},
};

/// A request that makes something.
pub(super) trait Making: Message {
    /// Of thing, as keys are kept by it.
    const KIND: &'static str;

    fn key(&mut self) -> &mut String;

    /// Of the thing, where the request has it.
    fn id(&mut self) -> Option<&mut Vec<u8>>;
}

impl Making for wire::CreateVenueRequest {
    const KIND: &'static str = "venue";

    fn key(&mut self) -> &mut String {
        &mut self.idempotency_key
    }

    fn id(&mut self) -> Option<&mut Vec<u8>> {
        self.venue.as_mut().map(|venue| &mut venue.venue_id)
    }
}

impl Making for wire::CreatePerformerRequest {
    const KIND: &'static str = "performer";

    fn key(&mut self) -> &mut String {
        &mut self.idempotency_key
    }

    fn id(&mut self) -> Option<&mut Vec<u8>> {
        let performer = self.performer.as_mut();
        performer.map(|performer| &mut performer.performer_id)
    }
}

impl Making for wire::CreateEventRequest {
    const KIND: &'static str = "event";

    fn key(&mut self) -> &mut String {
        &mut self.idempotency_key
    }

    fn id(&mut self) -> Option<&mut Vec<u8>> {
        self.event.as_mut().map(|event| &mut event.event_id)
    }
}

impl Making for wire::CreateShowRequest {
    const KIND: &'static str = "show";

    fn key(&mut self) -> &mut String {
        &mut self.idempotency_key
    }

    fn id(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.show_id)
    }
}

/// What a request says. Its key is taken out, and with one it has the id that its thing is to have. A request's
/// bytes are the same in every release: fields are written in their order, and those that are empty aren't.
pub(super) fn asked<T: Making>(request: &mut T, actor: Actor) -> Result<Asked, Failure> {
    let sha256 = sha256_of(request);
    let key = key_of(T::KIND, std::mem::take(request.key()))?;
    let mut sha256_before = None;
    if let Some(key) = &key
        && let Some(id) = request.id()
    {
        refuse_id(id)?;
        *id = id_before(actor.user_id, key).into_bytes().to_vec();
        sha256_before = Some(sha256_of(request));
        if let Some(id) = request.id() {
            *id = new_id();
        }
    }
    Ok(Asked {
        sha256,
        sha256_before,
        key,
    })
}

/// The key of a request of that kind, and with one the id of what it makes.
pub(super) fn choose(
    kind: &'static str,
    key: String,
    id: &mut Vec<u8>,
) -> Result<Option<Key>, Failure> {
    let key = key_of(kind, key)?;
    if key.is_some() {
        refuse_id(id)?;
        *id = new_id();
    }
    Ok(key)
}

fn sha256_of(request: &impl Message) -> Sha256 {
    sha2::Sha256::digest(request.encode_to_vec()).into()
}

fn key_of(kind: &'static str, text: String) -> Result<Option<Key>, Failure> {
    if text.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let why = format!("is longer than {IDEMPOTENCY_KEY_BYTES_MAX} bytes");
        return Err(Failure::invalid("idempotency_key", why));
    }
    if text.contains('\0') {
        return Err(Failure::invalid("idempotency_key", "has a NUL"));
    }
    Ok((!text.is_empty()).then_some(Key { kind, text }))
}

/// With a key the id is chosen here.
fn refuse_id(id: &[u8]) -> Result<(), Failure> {
    if id.is_empty() {
        return Ok(());
    }
    let why = "not with the id of what is to be made";
    Err(Failure::invalid("idempotency_key", why))
}

/// An id of now, in whose order things were made; what is kept by months is kept by it.
fn new_id() -> Vec<u8> {
    Uuid::now_v7().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use holdfast_mesh::auth::{Claims, Grants};
    use holdfast_types::UserId;
    use tonic::metadata::MetadataMap;

    use super::*;

    #[test]
    fn a_show_with_rules_is_known_as_the_release_before_asked_for_it() {
        let claims = Claims {
            user_id: UserId::from_bytes([1; 16]),
            roles: vec!["organiser".to_owned()],
            expires_at_s: 0,
            grants: Grants::default(),
        };
        let ada = Actor::of(&claims, &MetadataMap::new()).expect("is somebody");
        let price = wire::Price {
            category: "Any".to_owned(),
            amount: 2_500,
            ..wire::Price::default()
        };
        // As the gateway makes it of a body that says nothing of late money; see its `organiser/shows.rs`.
        let mut request = wire::CreateShowRequest {
            event_id: vec![2; 16],
            plan_id: vec![3; 16],
            starts_at_ms: 4_087_821_600_000,
            currency: "EUR".to_owned(),
            prices: vec![price],
            rules: Some(wire::ShowRules {
                hold_ttl_ms: 600_000,
                seats_per_customer_max: 4,
                ..wire::ShowRules::default()
            }),
            idempotency_key: "k".to_owned(),
            ..wire::CreateShowRequest::default()
        };
        let before = asked(&mut request, ada)
            .expect("is a request")
            .sha256_before
            .expect("has one");
        let before: String = before.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            before,
            "b0733a5657de27f2fa56b3dc76b8420b287d419077ccc5ec0f20138e30a06ff3"
        );
    }
}
