//! The services, answering what the test says and remembering what they were asked.

use std::{
    any::Any,
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use holdfast_proto::{
    booking::v1::{
        self as booking, booking_service_server::BookingServiceServer,
        inventory_service_server::InventoryServiceServer, sales_service_server::SalesServiceServer,
    },
    catalog::v1::{self as catalog, catalog_service_server::CatalogServiceServer},
    identity::v1::{self as identity, identity_service_server::IdentityServiceServer},
    payment::v1::{self as payment, payment_service_server::PaymentServiceServer},
    search::v1::{self as search, search_service_server::SearchServiceServer},
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    metadata::MetadataMap,
    transport::{Server, server::TcpIncoming},
};

type Script<Q, A> = Box<dyn Fn(Q) -> Option<Result<A, Status>> + Send + Sync>;

/// One call that a service received.
pub(crate) struct Seen {
    pub(crate) method: &'static str,
    pub(crate) metadata: MetadataMap,
    message: Box<dyn Any + Send>,
}

impl Seen {
    pub(crate) fn message<Q: 'static>(&self) -> &Q {
        self.message
            .downcast_ref()
            .expect("a message of the method's type")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Default)]
pub(crate) struct Backend {
    scripts: Mutex<HashMap<&'static str, Arc<dyn Any + Send + Sync>>>,
    seen: Mutex<Vec<Seen>>,
}

impl Backend {
    /// From now on `method` answers by `script`.
    pub(crate) fn on<Q: 'static, A: 'static>(
        &self,
        method: &'static str,
        script: impl Fn(Q) -> Result<A, Status> + Send + Sync + 'static,
    ) {
        let script: Script<Q, A> = Box::new(move |request| Some(script(request)));
        self.scripts
            .lock()
            .unwrap()
            .insert(method, Arc::new(script));
    }

    /// From now on `method` never answers.
    pub(crate) fn stall<Q: 'static, A: 'static>(&self, method: &'static str) {
        let script: Script<Q, A> = Box::new(|_| None);
        self.scripts
            .lock()
            .unwrap()
            .insert(method, Arc::new(script));
    }

    /// What was asked so far, without the key fetches.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        let mut seen = std::mem::take(&mut *self.seen.lock().unwrap());
        seen.retain(|seen| seen.method != "get_jwks");
        seen
    }

    /// Serves all at one address until the process ends.
    pub(crate) async fn serve(self: &Arc<Self>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder()
            .add_service(IdentityServiceServer::from_arc(self.clone()))
            .add_service(CatalogServiceServer::from_arc(self.clone()))
            .add_service(BookingServiceServer::from_arc(self.clone()))
            .add_service(SalesServiceServer::from_arc(self.clone()))
            .add_service(InventoryServiceServer::from_arc(self.clone()))
            .add_service(PaymentServiceServer::from_arc(self.clone()))
            .add_service(SearchServiceServer::from_arc(self.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(async move { server.await.unwrap() });
        address
    }

    async fn answer<Q, A>(
        &self,
        method: &'static str,
        request: Request<Q>,
    ) -> Result<Response<A>, Status>
    where
        Q: Clone + Send + 'static,
        A: 'static,
    {
        let (metadata, _, message) = request.into_parts();
        let kept = Box::new(message.clone());
        self.seen.lock().unwrap().push(Seen {
            method,
            metadata,
            message: kept,
        });
        let script = self.scripts.lock().unwrap().get(method).cloned();
        let script = script.unwrap_or_else(|| panic!("{method} was called without a script"));
        let answer = script
            .downcast_ref::<Script<Q, A>>()
            .expect("a script of the method's types")(message);
        match answer {
            Some(answer) => answer.map(Response::new),
            None => std::future::pending().await,
        }
    }
}

macro_rules! scripted {
    ($service:path { $($method:ident($request:ty) -> $answer:ty;)+ }) => {
        #[tonic::async_trait]
        impl $service for Backend {
            $(async fn $method(&self, request: Request<$request>) -> Result<Response<$answer>, Status> {
                self.answer(stringify!($method), request).await
            })+
        }
    };
}

scripted!(identity::identity_service_server::IdentityService {
    register(identity::RegisterRequest) -> identity::RegisterResponse;
    login(identity::LoginRequest) -> identity::LoginResponse;
    refresh(identity::RefreshRequest) -> identity::RefreshResponse;
    logout(identity::LogoutRequest) -> identity::LogoutResponse;
    get_me(identity::GetMeRequest) -> identity::GetMeResponse;
    get_jwks(identity::GetJwksRequest) -> identity::GetJwksResponse;
    exchange_operator_token(identity::ExchangeOperatorTokenRequest) -> identity::ExchangeOperatorTokenResponse;
    ensure_account(identity::EnsureAccountRequest) -> identity::EnsureAccountResponse;
    grant_role(identity::GrantRoleRequest) -> identity::GrantRoleResponse;
    verify_email(identity::VerifyEmailRequest) -> identity::VerifyEmailResponse;
    resend_verification(identity::ResendVerificationRequest) -> identity::ResendVerificationResponse;
    request_password_reset(identity::RequestPasswordResetRequest) -> identity::RequestPasswordResetResponse;
    reset_password(identity::ResetPasswordRequest) -> identity::ResetPasswordResponse;
    change_password(identity::ChangePasswordRequest) -> identity::ChangePasswordResponse;
    list_sessions(identity::ListSessionsRequest) -> identity::ListSessionsResponse;
    end_session(identity::EndSessionRequest) -> identity::EndSessionResponse;
    end_all_sessions(identity::EndAllSessionsRequest) -> identity::EndAllSessionsResponse;
    rotate_signing_keys(identity::RotateSigningKeysRequest) -> identity::RotateSigningKeysResponse;
    create_organisation(identity::CreateOrganisationRequest) -> identity::CreateOrganisationResponse;
    list_organisations(identity::ListOrganisationsRequest) -> identity::ListOrganisationsResponse;
    list_members(identity::ListMembersRequest) -> identity::ListMembersResponse;
    set_member(identity::SetMemberRequest) -> identity::SetMemberResponse;
    remove_member(identity::RemoveMemberRequest) -> identity::RemoveMemberResponse;
    invite_member(identity::InviteMemberRequest) -> identity::InviteMemberResponse;
    accept_invitation(identity::AcceptInvitationRequest) -> identity::AcceptInvitationResponse;
    create_api_key(identity::CreateApiKeyRequest) -> identity::CreateApiKeyResponse;
    list_api_keys(identity::ListApiKeysRequest) -> identity::ListApiKeysResponse;
    revoke_api_key(identity::RevokeApiKeyRequest) -> identity::RevokeApiKeyResponse;
    exchange_api_key(identity::ExchangeApiKeyRequest) -> identity::ExchangeApiKeyResponse;
    list_activity(identity::ListActivityRequest) -> identity::ListActivityResponse;
    audit_account(identity::AuditAccountRequest) -> identity::AuditAccountResponse;
    delete_account(identity::DeleteAccountRequest) -> identity::DeleteAccountResponse;
    read_standings(identity::ReadStandingsRequest) -> identity::ReadStandingsResponse;
    list_invitations(identity::ListInvitationsRequest) -> identity::ListInvitationsResponse;
    withdraw_invitation(identity::WithdrawInvitationRequest) -> identity::WithdrawInvitationResponse;
    list_organisation_api_keys(identity::ListOrganisationApiKeysRequest) -> identity::ListOrganisationApiKeysResponse;
    revoke_organisation_api_key(identity::RevokeOrganisationApiKeyRequest) -> identity::RevokeOrganisationApiKeyResponse;
    close_account(identity::CloseAccountRequest) -> identity::CloseAccountResponse;
    reopen_account(identity::ReopenAccountRequest) -> identity::ReopenAccountResponse;
    revoke_role(identity::RevokeRoleRequest) -> identity::RevokeRoleResponse;
    disable_account(identity::DisableAccountRequest) -> identity::DisableAccountResponse;
    enable_account(identity::EnableAccountRequest) -> identity::EnableAccountResponse;
    audit_organisation(identity::AuditOrganisationRequest) -> identity::AuditOrganisationResponse;
    appoint_owner(identity::AppointOwnerRequest) -> identity::AppointOwnerResponse;
});

scripted!(catalog::catalog_service_server::CatalogService {
    create_venue(catalog::CreateVenueRequest) -> catalog::CreateVenueResponse;
    get_venue(catalog::GetVenueRequest) -> catalog::GetVenueResponse;
    update_venue(catalog::UpdateVenueRequest) -> catalog::UpdateVenueResponse;
    list_own_venues(catalog::ListOwnVenuesRequest) -> catalog::ListOwnVenuesResponse;
    import_plan(catalog::ImportPlanRequest) -> catalog::ImportPlanResponse;
    list_own_plans(catalog::ListOwnPlansRequest) -> catalog::ListOwnPlansResponse;
    lend_plan(catalog::LendPlanRequest) -> catalog::LendPlanResponse;
    take_plan_back(catalog::TakePlanBackRequest) -> catalog::TakePlanBackResponse;
    list_plan_loans(catalog::ListPlanLoansRequest) -> catalog::ListPlanLoansResponse;
    export_plan(catalog::ExportPlanRequest) -> catalog::ExportPlanResponse;
    create_performer(catalog::CreatePerformerRequest) -> catalog::CreatePerformerResponse;
    get_performer(catalog::GetPerformerRequest) -> catalog::GetPerformerResponse;
    update_performer(catalog::UpdatePerformerRequest) -> catalog::UpdatePerformerResponse;
    list_own_performers(catalog::ListOwnPerformersRequest) -> catalog::ListOwnPerformersResponse;
    create_event(catalog::CreateEventRequest) -> catalog::CreateEventResponse;
    update_event(catalog::UpdateEventRequest) -> catalog::UpdateEventResponse;
    get_own_event(catalog::GetOwnEventRequest) -> catalog::GetOwnEventResponse;
    list_own_events(catalog::ListOwnEventsRequest) -> catalog::ListOwnEventsResponse;
    create_show(catalog::CreateShowRequest) -> catalog::CreateShowResponse;
    update_show(catalog::UpdateShowRequest) -> catalog::UpdateShowResponse;
    get_own_show(catalog::GetOwnShowRequest) -> catalog::GetOwnShowResponse;
    list_own_shows(catalog::ListOwnShowsRequest) -> catalog::ListOwnShowsResponse;
    get_show_sales(catalog::GetShowSalesRequest) -> catalog::GetShowSalesResponse;
    publish_show(catalog::PublishShowRequest) -> catalog::PublishShowResponse;
    change_show_state(catalog::ChangeShowStateRequest) -> catalog::ChangeShowStateResponse;
    get_event(catalog::GetEventRequest) -> catalog::GetEventResponse;
    list_events(catalog::ListEventsRequest) -> catalog::ListEventsResponse;
    get_show(catalog::GetShowRequest) -> catalog::GetShowResponse;
    list_shows(catalog::ListShowsRequest) -> catalog::ListShowsResponse;
    read_shows(catalog::ReadShowsRequest) -> catalog::ReadShowsResponse;
    list_categories(catalog::ListCategoriesRequest) -> catalog::ListCategoriesResponse;
    put_category(catalog::PutCategoryRequest) -> catalog::PutCategoryResponse;
    delete_category(catalog::DeleteCategoryRequest) -> catalog::DeleteCategoryResponse;
    get_seat_map(catalog::GetSeatMapRequest) -> catalog::GetSeatMapResponse;
});

scripted!(booking::booking_service_server::BookingService {
    get_availability(booking::GetAvailabilityRequest) -> booking::GetAvailabilityResponse;
    create_hold(booking::CreateHoldRequest) -> booking::CreateHoldResponse;
    get_hold(booking::GetHoldRequest) -> booking::GetHoldResponse;
    extend_hold(booking::ExtendHoldRequest) -> booking::ExtendHoldResponse;
    release_hold(booking::ReleaseHoldRequest) -> booking::ReleaseHoldResponse;
    create_booking(booking::CreateBookingRequest) -> booking::CreateBookingResponse;
    stop_bookings(booking::StopBookingsRequest) -> booking::StopBookingsResponse;
    resume_bookings(booking::ResumeBookingsRequest) -> booking::ResumeBookingsResponse;
    get_booking(booking::GetBookingRequest) -> booking::GetBookingResponse;
    list_bookings(booking::ListBookingsRequest) -> booking::ListBookingsResponse;
    get_booking_timeline(booking::GetBookingTimelineRequest) -> booking::GetBookingTimelineResponse;
    cancel_booking(booking::CancelBookingRequest) -> booking::CancelBookingResponse;
    return_tickets(booking::ReturnTicketsRequest) -> booking::ReturnTicketsResponse;
    list_tickets(booking::ListTicketsRequest) -> booking::ListTicketsResponse;
});

scripted!(booking::inventory_service_server::InventoryService {
    open_inventory(booking::OpenInventoryRequest) -> booking::OpenInventoryResponse;
    change_inventory_state(booking::ChangeInventoryStateRequest) -> booking::ChangeInventoryStateResponse;
    refund_show(booking::RefundShowRequest) -> booking::RefundShowResponse;
});

scripted!(booking::sales_service_server::SalesService {
    block_seats(booking::BlockSeatsRequest) -> booking::BlockSeatsResponse;
    unblock_seats(booking::UnblockSeatsRequest) -> booking::UnblockSeatsResponse;
    list_sales(booking::ListSalesRequest) -> booking::ListSalesResponse;
    get_takings(booking::GetTakingsRequest) -> booking::GetTakingsResponse;
    list_attendees(booking::ListAttendeesRequest) -> booking::ListAttendeesResponse;
    check_in(booking::CheckInRequest) -> booking::CheckInResponse;
});

scripted!(payment::payment_service_server::PaymentService {
    receive_webhook(payment::ReceiveWebhookRequest) -> payment::ReceiveWebhookResponse;
    list_payments(payment::ListPaymentsRequest) -> payment::ListPaymentsResponse;
});

scripted!(search::search_service_server::SearchService {
    search_shows(search::SearchShowsRequest) -> search::SearchShowsResponse;
    suggest_names(search::SuggestNamesRequest) -> search::SuggestNamesResponse;
});
