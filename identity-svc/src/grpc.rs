//! `holdfast.identity.v1.IdentityService`: decode, use case, encode.

use holdfast_mesh::Failure;
use holdfast_proto::identity::v1::{
    EnsureAccountRequest, EnsureAccountResponse, ExchangeOperatorTokenRequest,
    ExchangeOperatorTokenResponse, GetJwksRequest, GetJwksResponse, GetMeRequest, GetMeResponse,
    GrantRoleRequest, GrantRoleResponse, LoginRequest, LoginResponse, LogoutRequest,
    LogoutResponse, RefreshRequest, RefreshResponse, RegisterRequest, RegisterResponse, Tokens,
    identity_service_server::IdentityService,
};
use tonic::{Request, Response, Status};

use crate::{
    app::{
        self, App, ensure_account::ensure_account,
        exchange_operator_token::exchange_operator_token, get_me::get_me, grant_role::grant_role,
        login::login, logout::logout, refresh::refresh, register::register,
    },
    error::CallError,
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
        let RegisterRequest { email, password } = request.into_inner();
        let (user_id, email) = register(&self.app, &email, password)
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
        let LoginRequest { email, password } = request.into_inner();
        let tokens = login(&self.app, &email, password).await.map_err(refused)?;
        Ok(Response::new(LoginResponse {
            tokens: wire(tokens),
        }))
    }

    async fn refresh(
        &self,
        request: Request<RefreshRequest>,
    ) -> Result<Response<RefreshResponse>, Status> {
        let tokens = refresh(&self.app, &request.get_ref().refresh_token)
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
        logout(&self.app, &request.get_ref().refresh_token)
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
        }))
    }

    async fn get_jwks(
        &self,
        _: Request<GetJwksRequest>,
    ) -> Result<Response<GetJwksResponse>, Status> {
        Ok(Response::new(GetJwksResponse {
            jwks: self.app.issuer.jwks().to_owned(),
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
}
