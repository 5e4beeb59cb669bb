//! A timed claim on seats.

use std::sync::Arc;

use holdfast_types::{
    ClusterTime, DurationMs, Fence, HoldId, SeatNo, UserId, limits::CLOCK_RATE_PADDING_PER_MILLE,
};

/// A hold, as it was granted or as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The id its caller chose.
    pub id: HoldId,
    /// Who holds.
    pub holder: UserId,
    /// The revision at which it took its seats.
    pub fence: Fence,
    /// In ascending order, 1 to 64, none twice.
    pub seat_nos: Arc<[SeatNo]>,
    /// Cluster time of the grant.
    pub granted_at: ClusterTime,
    /// The promised end, without padding.
    pub expires_at: ClusterTime,
    /// The latest end that an extension may name.
    pub extendable_until: ClusterTime,
    /// The price version that was quoted.
    pub price_version: u32,
}

impl Hold {
    /// When it may be swept: the promised end, padded by ρ of the span from grant to promised
    /// end, rounded up, so that a holder whose clock runs slower than the store's by ρ still had
    /// all of it (HS-4).
    pub fn overdue_at(&self) -> ClusterTime {
        overdue_at(self.granted_at, self.expires_at)
    }
}

pub(crate) fn overdue_at(granted_at: ClusterTime, expires_at: ClusterTime) -> ClusterTime {
    let promised = granted_at.until(expires_at).0;
    let padding = promised
        .saturating_mul(CLOCK_RATE_PADDING_PER_MILLE)
        .div_ceil(1000);
    expires_at.plus(DurationMs(padding))
}

/// How a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HoldEnd {
    /// Its time was over.
    Expired,
    /// Its holder gave it up.
    Released,
    /// It became a purchase.
    Sold,
    /// The show was called off.
    Cancelled,
}
