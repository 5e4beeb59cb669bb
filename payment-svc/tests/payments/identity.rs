//! Who signs in: an identity-svc that publishes one key, and tokens made with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holdfast_mesh::{self as mesh, auth::TokenClaims};
use holdfast_proto::identity::v1::{
    self as pb,
    identity_service_server::{IdentityService, IdentityServiceServer},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use tonic::{Request, Response, Status, service::Routes};
use uuid::Uuid;

const NAME: &str = "identity";
const KEY_ID: &str = "test";
/// PKCS #8 of an Ed25519 key, up to its 32 bytes.
const ED25519_DER_START: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

fn key() -> EncodingKey {
    EncodingKey::from_ed_der(&[&ED25519_DER_START[..], &[1; 32]].concat())
}

fn jwks() -> String {
    let mut jwk = Jwk::from_encoding_key(&key(), Algorithm::EdDSA).unwrap();
    jwk.common.key_id = Some(KEY_ID.to_owned());
    format!(r#"{{"keys":[{}]}}"#, serde_json::to_string(&jwk).unwrap())
}

/// `message` with a good token of somebody new who has `role`.
pub(crate) fn signed_in<T>(role: &str, message: T) -> Request<T> {
    let header = Header {
        kid: Some(KEY_ID.to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = TokenClaims {
        iss: mesh::auth::ISSUER.to_owned(),
        aud: mesh::auth::AUDIENCE.to_owned(),
        sub: Uuid::new_v4().into(),
        roles: vec![role.to_owned()],
        iat: now.as_secs() - 10,
        exp: (now + Duration::from_secs(600)).as_secs(),
    };
    let token = jsonwebtoken::encode(&header, &claims, &key()).unwrap();
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

struct Identity;

macro_rules! only_keys {
    ($($method:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl IdentityService for Identity {
            async fn get_jwks(
                &self,
                _: Request<pb::GetJwksRequest>,
            ) -> Result<Response<pb::GetJwksResponse>, Status> {
                Ok(Response::new(pb::GetJwksResponse { jwks: jwks() }))
            }
            $(async fn $method(
                &self,
                _: Request<pb::$request>,
            ) -> Result<Response<pb::$response>, Status> {
                Err(Status::unimplemented("keys only"))
            })*
        }
    };
}

only_keys! {
    register(RegisterRequest) -> RegisterResponse;
    login(LoginRequest) -> LoginResponse;
    refresh(RefreshRequest) -> RefreshResponse;
    logout(LogoutRequest) -> LogoutResponse;
    get_me(GetMeRequest) -> GetMeResponse;
    exchange_operator_token(ExchangeOperatorTokenRequest) -> ExchangeOperatorTokenResponse;
    ensure_account(EnsureAccountRequest) -> EnsureAccountResponse;
    grant_role(GrantRoleRequest) -> GrantRoleResponse;
    verify_email(VerifyEmailRequest) -> VerifyEmailResponse;
    resend_verification(ResendVerificationRequest) -> ResendVerificationResponse;
    request_password_reset(RequestPasswordResetRequest) -> RequestPasswordResetResponse;
    reset_password(ResetPasswordRequest) -> ResetPasswordResponse;
    change_password(ChangePasswordRequest) -> ChangePasswordResponse;
    list_sessions(ListSessionsRequest) -> ListSessionsResponse;
    end_session(EndSessionRequest) -> EndSessionResponse;
    end_all_sessions(EndAllSessionsRequest) -> EndAllSessionsResponse;
    rotate_signing_keys(RotateSigningKeysRequest) -> RotateSigningKeysResponse;
    create_organisation(CreateOrganisationRequest) -> CreateOrganisationResponse;
    list_organisations(ListOrganisationsRequest) -> ListOrganisationsResponse;
    list_members(ListMembersRequest) -> ListMembersResponse;
    set_member(SetMemberRequest) -> SetMemberResponse;
    remove_member(RemoveMemberRequest) -> RemoveMemberResponse;
    invite_member(InviteMemberRequest) -> InviteMemberResponse;
    accept_invitation(AcceptInvitationRequest) -> AcceptInvitationResponse;
    create_api_key(CreateApiKeyRequest) -> CreateApiKeyResponse;
    list_api_keys(ListApiKeysRequest) -> ListApiKeysResponse;
    revoke_api_key(RevokeApiKeyRequest) -> RevokeApiKeyResponse;
    exchange_api_key(ExchangeApiKeyRequest) -> ExchangeApiKeyResponse;
    list_activity(ListActivityRequest) -> ListActivityResponse;
    audit_account(AuditAccountRequest) -> AuditAccountResponse;
    delete_account(DeleteAccountRequest) -> DeleteAccountResponse;
    read_standings(ReadStandingsRequest) -> ReadStandingsResponse;
    list_invitations(ListInvitationsRequest) -> ListInvitationsResponse;
    withdraw_invitation(WithdrawInvitationRequest) -> WithdrawInvitationResponse;
    list_organisation_api_keys(ListOrganisationApiKeysRequest) -> ListOrganisationApiKeysResponse;
    revoke_organisation_api_key(RevokeOrganisationApiKeyRequest) -> RevokeOrganisationApiKeyResponse;
    close_account(CloseAccountRequest) -> CloseAccountResponse;
    reopen_account(ReopenAccountRequest) -> ReopenAccountResponse;
    revoke_role(RevokeRoleRequest) -> RevokeRoleResponse;
    disable_account(DisableAccountRequest) -> DisableAccountResponse;
    enable_account(EnableAccountRequest) -> EnableAccountResponse;
    audit_organisation(AuditOrganisationRequest) -> AuditOrganisationResponse;
    appoint_owner(AppointOwnerRequest) -> AppointOwnerResponse;
}

/// Serves until the context's shutdown; returns where.
pub(crate) async fn start(context: &mesh::Context) -> String {
    let options = mesh::server::Options {
        name: NAME,
        listen: ([127, 0, 0, 1], 0).into(),
        insecure: false,
        descriptor_set: holdfast_proto::FILE_DESCRIPTOR_SET,
    };
    let routes = Routes::new(IdentityServiceServer::new(Identity));
    tokio::spawn({
        let context = context.clone();
        async move { mesh::server::serve_grpc(options, routes, &context).await }
    });
    format!("http://{}", context.readiness.address(NAME).await)
}
