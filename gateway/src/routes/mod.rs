//! The routes of version 1, a file per group: reading a request, one call, the public shape.

mod accounts;
mod availability;
mod bookings;
pub(crate) mod catalog;
pub(crate) mod categories;
mod check_in;
mod holds;
mod keys;
mod live;
mod organisations;
mod organiser;
mod own_data;
mod search;
mod sessions;
mod webhooks;

use axum::extract::DefaultBodyLimit;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::server::Shared;

/// Every route below `/api/v1`, with its documentation.
pub(crate) fn all() -> OpenApiRouter<Shared> {
    let show = OpenApiRouter::default()
        .routes(routes!(catalog::get_show, organiser::shows::update_show))
        .layer(DefaultBodyLimit::max(organiser::shows::SHOW_BYTES_MAX));
    OpenApiRouter::default()
        .routes(routes!(sessions::register))
        .routes(routes!(sessions::login))
        .routes(routes!(sessions::refresh))
        .routes(routes!(sessions::logout))
        .routes(routes!(sessions::begin_session, sessions::end_session))
        .routes(routes!(sessions::refresh_session))
        .routes(routes!(accounts::verify_email))
        .routes(routes!(accounts::resend_verification))
        .routes(routes!(accounts::forgot_password))
        .routes(routes!(accounts::reset_password))
        .routes(routes!(accounts::get_me, own_data::delete_me))
        .routes(routes!(own_data::list_activity))
        .routes(routes!(own_data::export_me))
        .routes(routes!(organisations::create_organisation))
        .routes(routes!(organisations::list_organisations))
        .routes(routes!(organisations::list_members))
        .routes(routes!(
            organisations::set_member,
            organisations::remove_member
        ))
        .routes(routes!(
            organisations::invite_member,
            organisations::list_invitations
        ))
        .routes(routes!(organisations::withdraw_invitation))
        .routes(routes!(keys::list_organisation_keys))
        .routes(routes!(keys::revoke_organisation_key))
        .routes(routes!(organisations::accept_invitation))
        .routes(routes!(keys::create_key, keys::list_keys))
        .routes(routes!(keys::revoke_key))
        .routes(routes!(accounts::change_password))
        .routes(routes!(accounts::list_sign_ins, accounts::end_all_sign_ins))
        .routes(routes!(accounts::end_sign_in))
        .routes(routes!(bookings::list_my_bookings))
        .routes(routes!(
            catalog::list_events,
            organiser::events::create_event
        ))
        .routes(routes!(catalog::get_event, organiser::events::update_event))
        .routes(routes!(catalog::list_shows))
        .merge(show)
        .routes(routes!(catalog::get_seat_map))
        .routes(routes!(categories::list_categories))
        .routes(routes!(
            categories::put_category,
            categories::delete_category
        ))
        .routes(routes!(availability::get_availability))
        .routes(routes!(live::watch_show))
        .routes(routes!(search::search_shows))
        .routes(routes!(search::suggest_names))
        .routes(routes!(holds::create_hold))
        .routes(routes!(holds::get_hold, holds::release_hold))
        .routes(routes!(holds::extend_hold))
        .routes(routes!(bookings::list_bookings, bookings::create_booking))
        .routes(routes!(bookings::get_booking))
        .routes(routes!(bookings::get_booking_timeline))
        .routes(routes!(bookings::cancel_booking))
        .routes(routes!(bookings::return_tickets))
        .routes(routes!(bookings::list_tickets))
        .routes(routes!(check_in::check_in))
        .routes(routes!(webhooks::receive_webhook))
        .merge(organiser::all())
}
