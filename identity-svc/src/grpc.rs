//! `holdfast.identity.v1.IdentityService`: decode, use case, encode.

use chrono::{DateTime, Utc};
use holdfast_mesh::{Failure, FieldViolation};
use holdfast_proto::identity::v1::{
    ChangePasswordRequest, ChangePasswordResponse, EndAllSessionsRequest, EndAllSessionsResponse,
    EndSessionRequest, EndSessionResponse, EnsureAccountRequest, EnsureAccountResponse,
    ExchangeOperatorTokenRequest, ExchangeOperatorTokenResponse, GetJwksRequest, GetJwksResponse,
    GetMeRequest, GetMeResponse, GrantRoleRequest, GrantRoleResponse, ListSessionsRequest,
    ListSessionsResponse, LoginRequest, LoginResponse, LogoutRequest, LogoutResponse,
    RefreshRequest, RefreshResponse, RegisterRequest, RegisterResponse,
    RequestPasswordResetRequest, RequestPasswordResetResponse, ResendVerificationRequest,
    ResendVerificationResponse, ResetPasswordRequest, ResetPasswordResponse,
    RotateSigningKeysRequest, RotateSigningKeysResponse, Session, Tokens, VerifyEmailRequest,
    VerifyEmailResponse, identity_service_server::IdentityService,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{
    app::{
        self, App,
        ensure_account::ensure_account,
        exchange_operator_token::exchange_operator_token,
        get_me::get_me,
        grant_role::grant_role,
        login::login,
        logout::logout,
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
    store::sign_ins,
    token::ACCESS_TTL,
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

fn wire(tokens: app::Tokens) -> Option<Tokens> {
    Some(Tokens {
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        expires_in_s: expires_in_s(),
    })
}

#[tonic::async_trait]
impl IdentityService for Identity {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        let client = client::address(request.metadata());
        let RegisterRequest { email, password } = request.into_inner();
        let (user_id, email) = register(&self.app, &email, password, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(RegisterResponse {
            user_id: user_id.to_bytes().into(),
            email: email.as_str().to_owned(),
        }))
    }

    async fn login(
        &self,
        request: Request<LoginRequest>,
    ) -> Result<Response<LoginResponse>, Status> {
        let client = client::address(request.metadata());
        let LoginRequest { email, password } = request.into_inner();
        let tokens = login(&self.app, &email, password, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(LoginResponse {
            tokens: wire(tokens),
        }))
    }

    async fn refresh(
        &self,
        request: Request<RefreshRequest>,
    ) -> Result<Response<RefreshResponse>, Status> {
        let client = client::address(request.metadata());
        let tokens = refresh(&self.app, &request.get_ref().refresh_token, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(RefreshResponse {
            tokens: wire(tokens),
        }))
    }

    async fn logout(
        &self,
        request: Request<LogoutRequest>,
    ) -> Result<Response<LogoutResponse>, Status> {
        let client = client::address(request.metadata());
        logout(&self.app, &request.get_ref().refresh_token, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(LogoutResponse {}))
    }

    async fn get_me(
        &self,
        request: Request<GetMeRequest>,
    ) -> Result<Response<GetMeResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let account = get_me(&self.app, &caller).await.map_err(refused)?;
        Ok(Response::new(GetMeResponse {
            user_id: caller.user_id.to_bytes().into(),
            email: account.email,
            roles: account.roles,
            created_at_ms: account.created_at.timestamp_millis(),
            email_verified: account.email_verified,
        }))
    }

    async fn get_jwks(
        &self,
        _: Request<GetJwksRequest>,
    ) -> Result<Response<GetJwksResponse>, Status> {
        Ok(Response::new(GetJwksResponse {
            jwks: self.app.issuer.jwks(),
        }))
    }

    async fn exchange_operator_token(
        &self,
        request: Request<ExchangeOperatorTokenRequest>,
    ) -> Result<Response<ExchangeOperatorTokenResponse>, Status> {
        let ExchangeOperatorTokenRequest {
            operator_token,
            email,
        } = request.into_inner();
        let (user_id, access_token) = exchange_operator_token(&self.app, &operator_token, &email)
            .await
            .map_err(refused)?;
        Ok(Response::new(ExchangeOperatorTokenResponse {
            access_token,
            expires_in_s: expires_in_s(),
            user_id: user_id.to_bytes().into(),
        }))
    }

    async fn ensure_account(
        &self,
        request: Request<EnsureAccountRequest>,
    ) -> Result<Response<EnsureAccountResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let EnsureAccountRequest {
            email,
            password,
            roles,
        } = request.into_inner();
        let (user_id, created) = ensure_account(&self.app, &caller, &email, password, &roles)
            .await
            .map_err(refused)?;
        Ok(Response::new(EnsureAccountResponse {
            user_id: user_id.to_bytes().into(),
            created,
        }))
    }

    async fn grant_role(
        &self,
        request: Request<GrantRoleRequest>,
    ) -> Result<Response<GrantRoleResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let GrantRoleRequest { email, role } = request.into_inner();
        let (user_id, roles) = grant_role(&self.app, &caller, &email, &role)
            .await
            .map_err(refused)?;
        Ok(Response::new(GrantRoleResponse {
            user_id: user_id.to_bytes().into(),
            roles,
        }))
    }

    async fn verify_email(
        &self,
        request: Request<VerifyEmailRequest>,
    ) -> Result<Response<VerifyEmailResponse>, Status> {
        let token = &request.get_ref().token;
        let email = verify_email(&self.app, token).await.map_err(refused)?;
        Ok(Response::new(VerifyEmailResponse { email }))
    }

    async fn resend_verification(
        &self,
        request: Request<ResendVerificationRequest>,
    ) -> Result<Response<ResendVerificationResponse>, Status> {
        ask_for_letter(&self.app, &request.get_ref().email, Kind::VerifyEmail)
            .await
            .map_err(refused)?;
        Ok(Response::new(ResendVerificationResponse {}))
    }

    async fn request_password_reset(
        &self,
        request: Request<RequestPasswordResetRequest>,
    ) -> Result<Response<RequestPasswordResetResponse>, Status> {
        ask_for_letter(&self.app, &request.get_ref().email, Kind::ResetPassword)
            .await
            .map_err(refused)?;
        Ok(Response::new(RequestPasswordResetResponse {}))
    }

    async fn reset_password(
        &self,
        request: Request<ResetPasswordRequest>,
    ) -> Result<Response<ResetPasswordResponse>, Status> {
        let client = client::address(request.metadata());
        let ResetPasswordRequest { token, password } = request.into_inner();
        reset_password(&self.app, &token, password, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(ResetPasswordResponse {}))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let client = client::address(request.metadata());
        let ChangePasswordRequest {
            old_password,
            new_password,
        } = request.into_inner();
        change_password(&self.app, &caller, old_password, new_password, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(ChangePasswordResponse {}))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let sessions = list_sessions(&self.app, &caller).await.map_err(refused)?;
        let own = caller.grants.sid;
        let sessions = sessions.into_iter().map(|session| shown(session, own));
        Ok(Response::new(ListSessionsResponse {
            sessions: sessions.collect(),
        }))
    }

    async fn end_session(
        &self,
        request: Request<EndSessionRequest>,
    ) -> Result<Response<EndSessionResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let client = client::address(request.metadata());
        let session_id = Uuid::from_slice(&request.get_ref().session_id).map_err(|_| {
            refused(CallError::Invalid(vec![FieldViolation {
                field: "session_id".to_owned(),
                why: "must be 16 bytes".to_owned(),
            }]))
        })?;
        end_session(&self.app, &caller, session_id, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(EndSessionResponse {}))
    }

    async fn end_all_sessions(
        &self,
        request: Request<EndAllSessionsRequest>,
    ) -> Result<Response<EndAllSessionsResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let client = client::address(request.metadata());
        end_all_sessions(&self.app, &caller, client)
            .await
            .map_err(refused)?;
        Ok(Response::new(EndAllSessionsResponse {}))
    }

    async fn rotate_signing_keys(
        &self,
        request: Request<RotateSigningKeysRequest>,
    ) -> Result<Response<RotateSigningKeysResponse>, Status> {
        let caller = self.app.verifier.authenticate(request.metadata()).await?;
        let newest = rotate_keys(&self.app, &caller).await.map_err(refused)?;
        Ok(Response::new(RotateSigningKeysResponse {
            key_id: newest.key_id,
            signs_from_ms: newest.signs_from.timestamp_millis(),
        }))
    }
}

fn shown(session: sign_ins::Session, own: Option<Uuid>) -> Session {
    let ms = |at: DateTime<Utc>| at.timestamp_millis();
    Session {
        session_id: session.family_id.into_bytes().into(),
        created_at_ms: ms(session.created_at),
        last_used_at_ms: ms(session.last_used_at),
        expires_at_ms: ms(session.expires_at),
        client_address: session.client_address.unwrap_or_default(),
        current: own == Some(session.family_id),
    }
}
