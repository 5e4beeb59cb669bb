//! Who may call what between our processes: the one table, for every server of every role.
//!
//! Always holds: each method of the contracts is in it for somebody, and it names none that isn't in
//! them (tests compare the two). That a caller's row has what its part does call, and nothing that it
//! might, is for whoever changes it to see; rows that only tests of ours use say so. What a person may
//! do is another question, which the token of a call answers.

use holdfast_mesh::server::Callers;
use holdfast_proto::part;

/// By the caller's name: a whole service, or one method of it.
pub(crate) const CALLERS: &[(&str, &[&str])] = &[
    (
        part::GATEWAY,
        &[
            "holdfast.identity.v1.IdentityService/Register",
            "holdfast.identity.v1.IdentityService/Login",
            "holdfast.identity.v1.IdentityService/Refresh",
            "holdfast.identity.v1.IdentityService/Logout",
            "holdfast.identity.v1.IdentityService/VerifyEmail",
            "holdfast.identity.v1.IdentityService/ResendVerification",
            "holdfast.identity.v1.IdentityService/RequestPasswordReset",
            "holdfast.identity.v1.IdentityService/ResetPassword",
            "holdfast.identity.v1.IdentityService/ChangePassword",
            "holdfast.identity.v1.IdentityService/ListSessions",
            "holdfast.identity.v1.IdentityService/EndSession",
            "holdfast.identity.v1.IdentityService/EndAllSessions",
            "holdfast.identity.v1.IdentityService/CreateOrganisation",
            "holdfast.identity.v1.IdentityService/ListOrganisations",
            "holdfast.identity.v1.IdentityService/ListMembers",
            "holdfast.identity.v1.IdentityService/SetMember",
            "holdfast.identity.v1.IdentityService/RemoveMember",
            "holdfast.identity.v1.IdentityService/InviteMember",
            "holdfast.identity.v1.IdentityService/ListInvitations",
            "holdfast.identity.v1.IdentityService/WithdrawInvitation",
            "holdfast.identity.v1.IdentityService/AcceptInvitation",
            "holdfast.identity.v1.IdentityService/CreateApiKey",
            "holdfast.identity.v1.IdentityService/ListApiKeys",
            "holdfast.identity.v1.IdentityService/RevokeApiKey",
            "holdfast.identity.v1.IdentityService/ListOrganisationApiKeys",
            "holdfast.identity.v1.IdentityService/RevokeOrganisationApiKey",
            "holdfast.identity.v1.IdentityService/ExchangeApiKey",
            "holdfast.identity.v1.IdentityService/ListActivity",
            "holdfast.identity.v1.IdentityService/CloseAccount",
            "holdfast.identity.v1.IdentityService/ReopenAccount",
            "holdfast.identity.v1.IdentityService/DeleteAccount",
            "holdfast.identity.v1.IdentityService/GetMe",
            "holdfast.identity.v1.IdentityService/GetJwks",
            "holdfast.catalog.v1.CatalogService/CreateVenue",
            "holdfast.catalog.v1.CatalogService/GetVenue",
            "holdfast.catalog.v1.CatalogService/UpdateVenue",
            "holdfast.catalog.v1.CatalogService/ListOwnVenues",
            "holdfast.catalog.v1.CatalogService/ImportPlan",
            "holdfast.catalog.v1.CatalogService/ListOwnPlans",
            "holdfast.catalog.v1.CatalogService/ExportPlan",
            "holdfast.catalog.v1.CatalogService/LendPlan",
            "holdfast.catalog.v1.CatalogService/TakePlanBack",
            "holdfast.catalog.v1.CatalogService/ListPlanLoans",
            "holdfast.catalog.v1.CatalogService/CreatePerformer",
            "holdfast.catalog.v1.CatalogService/GetPerformer",
            "holdfast.catalog.v1.CatalogService/UpdatePerformer",
            "holdfast.catalog.v1.CatalogService/ListOwnPerformers",
            "holdfast.catalog.v1.CatalogService/ListCategories",
            "holdfast.catalog.v1.CatalogService/PutCategory",
            "holdfast.catalog.v1.CatalogService/DeleteCategory",
            "holdfast.catalog.v1.CatalogService/CreateEvent",
            "holdfast.catalog.v1.CatalogService/UpdateEvent",
            "holdfast.catalog.v1.CatalogService/GetOwnEvent",
            "holdfast.catalog.v1.CatalogService/ListOwnEvents",
            "holdfast.catalog.v1.CatalogService/CreateShow",
            "holdfast.catalog.v1.CatalogService/UpdateShow",
            "holdfast.catalog.v1.CatalogService/GetOwnShow",
            "holdfast.catalog.v1.CatalogService/ListOwnShows",
            "holdfast.catalog.v1.CatalogService/GetShowSales",
            "holdfast.catalog.v1.CatalogService/PublishShow",
            "holdfast.catalog.v1.CatalogService/ChangeShowState",
            "holdfast.catalog.v1.CatalogService/GetEvent",
            "holdfast.catalog.v1.CatalogService/ListEvents",
            "holdfast.catalog.v1.CatalogService/GetShow",
            "holdfast.catalog.v1.CatalogService/ListShows",
            "holdfast.catalog.v1.CatalogService/GetSeatMap",
            "holdfast.booking.v1.BookingService",
            "holdfast.booking.v1.SalesService",
            "holdfast.booking.v1.InventoryService/RefundShow",
            "holdfast.payment.v1.PaymentService/ReceiveWebhook",
            "holdfast.search.v1.SearchService",
            // Which seats are free is followed; who holds them is booking-svc's to say.
            "holdfast.lockstore.v1.LockStoreService/Watch",
        ],
    ),
    (
        part::CATALOG,
        &[
            "holdfast.identity.v1.IdentityService/GetJwks",
            "holdfast.booking.v1.InventoryService/OpenInventory",
            "holdfast.booking.v1.InventoryService/ChangeInventoryState",
            "holdfast.booking.v1.BookingService/GetAvailability",
        ],
    ),
    (
        part::SEARCH,
        &[
            "holdfast.identity.v1.IdentityService/GetJwks",
            "holdfast.catalog.v1.CatalogService/ReadShows",
        ],
    ),
    (
        part::BOOKING,
        &[
            "holdfast.identity.v1.IdentityService/GetJwks",
            "holdfast.identity.v1.IdentityService/ReadStandings",
            "holdfast.lockstore.v1.LockStoreService",
        ],
    ),
    (
        part::PAYMENT,
        &["holdfast.identity.v1.IdentityService/GetJwks"],
    ),
    (part::LOCKSTORE, &["holdfast.lockstore.v1.PeerService"]),
    (
        part::OPERATOR,
        &[
            "holdfast.identity.v1.IdentityService/ExchangeOperatorToken",
            "holdfast.identity.v1.IdentityService/EnsureAccount",
            "holdfast.identity.v1.IdentityService/GrantRole",
            "holdfast.identity.v1.IdentityService/RevokeRole",
            "holdfast.identity.v1.IdentityService/DisableAccount",
            "holdfast.identity.v1.IdentityService/EnableAccount",
            "holdfast.identity.v1.IdentityService/AuditOrganisation",
            "holdfast.identity.v1.IdentityService/AppointOwner",
            "holdfast.identity.v1.IdentityService/RotateSigningKeys",
            "holdfast.identity.v1.IdentityService/AuditAccount",
            "holdfast.identity.v1.IdentityService/GetMe",
            // On an organiser's behalf, whose token goes with the call.
            "holdfast.catalog.v1.CatalogService/CreateVenue",
            "holdfast.catalog.v1.CatalogService/ImportPlan",
            "holdfast.catalog.v1.CatalogService/CreateEvent",
            // By tests of ours alone.
            "holdfast.catalog.v1.CatalogService/UpdateEvent",
            "holdfast.catalog.v1.CatalogService/CreateShow",
            "holdfast.catalog.v1.CatalogService/PublishShow",
            // By tests of ours alone.
            "holdfast.catalog.v1.CatalogService/ChangeShowState",
            "holdfast.catalog.v1.CatalogService/GetShow",
            "holdfast.catalog.v1.ImportService",
            "holdfast.booking.v1.BookingService/GetAvailability",
            "holdfast.booking.v1.InventoryService/RefundShow",
            // By tests of ours alone.
            "holdfast.payment.v1.PaymentService/ListPayments",
            "holdfast.search.v1.SearchAdminService",
            "holdfast.lockstore.v1.AdminService",
            // By tests of ours alone.
            "holdfast.lockstore.v1.LockStoreService/GetShow",
        ],
    ),
];

/// The table, for servers.
pub(crate) fn table() -> Callers {
    let rows = |(name, paths): &(&'static str, &'static [&'static str])| {
        let name = *name;
        paths.iter().map(move |path| (name, *path))
    };
    Callers::new(CALLERS.iter().flat_map(rows))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// Every `service/method` of the contracts.
    fn methods() -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(holdfast_proto::FILE_DESCRIPTOR_SET).unwrap();
        let files = set
            .file
            .iter()
            .filter(|file| file.package().starts_with("holdfast."));
        files
            .flat_map(|file| file.service.iter().map(move |service| (file, service)))
            .flat_map(|(file, service)| {
                let of = format!("{}.{}", file.package(), service.name());
                service
                    .method
                    .iter()
                    .map(move |method| format!("{of}/{}", method.name()))
            })
            .collect()
    }

    #[test]
    fn every_method_of_the_contracts_is_in_the_table_for_somebody() {
        let (methods, table) = (methods(), table());
        assert!(methods.len() > 40, "only {} methods", methods.len());
        for method in &methods {
            let some = part::ALL.iter().any(|name| table.allow(name, method));
            assert!(some, "nobody may call {method}");
        }
    }

    #[test]
    fn the_table_names_nothing_that_does_not_exist() {
        let methods = methods();
        for (name, paths) in CALLERS {
            assert!(part::ALL.contains(name), "{name} is no part");
            for path in *paths {
                let service = format!("{path}/");
                let there = |method: &String| method == path || method.starts_with(&service);
                assert!(methods.iter().any(there), "{name}: there is no {path}");
            }
        }
    }

    #[test]
    fn seats_are_held_and_sold_by_booking_alone_and_nodes_talk_among_themselves() {
        let table = table();
        let only = |method: &str, allowed: &str| {
            for name in part::ALL {
                assert_eq!(
                    table.allow(name, method),
                    name == allowed,
                    "{name} {method}"
                );
            }
        };
        for method in methods() {
            if method.starts_with("holdfast.lockstore.v1.PeerService/") {
                only(&method, part::LOCKSTORE);
            } else if method.contains("AdminService/") {
                only(&method, part::OPERATOR);
            }
        }
        for command in [
            "OpenShow",
            "HoldSeats",
            "HoldStream",
            "ExtendHold",
            "CommitHold",
            "ReturnSeats",
        ] {
            let method = format!("holdfast.lockstore.v1.LockStoreService/{command}");
            only(&method, part::BOOKING);
        }
    }
}
