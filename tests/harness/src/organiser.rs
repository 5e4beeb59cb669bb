//! The demo organiser: makes shows with chosen rules, through the same gRPC calls as the CLI; and
//! looks at payments, as the operator, who alone may.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use holdfast_proto::{
    catalog::v1::{
        self as catalog, ChangeShowStateRequest, CreateEventRequest, CreateShowRequest,
        CreateVenueRequest, GetShowRequest, ImportPlanRequest, PublishShowRequest,
        UpdateEventRequest, catalog_service_client::CatalogServiceClient,
    },
    identity::v1::{ExchangeOperatorTokenRequest, identity_service_client::IdentityServiceClient},
    payment::v1::{ListPaymentsRequest, Payment, payment_service_client::PaymentServiceClient},
};
use serde_json::json;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::{Certificates, RunFile};

/// The address of the organiser that `up` makes.
const EMAIL: &str = "organiser@holdfast.example";
/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The price of each seat of test shows, in cents.
const PRICE: i64 = 1500;

/// Rules of a test's show; zero for the defaults.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShowRules {
    /// How long a hold lasts.
    pub hold_ttl: Duration,
    /// How long it may last with extensions.
    pub hold_total_max: Duration,
    /// Seats one customer may have.
    pub seats_per_customer_max: u32,
}

/// A plan of one section `Hall` with rows of `seats_per_row`, in the pretix format. Labels are
/// those that the importer makes.
pub fn plan_of(rows: u32, seats_per_row: u32) -> String {
    let row = |r: u32| {
        let seat = |s: u32| {
            json!({
                "seat_number": (s + 1).to_string(),
                "seat_guid": format!("Hall-{}-{}", r + 1, s + 1),
                "uuid": Uuid::new_v4(),
                "position": { "x": 25 * s, "y": 0 },
                "category": "Any",
            })
        };
        json!({
            "position": { "x": 0, "y": 30 * r },
            "row_number": (r + 1).to_string(),
            "row_number_position": "start",
            "seats": (0..seats_per_row).map(seat).collect::<Vec<_>>(),
        })
    };
    json!({
        "name": "Hall",
        "categories": [{ "name": "Any", "color": "#4CAF50" }],
        "zones": [{ "name": "Hall", "position": { "x": 0, "y": 0 }, "rows": (0..rows).map(row).collect::<Vec<_>>() }],
        "size": { "width": 25 * seats_per_row + 50, "height": 30 * rows + 50 },
    })
    .to_string()
}

/// Signed in.
pub struct Organiser {
    catalog: CatalogServiceClient<Channel>,
    payment: PaymentServiceClient<Channel>,
    bearer: String,
    operator: String,
}

impl Organiser {
    pub(crate) async fn sign_in(
        run: &RunFile,
        certificates: &Certificates,
        operator_token: &str,
    ) -> Result<Self> {
        let channel = |service: &str| -> Result<Channel> {
            let uri = run
                .services
                .get(service)
                .with_context(|| format!("no address of {service}"))?;
            Ok(Channel::from_shared(uri.clone())?
                .tls_config(certificates.of("operator", service)?)?
                .timeout(CALL_LIMIT)
                .connect_lazy())
        };
        let mut identity = IdentityServiceClient::new(channel("identity")?);
        let mut bearer = async |email: &str| -> Result<String> {
            let request = ExchangeOperatorTokenRequest {
                operator_token: operator_token.to_owned(),
                email: email.to_owned(),
            };
            let answer = identity.exchange_operator_token(request).await?;
            Ok(format!("Bearer {}", answer.into_inner().access_token))
        };
        let (organiser, operator) = (bearer(EMAIL).await?, bearer("").await?);
        Ok(Self {
            catalog: CatalogServiceClient::new(channel("catalog")?),
            payment: PaymentServiceClient::new(channel("payment")?),
            bearer: organiser,
            operator,
        })
    }

    fn request<T>(&self, message: T) -> Result<tonic::Request<T>> {
        signed(message, &self.bearer)
    }

    /// A show of `rows` times `seats_per_row` seats that starts in a month, on sale.
    ///
    /// # Errors
    /// Any step's refusal.
    pub async fn open_show(
        &mut self,
        rows: u32,
        seats_per_row: u32,
        rules: ShowRules,
    ) -> Result<Uuid> {
        let show = self.draft_show(rows, seats_per_row, rules).await?;
        let request = self.request(PublishShowRequest {
            show_id: show.as_bytes().to_vec(),
        })?;
        self.catalog
            .publish_show(request)
            .await
            .context("publish")?;
        Ok(show)
    }

    /// As [`Organiser::open_show`], but not on sale yet.
    ///
    /// # Errors
    /// Any step's refusal.
    pub async fn draft_show(
        &mut self,
        rows: u32,
        seats_per_row: u32,
        rules: ShowRules,
    ) -> Result<Uuid> {
        let [venue_id, plan_id, event_id] = [(); 3].map(|()| Uuid::new_v4().as_bytes().to_vec());
        let show = Uuid::new_v4();
        let venue = catalog::Venue {
            venue_id: venue_id.clone(),
            name: format!("Hall {show}"),
            address: "Street 1".into(),
            city: "Berlin".into(),
            country: "DE".into(),
            time_zone: "Europe/Berlin".into(),
            ..Default::default()
        };
        let request = self.request(CreateVenueRequest {
            venue: Some(venue),
            ..Default::default()
        })?;
        self.catalog.create_venue(request).await.context("venue")?;
        let plan_json = plan_of(rows, seats_per_row).into_bytes();
        let request = ImportPlanRequest {
            plan_id: plan_id.clone(),
            venue_id,
            name: "Hall".into(),
            plan_json,
            ..Default::default()
        };
        self.catalog
            .import_plan(self.request(request)?)
            .await
            .context("plan")?;
        let event = catalog::Event {
            event_id: event_id.clone(),
            title: "A test".into(),
            description: "Made by a test.".into(),
            category: "music-rock".into(),
            ..Default::default()
        };
        let request = self.request(CreateEventRequest {
            event: Some(event),
            ..Default::default()
        })?;
        self.catalog.create_event(request).await.context("event")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let request = CreateShowRequest {
            show_id: show.as_bytes().to_vec(),
            event_id,
            plan_id,
            starts_at_ms: i64::try_from((now + Duration::from_secs(30 * 24 * 3600)).as_millis())?,
            currency: "EUR".into(),
            prices: vec![catalog::Price {
                category: "Any".into(),
                amount: PRICE,
                ..catalog::Price::default()
            }],
            rules: Some(catalog::ShowRules {
                hold_ttl_ms: u64::try_from(rules.hold_ttl.as_millis())?,
                hold_total_ms_max: u64::try_from(rules.hold_total_max.as_millis())?,
                seats_per_customer_max: rules.seats_per_customer_max,
                ..catalog::ShowRules::default()
            }),
            ..Default::default()
        };
        self.catalog
            .create_show(self.request(request)?)
            .await
            .context("show")?;
        Ok(show)
    }

    /// Gives the event of a show another title.
    ///
    /// # Errors
    /// A refusal.
    pub async fn retitle(&mut self, show: Uuid, title: &str) -> Result<()> {
        let show_id = show.as_bytes().to_vec();
        let request = self.request(GetShowRequest { show_id })?;
        let show = self.catalog.get_show(request).await?.into_inner().show;
        let mut event = show.and_then(|show| show.event).context("no event")?;
        event.title = title.to_owned();
        let request = self.request(UpdateEventRequest {
            event: Some(event),
            ..Default::default()
        })?;
        self.catalog.update_event(request).await?;
        Ok(())
    }

    /// PAUSED, CLOSED or CANCELLED.
    ///
    /// # Errors
    /// A refusal.
    pub async fn change_state(&mut self, show: Uuid, state: &str) -> Result<()> {
        let request = ChangeShowStateRequest {
            show_id: show.as_bytes().to_vec(),
            state: state.to_owned(),
        };
        self.catalog
            .change_show_state(self.request(request)?)
            .await?;
        Ok(())
    }

    /// What was collected for a booking, and sent back.
    ///
    /// # Errors
    /// A refusal.
    pub async fn payments(&mut self, booking: &str) -> Result<Vec<Payment>> {
        let booking_id = Uuid::parse_str(booking)?.as_bytes().to_vec();
        let answer = self
            .payment
            .list_payments(signed(ListPaymentsRequest { booking_id }, &self.operator)?)
            .await?;
        Ok(answer.into_inner().payments)
    }
}

fn signed<T>(message: T, bearer: &str) -> Result<tonic::Request<T>> {
    let mut request = tonic::Request::new(message);
    request
        .metadata_mut()
        .insert("authorization", bearer.parse()?);
    Ok(request)
}
