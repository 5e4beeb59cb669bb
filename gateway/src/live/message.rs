//! What viewers are sent, and how seats are packed.
//!
//! Always holds: seats are named by number alone (the seat map says which is which), states by the
//! words of the rest of the API, revisions as text; nothing says who holds.

use axum::extract::ws::Utf8Bytes;
use base64::{Engine, engine::general_purpose::STANDARD};
use holdfast_types::{Revision, SeatNo, SeatState, ShowId};
use lockstore_client::ShowState;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Seats in one byte of a bitmap.
const SEATS_PER_BYTE: usize = 4;

/// What `shows/{show_id}/live` sends, each as one text message.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum LiveMessage {
    /// Everything as of `revision`; what was known before is void. The first message, unless
    /// `since` could be honoured, and also later where much changed at once.
    Snapshot(Snapshot),
    /// `since` is honoured: the first message then.
    Resumed(Resumed),
    /// What changed in one revision, or in several close together. It follows on everything from
    /// `previous_revision` on; one who has come less far has missed something and connects again
    /// with `since`.
    Delta(Delta),
    /// Nothing else changed up to `revision`. Comes about every second while what is known is as
    /// new as that.
    Bookmark(Bookmark),
}

#[derive(Serialize, ToSchema)]
#[schema(as = LiveSnapshot)]
pub(crate) struct Snapshot {
    pub(crate) show_id: Uuid,
    #[schema(value_type = String, example = "36028797019029504")]
    pub(crate) revision: Revision,
    /// ON_SALE, PAUSED, CLOSED, CANCELLED.
    #[schema(example = "ON_SALE")]
    pub(crate) show_state: &'static str,
    #[schema(example = 738)]
    pub(crate) seat_count: usize,
    /// As in the bitmap of `availability`.
    #[schema(example = "AAFA")]
    pub(crate) bitmap: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LiveResumed)]
pub(crate) struct Resumed {
    /// What was sent as `since`.
    #[schema(value_type = String, example = "36028797019029504")]
    pub(crate) revision: Revision,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LiveDelta)]
pub(crate) struct Delta {
    #[schema(value_type = String, example = "36028797019062272")]
    pub(crate) revision: Revision,
    #[schema(value_type = String, example = "36028797019029504")]
    pub(crate) previous_revision: Revision,
    /// The show's state, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "PAUSED")]
    pub(crate) show_state: Option<&'static str>,
    /// Each seat once, by number, as it is at `revision`; also one that is what it was before.
    pub(crate) changes: Vec<SeatChange>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SeatChange {
    /// As the seat map has it.
    #[schema(example = 7)]
    pub(crate) seat_no: u32,
    /// AVAILABLE, HELD, SOLD, BLOCKED.
    #[schema(example = "HELD")]
    pub(crate) state: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LiveBookmark)]
pub(crate) struct Bookmark {
    #[schema(value_type = String, example = "36028797019062272")]
    pub(crate) revision: Revision,
}

impl LiveMessage {
    pub(crate) fn snapshot(
        show_id: ShowId,
        revision: Revision,
        state: ShowState,
        seats: &[SeatState],
    ) -> Self {
        Self::Snapshot(Snapshot {
            show_id: show_id.as_uuid(),
            revision,
            show_state: state_name(state),
            seat_count: seats.len(),
            bitmap: pack(seats.iter().copied()),
        })
    }

    pub(crate) fn text(&self) -> Utf8Bytes {
        serde_json::to_string(self)
            .expect("numbers and text always serialise")
            .into()
    }
}

impl SeatChange {
    pub(crate) fn new((seat_no, state): (SeatNo, SeatState)) -> Self {
        Self {
            seat_no: seat_no.0,
            state: state.as_str(),
        }
    }
}

/// As customers know it; a layout that is still arriving is shown to nobody.
pub(crate) const fn state_name(state: ShowState) -> &'static str {
    match state {
        ShowState::Opening => "DRAFT",
        ShowState::OnSale => "ON_SALE",
        ShowState::Paused => "PAUSED",
        ShowState::Closed => "CLOSED",
        ShowState::Cancelled => "CANCELLED",
    }
}

/// Two bits a seat in order, the first in the lowest bits of the first byte, as base64.
pub(crate) fn pack(seats: impl Iterator<Item = SeatState>) -> String {
    let mut bytes = Vec::with_capacity(seats.size_hint().0.div_ceil(SEATS_PER_BYTE));
    for (index, state) in seats.enumerate() {
        let bits: u8 = match state {
            SeatState::Available => 0,
            SeatState::Held => 1,
            SeatState::Sold => 2,
            SeatState::Blocked => 3,
        };
        let within = index % SEATS_PER_BYTE;
        if within == 0 {
            bytes.push(0);
        }
        if let Some(last) = bytes.last_mut() {
            *last |= bits << (2 * within);
        }
    }
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_seats_take_a_byte_lowest_bits_first() {
        use SeatState::{Available as A, Blocked as B, Held as H, Sold as S};
        let packed = |seats: &[SeatState]| {
            let text = pack(seats.iter().copied());
            STANDARD.decode(text).expect("is base64")
        };
        assert_eq!(packed(&[]), [] as [u8; 0]);
        assert_eq!(packed(&[H]), [0b01]);
        assert_eq!(packed(&[A, H, S, B]), [0b11_10_01_00]);
        assert_eq!(packed(&[B, A, A, A, S]), [0b11, 0b10]);
    }
}
