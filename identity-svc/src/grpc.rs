//! `holdfast.identity.v1.IdentityService`: decode, use case, encode.

use chrono::{DateTime, Utc};
use holdfast_mesh::Failure;
use holdfast_proto::identity::v1::{self as pb, identity_service_server::IdentityService};
use holdfast_types::UserId;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{
    app::{
        self, App,
        api_keys::{
            create_api_key, exchange_api_key, list_api_keys, list_organisation_api_keys,
            revoke_api_key, revoke_organisation_api_key,
        },
        appoint_owner::{appoint_owner, audit_organisation},
        disable_account::{disable_account, enable_account},
        ensure_account::ensure_account,
        exchange_operator_token::exchange_operator_token,
        get_me::get_me,
        grant_role::{grant_role, revoke_role},
        login::login,
        logout::logout,
        organisations::{
            accept_invitation, create_organisation, invite_member, list_invitations, list_members,
            list_organisations, remove_member, set_member, withdraw_invitation,
        },
        own_data::{
            audit_account, close_account, delete_account, list_activity, read_standings,
            reopen_account,
        },
        refresh::refresh,
        register::register,
        rotate_keys::rotate_keys,
        sessions::{end_all_sessions, end_session, list_sessions},
        set_password::{change_password, reset_password},
        verify_email::{ask_for_letter, verify_email},
    },
    client,
    error::CallError,
    mail::Kind,
    store::{api_keys, audit, organisations, sign_ins, users::Closing},
    token::{ACCESS_TTL, API_KEY_TTL},
};

/// The service.
pub(crate) struct Identity {
    pub(crate) app: App,
}

fn refused(error: CallError) -> Status {
    Failure::from(error).into()
}

fn expires_in_s() -> u32 {
    u32::try_from(ACCESS_TTL.as_secs()).expect("fifteen minutes fit")
}

fn wire(tokens: app::Tokens) -> Option<pb::Tokens> {
    Some(pb::Tokens {
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        expires_in_s: expires_in_s(),
    })
}

#[tonic::async_trait]
impl IdentityService for Identity {
    async fn register(
        &self,
        request: Request<pb::RegisterRequest>,
    ) -> Result<Response<pb::RegisterResponse>, Status> {
        let client = client::address(request.metadata());
        let pb::RegisterRequest { email, password } = request.into_inner();
        let (user_id, email) = register(&self.app, &email, password, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::RegisterResponse {
            user_id: user_id.to_bytes().into(),
            email: email.as_str().to_owned(),
        }))
    }

    async fn login(
        &self,
        request: Request<pb::LoginRequest>,
    ) -> Result<Response<pb::LoginResponse>, Status> {
        let client = client::address(request.metadata());
        let pb::LoginRequest { email, password } = request.into_inner();
        let tokens = login(&self.app, &email, password, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::LoginResponse {
            tokens: wire(tokens),
        }))
    }

    async fn refresh(
        &self,
        request: Request<pb::RefreshRequest>,
    ) -> Result<Response<pb::RefreshResponse>, Status> {
        let client = client::address(request.metadata());
        let tokens = refresh(&self.app, &request.get_ref().refresh_token, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::RefreshResponse {
            tokens: wire(tokens),
        }))
    }

    async fn logout(
        &self,
        request: Request<pb::LogoutRequest>,
    ) -> Result<Response<pb::LogoutResponse>, Status> {
        let client = client::address(request.metadata());
        logout(&self.app, &request.get_ref().refresh_token, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::LogoutResponse {}))
    }

    async fn get_me(
        &self,
        request: Request<pb::GetMeRequest>,
    ) -> Result<Response<pb::GetMeResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let account = get_me(&self.app, &caller).await.map_err(refused)?;
        Ok(Response::new(pb::GetMeResponse {
            user_id: caller.user_id.to_bytes().into(),
            email: account.email,
            roles: account.roles,
            created_at_ms: account.created_at.timestamp_millis(),
            email_verified: account.email_verified,
        }))
    }

    async fn get_jwks(
        &self,
        _: Request<pb::GetJwksRequest>,
    ) -> Result<Response<pb::GetJwksResponse>, Status> {
        Ok(Response::new(pb::GetJwksResponse {
            jwks: self.app.issuer.jwks(),
        }))
    }

    async fn exchange_operator_token(
        &self,
        request: Request<pb::ExchangeOperatorTokenRequest>,
    ) -> Result<Response<pb::ExchangeOperatorTokenResponse>, Status> {
        let pb::ExchangeOperatorTokenRequest {
            operator_token,
            email,
        } = request.into_inner();
        let (user_id, access_token) = exchange_operator_token(&self.app, &operator_token, &email)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::ExchangeOperatorTokenResponse {
            access_token,
            expires_in_s: expires_in_s(),
            user_id: user_id.to_bytes().into(),
        }))
    }

    async fn ensure_account(
        &self,
        request: Request<pb::EnsureAccountRequest>,
    ) -> Result<Response<pb::EnsureAccountResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let pb::EnsureAccountRequest {
            email,
            password,
            roles,
        } = request.into_inner();
        let (user_id, created) = ensure_account(&self.app, &caller, &email, password, &roles)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::EnsureAccountResponse {
            user_id: user_id.to_bytes().into(),
            created,
        }))
    }

    async fn grant_role(
        &self,
        request: Request<pb::GrantRoleRequest>,
    ) -> Result<Response<pb::GrantRoleResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let pb::GrantRoleRequest { email, role } = request.into_inner();
        let (user_id, roles) = grant_role(&self.app, &caller, &email, &role)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::GrantRoleResponse {
            user_id: user_id.to_bytes().into(),
            roles,
        }))
    }

    async fn revoke_role(
        &self,
        request: Request<pb::RevokeRoleRequest>,
    ) -> Result<Response<pb::RevokeRoleResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let pb::RevokeRoleRequest { email, role } = request.into_inner();
        let (user_id, roles) = revoke_role(&self.app, &caller, &email, &role)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::RevokeRoleResponse {
            user_id: user_id.to_bytes().into(),
            roles,
        }))
    }

    async fn disable_account(
        &self,
        request: Request<pb::DisableAccountRequest>,
    ) -> Result<Response<pb::DisableAccountResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let email = &request.get_ref().email;
        let (user_id, left) = disable_account(&self.app, &caller, email)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::DisableAccountResponse {
            user_id: user_id.to_bytes().into(),
            without_owner: left.into_iter().map(organisation).collect(),
        }))
    }

    async fn enable_account(
        &self,
        request: Request<pb::EnableAccountRequest>,
    ) -> Result<Response<pb::EnableAccountResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let email = &request.get_ref().email;
        let user_id = enable_account(&self.app, &caller, email)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::EnableAccountResponse {
            user_id: user_id.to_bytes().into(),
        }))
    }

    async fn audit_organisation(
        &self,
        request: Request<pb::AuditOrganisationRequest>,
    ) -> Result<Response<pb::AuditOrganisationResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let organisation_id = id("organisation_id", &request.get_ref().organisation_id)?;
        let (name, members) = audit_organisation(&self.app, &caller, organisation_id)
            .await
            .map_err(refused)?;
        let members = members.into_iter().map(|of| pb::Member {
            disabled: of.disabled,
            ..member(of)
        });
        Ok(Response::new(pb::AuditOrganisationResponse {
            name,
            members: members.collect(),
        }))
    }

    async fn appoint_owner(
        &self,
        request: Request<pb::AppointOwnerRequest>,
    ) -> Result<Response<pb::AppointOwnerResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let message = request.get_ref();
        let organisation_id = id("organisation_id", &message.organisation_id)?;
        let appointed = appoint_owner(&self.app, &caller, organisation_id, &message.email)
            .await
            .map_err(refused)?;
        let was = appointed.was.map(|role| role.as_str().to_owned());
        Ok(Response::new(pb::AppointOwnerResponse {
            user_id: appointed.user_id.to_bytes().into(),
            name: appointed.name,
            was: was.unwrap_or_default(),
        }))
    }

    async fn verify_email(
        &self,
        request: Request<pb::VerifyEmailRequest>,
    ) -> Result<Response<pb::VerifyEmailResponse>, Status> {
        let token = &request.get_ref().token;
        let email = verify_email(&self.app, token).await.map_err(refused)?;
        Ok(Response::new(pb::VerifyEmailResponse { email }))
    }

    async fn resend_verification(
        &self,
        request: Request<pb::ResendVerificationRequest>,
    ) -> Result<Response<pb::ResendVerificationResponse>, Status> {
        ask_for_letter(&self.app, &request.get_ref().email, Kind::VerifyEmail)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::ResendVerificationResponse {}))
    }

    async fn request_password_reset(
        &self,
        request: Request<pb::RequestPasswordResetRequest>,
    ) -> Result<Response<pb::RequestPasswordResetResponse>, Status> {
        ask_for_letter(&self.app, &request.get_ref().email, Kind::ResetPassword)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::RequestPasswordResetResponse {}))
    }

    async fn reset_password(
        &self,
        request: Request<pb::ResetPasswordRequest>,
    ) -> Result<Response<pb::ResetPasswordResponse>, Status> {
        let client = client::address(request.metadata());
        let pb::ResetPasswordRequest { token, password } = request.into_inner();
        reset_password(&self.app, &token, password, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::ResetPasswordResponse {}))
    }

    async fn change_password(
        &self,
        request: Request<pb::ChangePasswordRequest>,
    ) -> Result<Response<pb::ChangePasswordResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let client = client::address(request.metadata());
        let pb::ChangePasswordRequest {
            old_password,
            new_password,
        } = request.into_inner();
        change_password(&self.app, &caller, old_password, new_password, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::ChangePasswordResponse {}))
    }

    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Result<Response<pb::ListSessionsResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let sessions = list_sessions(&self.app, &caller).await.map_err(refused)?;
        let own = caller.grants.sid;
        let sessions = sessions.into_iter().map(|session| shown(session, own));
        Ok(Response::new(pb::ListSessionsResponse {
            sessions: sessions.collect(),
        }))
    }

    async fn end_session(
        &self,
        request: Request<pb::EndSessionRequest>,
    ) -> Result<Response<pb::EndSessionResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let client = client::address(request.metadata());
        let session_id = id("session_id", &request.get_ref().session_id)?;
        end_session(&self.app, &caller, session_id, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::EndSessionResponse {}))
    }

    async fn end_all_sessions(
        &self,
        request: Request<pb::EndAllSessionsRequest>,
    ) -> Result<Response<pb::EndAllSessionsResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let client = client::address(request.metadata());
        end_all_sessions(&self.app, &caller, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::EndAllSessionsResponse {}))
    }

    async fn rotate_signing_keys(
        &self,
        request: Request<pb::RotateSigningKeysRequest>,
    ) -> Result<Response<pb::RotateSigningKeysResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let newest = rotate_keys(&self.app, &caller).await.map_err(refused)?;
        Ok(Response::new(pb::RotateSigningKeysResponse {
            key_id: newest.key_id,
            signs_from_ms: newest.signs_from.timestamp_millis(),
        }))
    }

    async fn create_organisation(
        &self,
        request: Request<pb::CreateOrganisationRequest>,
    ) -> Result<Response<pb::CreateOrganisationResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let pb::CreateOrganisationRequest {
            organisation_id,
            name,
        } = request.into_inner();
        let organisation_id = id("organisation_id", &organisation_id)?;
        let made = create_organisation(&self.app, &caller, organisation_id, &name)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::CreateOrganisationResponse {
            organisation: Some(organisation(made)),
        }))
    }

    async fn list_organisations(
        &self,
        request: Request<pb::ListOrganisationsRequest>,
    ) -> Result<Response<pb::ListOrganisationsResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let own = list_organisations(&self.app, &caller)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::ListOrganisationsResponse {
            organisations: own.into_iter().map(organisation).collect(),
        }))
    }

    async fn list_members(
        &self,
        request: Request<pb::ListMembersRequest>,
    ) -> Result<Response<pb::ListMembersResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let organisation_id = id("organisation_id", &request.get_ref().organisation_id)?;
        let members = list_members(&self.app, &caller, organisation_id)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::ListMembersResponse {
            members: members.into_iter().map(member).collect(),
        }))
    }

    async fn set_member(
        &self,
        request: Request<pb::SetMemberRequest>,
    ) -> Result<Response<pb::SetMemberResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let message = request.get_ref();
        let organisation_id = id("organisation_id", &message.organisation_id)?;
        let user_id = UserId::from_uuid(id("user_id", &message.user_id)?);
        set_member(&self.app, &caller, organisation_id, user_id, &message.role)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::SetMemberResponse {}))
    }

    async fn remove_member(
        &self,
        request: Request<pb::RemoveMemberRequest>,
    ) -> Result<Response<pb::RemoveMemberResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let message = request.get_ref();
        let organisation_id = id("organisation_id", &message.organisation_id)?;
        let user_id = UserId::from_uuid(id("user_id", &message.user_id)?);
        remove_member(&self.app, &caller, organisation_id, user_id)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::RemoveMemberResponse {}))
    }

    async fn invite_member(
        &self,
        request: Request<pb::InviteMemberRequest>,
    ) -> Result<Response<pb::InviteMemberResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let message = request.get_ref();
        let organisation_id = id("organisation_id", &message.organisation_id)?;
        let (email, role) = (&message.email, &message.role);
        invite_member(&self.app, &caller, organisation_id, email, role)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::InviteMemberResponse {}))
    }

    async fn list_invitations(
        &self,
        request: Request<pb::ListInvitationsRequest>,
    ) -> Result<Response<pb::ListInvitationsResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let organisation_id = id("organisation_id", &request.get_ref().organisation_id)?;
        let waiting = list_invitations(&self.app, &caller, organisation_id)
            .await
            .map_err(refused)?;
        let invitations = waiting.into_iter().map(|waiting| pb::Invitation {
            invitation_id: waiting.invitation_id.into_bytes().into(),
            email: waiting.email,
            role: waiting.role.as_str().to_owned(),
            invited_by: waiting.invited_by.into_bytes().into(),
            expires_at_ms: waiting.expires_at.timestamp_millis(),
        });
        Ok(Response::new(pb::ListInvitationsResponse {
            invitations: invitations.collect(),
        }))
    }

    async fn withdraw_invitation(
        &self,
        request: Request<pb::WithdrawInvitationRequest>,
    ) -> Result<Response<pb::WithdrawInvitationResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let message = request.get_ref();
        let organisation_id = id("organisation_id", &message.organisation_id)?;
        let invitation_id = id("invitation_id", &message.invitation_id)?;
        withdraw_invitation(&self.app, &caller, organisation_id, invitation_id)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::WithdrawInvitationResponse {}))
    }

    async fn accept_invitation(
        &self,
        request: Request<pb::AcceptInvitationRequest>,
    ) -> Result<Response<pb::AcceptInvitationResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let joined = accept_invitation(&self.app, &caller, &request.get_ref().token)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::AcceptInvitationResponse {
            organisation: Some(organisation(joined)),
        }))
    }

    async fn create_api_key(
        &self,
        request: Request<pb::CreateApiKeyRequest>,
    ) -> Result<Response<pb::CreateApiKeyResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let client = client::address(request.metadata());
        let message = request.get_ref();
        let organisation_id = match message.organisation_id.as_slice() {
            [] => None,
            bytes => Some(id("organisation_id", bytes)?),
        };
        let (name, scopes) = (&message.name, &message.scopes);
        let made = create_api_key(&self.app, &caller, name, scopes, organisation_id, client).await;
        let (key, secret) = made.map_err(refused)?;
        Ok(Response::new(pb::CreateApiKeyResponse {
            key: Some(api_key(key)),
            secret,
        }))
    }

    async fn list_api_keys(
        &self,
        request: Request<pb::ListApiKeysRequest>,
    ) -> Result<Response<pb::ListApiKeysResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let keys = list_api_keys(&self.app, &caller).await.map_err(refused)?;
        Ok(Response::new(pb::ListApiKeysResponse {
            keys: keys.into_iter().map(api_key).collect(),
        }))
    }

    async fn revoke_api_key(
        &self,
        request: Request<pb::RevokeApiKeyRequest>,
    ) -> Result<Response<pb::RevokeApiKeyResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let client = client::address(request.metadata());
        let key_id = id("key_id", &request.get_ref().key_id)?;
        revoke_api_key(&self.app, &caller, key_id, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::RevokeApiKeyResponse {}))
    }

    async fn list_organisation_api_keys(
        &self,
        request: Request<pb::ListOrganisationApiKeysRequest>,
    ) -> Result<Response<pb::ListOrganisationApiKeysResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let organisation_id = id("organisation_id", &request.get_ref().organisation_id)?;
        let keys = list_organisation_api_keys(&self.app, &caller, organisation_id)
            .await
            .map_err(refused)?;
        let keys = keys.into_iter().map(|of| pb::ApiKey {
            user_id: of.user_id.into_bytes().into(),
            email: of.email,
            ..api_key(of.key)
        });
        Ok(Response::new(pb::ListOrganisationApiKeysResponse {
            keys: keys.collect(),
        }))
    }

    async fn revoke_organisation_api_key(
        &self,
        request: Request<pb::RevokeOrganisationApiKeyRequest>,
    ) -> Result<Response<pb::RevokeOrganisationApiKeyResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let message = request.get_ref();
        let organisation_id = id("organisation_id", &message.organisation_id)?;
        let key_id = id("key_id", &message.key_id)?;
        revoke_organisation_api_key(&self.app, &caller, organisation_id, key_id)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::RevokeOrganisationApiKeyResponse {}))
    }

    async fn exchange_api_key(
        &self,
        request: Request<pb::ExchangeApiKeyRequest>,
    ) -> Result<Response<pb::ExchangeApiKeyResponse>, Status> {
        let (access_token, organisation_id) =
            exchange_api_key(&self.app, &request.get_ref().secret)
                .await
                .map_err(refused)?;
        let organisation_id = organisation_id.map(|id| id.into_bytes().into());
        Ok(Response::new(pb::ExchangeApiKeyResponse {
            access_token,
            expires_in_s: u32::try_from(API_KEY_TTL.as_secs()).expect("a minute fits"),
            organisation_id: organisation_id.unwrap_or_default(),
        }))
    }

    async fn list_activity(
        &self,
        request: Request<pb::ListActivityRequest>,
    ) -> Result<Response<pb::ListActivityResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let pb::ListActivityRequest { limit, cursor } = request.into_inner();
        let page = list_activity(&self.app, &caller, limit, &cursor)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::ListActivityResponse {
            activity: page.entries.into_iter().map(activity).collect(),
            next_cursor: page.next_cursor,
        }))
    }

    async fn audit_account(
        &self,
        request: Request<pb::AuditAccountRequest>,
    ) -> Result<Response<pb::AuditAccountResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let pb::AuditAccountRequest {
            email,
            limit,
            cursor,
        } = request.into_inner();
        let (user_id, page) = audit_account(&self.app, &caller, &email, limit, &cursor)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::AuditAccountResponse {
            user_id: user_id.to_bytes().into(),
            activity: page.entries.into_iter().map(activity).collect(),
            next_cursor: page.next_cursor,
        }))
    }

    async fn close_account(
        &self,
        request: Request<pb::CloseAccountRequest>,
    ) -> Result<Response<pb::CloseAccountResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let client = client::address(request.metadata());
        let request = request.into_inner();
        let closing = closing(&request.closing_id)?;
        close_account(&self.app, &caller, request.password, closing, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::CloseAccountResponse {}))
    }

    async fn reopen_account(
        &self,
        request: Request<pb::ReopenAccountRequest>,
    ) -> Result<Response<pb::ReopenAccountResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let closing = closing(&request.get_ref().closing_id)?;
        reopen_account(&self.app, &caller, closing)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::ReopenAccountResponse {}))
    }

    async fn read_standings(
        &self,
        request: Request<pb::ReadStandingsRequest>,
    ) -> Result<Response<pb::ReadStandingsResponse>, Status> {
        let ids = request.get_ref().user_ids.iter();
        let users = ids.map(|bytes| id("user_ids", bytes).map(UserId::from_uuid));
        let users = users.collect::<Result<Vec<_>, _>>()?;
        let (deleted, closed) = read_standings(&self.app, &users).await.map_err(refused)?;
        let bytes = |users: Vec<UserId>| users.iter().map(|id| id.to_bytes().into()).collect();
        Ok(Response::new(pb::ReadStandingsResponse {
            deleted: bytes(deleted),
            closed: bytes(closed),
        }))
    }

    async fn delete_account(
        &self,
        request: Request<pb::DeleteAccountRequest>,
    ) -> Result<Response<pb::DeleteAccountResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let client = client::address(request.metadata());
        let request = request.into_inner();
        let closing = closing(&request.closing_id)?;
        delete_account(&self.app, &caller, request.password, closing, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(pb::DeleteAccountResponse {}))
    }
}

fn id(field: &str, bytes: &[u8]) -> Result<Uuid, Status> {
    Uuid::from_slice(bytes).map_err(|_| Failure::invalid(field, "must be 16 bytes").into())
}

fn closing(bytes: &[u8]) -> Result<Closing, Status> {
    let id = (!bytes.is_empty()).then(|| id("closing_id", bytes));
    Ok(Closing(id.transpose()?))
}

fn organisation(own: organisations::Organisation) -> pb::Organisation {
    pb::Organisation {
        organisation_id: own.organisation_id.into_bytes().into(),
        name: own.name,
        role: own.role.as_str().to_owned(),
    }
}

/// As other members see them.
fn member(member: organisations::Member) -> pb::Member {
    pb::Member {
        user_id: member.user_id.into_bytes().into(),
        email: member.email,
        role: member.role.as_str().to_owned(),
        since_ms: member.since.timestamp_millis(),
        disabled: false,
    }
}

fn api_key(key: api_keys::ApiKey) -> pb::ApiKey {
    let organisation_id = key.organisation_id.map(|id| id.into_bytes().into());
    pb::ApiKey {
        key_id: key.key_id.into_bytes().into(),
        name: key.name,
        scopes: key.scopes,
        organisation_id: organisation_id.unwrap_or_default(),
        created_at_ms: key.created_at.timestamp_millis(),
        last_used_at_ms: key.last_used_at.map_or(0, |at| at.timestamp_millis()),
        user_id: Vec::new(),
        email: String::new(),
    }
}

fn activity(entry: audit::Entry) -> pb::Activity {
    let organisation_id = entry.organisation_id.map(|id| id.into_bytes().into());
    pb::Activity {
        at_ms: entry.at.timestamp_millis(),
        action: entry.action,
        actor_id: entry.actor_id.into_bytes().into(),
        client_address: entry.client_address.unwrap_or_default(),
        role: entry.role.unwrap_or_default(),
        organisation_id: organisation_id.unwrap_or_default(),
    }
}

fn shown(session: sign_ins::Session, own: Option<Uuid>) -> pb::Session {
    let ms = |at: DateTime<Utc>| at.timestamp_millis();
    pb::Session {
        session_id: session.family_id.into_bytes().into(),
        created_at_ms: ms(session.created_at),
        last_used_at_ms: ms(session.last_used_at),
        expires_at_ms: ms(session.expires_at),
        client_address: session.client_address.unwrap_or_default(),
        current: own == Some(session.family_id),
    }
}
