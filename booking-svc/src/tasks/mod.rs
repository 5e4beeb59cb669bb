//! What goes on in the background: payments come in, bookings past their end are swept, steps
//! that a crash or an outage left open are taken over, bookings whose holds ended are ended, shows that were
//! called off are refunded, refunds
//! that have no end are asked for again, money that is stuck is noticed; what the catalogue tells of sales is kept;
//! marks of accounts that were being deleted end (from `server`, with what identity-svc says).

pub(crate) mod holds;
pub(crate) mod payments;
pub(crate) mod sales;
pub(crate) mod sweep;
pub(crate) mod watch;
