//! The command line: what may be said, and nothing of what it does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use holdfast_proto::part;

use crate::{discovery::Shift, made_up::SHOWS_MAX, postgres::WrapperArgs};

/// Sells seats: the services, the commands for whoever runs them, and the whole on one machine.
#[derive(Debug, Parser)]
#[command(
    name = "holdfast",
    version,
    after_help = "Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 the system can't be reached, 64 unusable configuration."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the data of `holdfast up` is.
#[derive(Debug, Clone, Args)]
pub(crate) struct DataDirArg {
    /// The data directory [default: /var/lib/holdfast as root, else ~/.local/state/holdfast]
    #[arg(long, env = "HOLDFAST_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole system on this machine, with nothing configured; Ctrl-C stops it
    Up(UpArgs),
    /// Run one service, or all but the lock store
    Serve(ServeArgs),
    /// Read a file into the running system
    #[command(subcommand)]
    Import(Import),
    /// Look at the lock-store cluster, and operate it
    #[command(subcommand)]
    Cluster(Cluster),
    /// Act on a lock store that is lost
    #[command(subcommand)]
    Lockstore(Lockstore),
    /// Prepare the database
    #[command(subcommand)]
    Db(Db),
    /// Make certificates for processes that run on their own, and see who may call what with them
    #[command(subcommand)]
    Certs(Certs),
    /// Manage accounts
    #[command(subcommand)]
    User(User),
    /// See who is in an organisation, and give it an owner
    #[command(subcommand)]
    Organisation(Organisation),
    /// Manage keys of identity-svc
    #[command(subcommand)]
    Identity(Identity),
    /// Look at the search index, or have it built anew
    #[command(subcommand)]
    Search(Search),
    /// Refund the bookings of a show that was cancelled
    #[command(subcommand)]
    Show(Show),
    /// Look at refunds that wait for people, and end one
    #[command(subcommand)]
    Refund(Refund),
    /// Look at the event stream between services
    #[command(subcommand)]
    Events(Events),
    /// Buy two seats of the demo show over REST, printing each step
    Demo(DemoArgs),
    /// Run the private Postgres as a child of `up`
    #[command(hide = true)]
    Postgres(WrapperArgs),
    /// Print a shell's completions for this program
    #[command(hide = true)]
    Completions(CompletionsArgs),
}

/// `holdfast up`
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Where the data is.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
    /// Which ports to use.
    #[arg(long, value_enum, default_value_t = PortChoice::Default)]
    pub(crate) ports: PortChoice,
    /// A server to use instead of a private Postgres; its user must be allowed to make roles
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// The lock store's data is lost: make a new lock store and load it with what the database knows; seats that were held and not booked are free then
    #[arg(long)]
    pub(crate) rebuild_lock_store: bool,
}

/// How `up` chooses ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PortChoice {
    /// The well-known ones where free, others where not
    Default,
    /// Never the well-known ones
    Auto,
}

/// `holdfast serve`
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Which service
    #[arg(value_enum)]
    pub(crate) role: Role,
    /// A TOML file; HOLDFAST__SECTION__KEY in the environment wins over it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Let the API, the sandbox and ops, which are plain HTTP, listen beyond loopback; gRPC in the
    /// clear needs `insecure = true` in each part's own section, and with tls.dir no leave at all
    #[arg(long)]
    pub(crate) insecure: bool,
    /// A Meilisearch server that search uses, http://host:port [default: the configuration's, else
    /// an index within the process]; its key is MEILI_API_KEY
    #[arg(long, env = "MEILI_URL", value_name = "URL")]
    pub(crate) meili_url: Option<String>,
    /// Print the configuration in effect (secrets as ***) and end
    #[arg(long)]
    pub(crate) dump_config: bool,
}

/// What a process can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// One node of the lock store
    Lockstore,
    /// Accounts and tokens
    Identity,
    /// Venues, plans, events, shows
    Catalog,
    /// Inventory, bookings, tickets
    Booking,
    /// Collecting money
    Payment,
    /// Finding shows
    Search,
    /// A payment provider to try things with
    Sandbox,
    /// REST
    Gateway,
    /// Every role but the lock store
    All,
}

/// `holdfast import`
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// A seating plan in the pretix format (JSON); the same file again changes nothing
    Plan(ImportPlanArgs),
    /// Events of the Ticketmaster Discovery API (JSON); the same files again change nothing
    ///
    /// Nothing is written unless every file can be read to its end. A show is put on sale, in a hall made by rule, if it has a price range and a time of day; else it stays DRAFT, announced. Events and venues made for testing are skipped.
    Discovery(ImportDiscoveryArgs),
}

/// `holdfast import plan`
#[derive(Debug, Args)]
pub(crate) struct ImportPlanArgs {
    /// The plan
    pub(crate) file: PathBuf,
    /// A venue of yours that is there, by id; without it one is made, and must say where it is
    #[arg(long, value_name = "ID")]
    pub(crate) venue: Option<uuid::Uuid>,
    /// What the new venue is called; the same command again makes no other [default: the file's name]
    #[arg(long, value_name = "NAME", conflicts_with = "venue")]
    pub(crate) venue_name: Option<String>,
    /// Where it is: this and what follows stays as it is once a show there is published
    #[arg(long, required_unless_present = "venue", conflicts_with = "venue")]
    pub(crate) city: Option<String>,
    /// In which country (ISO 3166-1 alpha-2)
    #[arg(long, required_unless_present = "venue", conflicts_with = "venue")]
    pub(crate) country: Option<String>,
    /// Degrees north of the equator, e.g. 52.5186
    #[arg(
        long,
        value_name = "DEGREES",
        allow_negative_numbers = true,
        required_unless_present = "venue",
        conflicts_with = "venue"
    )]
    pub(crate) latitude: Option<f64>,
    /// Degrees east of Greenwich, e.g. 13.4081
    #[arg(
        long,
        value_name = "DEGREES",
        allow_negative_numbers = true,
        required_unless_present = "venue",
        conflicts_with = "venue"
    )]
    pub(crate) longitude: Option<f64>,
    /// Its time zone (IANA), e.g. Europe/Berlin
    #[arg(long, required_unless_present = "venue", conflicts_with = "venue")]
    pub(crate) time_zone: Option<String>,
    /// Whose it will be: an organiser's address [default: the demo organiser]
    #[arg(long, value_name = "EMAIL")]
    pub(crate) owner: Option<String>,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast import discovery`
#[derive(Debug, Args)]
pub(crate) struct ImportDiscoveryArgs {
    /// Pages of events, single events, or many of them one after the other
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Move dates ahead by N years, or by as few as bring each into the future: to the nearest date of the same weekday, at the same time of day at the venue
    #[arg(long, value_name = "auto|N", default_value = "0")]
    pub(crate) shift_years: Shift,
    /// Seats of each venue's hall, of which the files say nothing
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(i64::from(*catalog_svc::hall::SEATS.start())..=i64::from(*catalog_svc::hall::SEATS.end())))]
    pub(crate) hall_seats: u32,
    /// Put nothing on sale
    #[arg(long)]
    pub(crate) drafts: bool,
    /// Leave out events with mistakes, instead of refusing everything
    #[arg(long)]
    pub(crate) skip_bad: bool,
    /// Whose ids they are: the same id of another source is another thing
    #[arg(long, value_name = "NAME", default_value = "ticketmaster")]
    pub(crate) source: String,
    /// Whose it will be: an organiser's address [default: the demo organiser]
    #[arg(long, value_name = "EMAIL")]
    pub(crate) owner: Option<String>,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast demo`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DemoArgs {
    /// Something else to show
    #[command(subcommand)]
    pub(crate) what: Option<Demo>,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast demo …`
#[derive(Debug, Subcommand)]
pub(crate) enum Demo {
    /// Fill the catalogue with made-up shows in real cities; the same command again changes nothing
    ///
    /// All of them are announced drafts: listed and found, with sale dates and prices, and not for sale. City data is from GeoNames (geonames.org), CC BY 4.0.
    Catalogue(DemoCatalogueArgs),
}

/// `holdfast demo catalogue`
#[derive(Debug, Args)]
pub(crate) struct DemoCatalogueArgs {
    /// How many shows; fewer are the begin of more
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=SHOWS_MAX))]
    pub(crate) shows: u64,
    /// Which catalogue: the same seed and first day give the same
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The first of the 365 days of its shows [default: 1 January of next year]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) first_day: Option<chrono::NaiveDate>,
    /// Put the first N that can be sold on sale
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) on_sale: u64,
    /// Whose it will be: an organiser's address [default: the demo organiser]
    #[arg(long, value_name = "EMAIL")]
    pub(crate) owner: Option<String>,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast cluster`
#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// Each node: its part, log, state, and who leads
    Status(ClusterStatusArgs),
    /// Compare lock store, database, ledger and payment provider while all run; exit code 1 if anything is wrong, 3 if something can't be checked
    ///
    /// Nothing is changed. A difference is looked at again for half a minute before it is reported, so that purchases under way are none. The counts say how much was compared.
    Audit(ClusterAuditArgs),
    /// Pause or resume the ending of holds by time
    Expiry(ClusterExpiryArgs),
    /// Record what you did, for those who come after you
    Note(ClusterNoteArgs),
    /// What operators set and noted, newest first
    Acts(ClusterActsArgs),
}

/// Which lock store.
#[derive(Debug, Args)]
pub(crate) struct ClusterSource {
    /// Nodes to ask, e.g. https://127.0.0.1:7101; the operator's certificate is in `tls` of the data directory [default: those of the running system]
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Vec<String>,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast cluster audit`
#[derive(Debug, Args)]
pub(crate) struct ClusterAuditArgs {
    /// How long, in seconds, money and a booking's steps may be under way; a difference lasts half a minute, or so long if that is less, before it is reported
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub(crate) grace: u64,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// The same as `--output json`
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// The running system.
    #[command(flatten)]
    pub(crate) source: ClusterSource,
}

impl ClusterAuditArgs {
    pub(crate) const fn output(&self) -> Output {
        if self.json { Output::Json } else { self.output }
    }
}

/// `holdfast cluster expiry`
#[derive(Debug, Args)]
pub(crate) struct ClusterExpiryArgs {
    /// What to do
    #[arg(value_enum)]
    pub(crate) to: Expiry,
    /// Why; it is recorded
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who you are; it is recorded [default: $USER]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// The lock store.
    #[command(flatten)]
    pub(crate) source: ClusterSource,
}

/// What becomes of expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Expiry {
    /// No hold ends by time from now on
    Pause,
    /// Holds end when their time is over
    Resume,
}

/// `holdfast cluster note`
#[derive(Debug, Args)]
pub(crate) struct ClusterNoteArgs {
    /// What you did, on one line
    pub(crate) text: String,
    /// Who you are; it is recorded [default: $USER]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// The lock store.
    #[command(flatten)]
    pub(crate) source: ClusterSource,
}

/// `holdfast cluster acts`
#[derive(Debug, Args)]
pub(crate) struct ClusterActsArgs {
    /// How many
    #[arg(short, long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) limit: u32,
    /// Those before this revision
    #[arg(
        long,
        value_name = "REVISION",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub(crate) before: u64,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// The lock store.
    #[command(flatten)]
    pub(crate) source: ClusterSource,
}

/// `holdfast cluster status`
#[derive(Debug, Args)]
pub(crate) struct ClusterStatusArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// The lock store.
    #[command(flatten)]
    pub(crate) source: ClusterSource,
}

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

/// `holdfast lockstore`
#[derive(Debug, Subcommand)]
pub(crate) enum Lockstore {
    /// Begin a new life of the cluster: booking-svc loads it with what the database knows
    Rebuild(LockstoreRebuildArgs),
}

/// `holdfast lockstore rebuild`
#[derive(Debug, Args)]
pub(crate) struct LockstoreRebuildArgs {
    /// The old cluster is gone for good: what it says counts for nothing from now on
    #[arg(long, required = true)]
    pub(crate) the_old_one_is_lost: bool,
    /// The database, as a user who may make roles
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: String,
    /// Where the roles' passwords are.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast db`
#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Make roles, schemas, grants and the event stream; again changes nothing
    Init(DbInitArgs),
}

/// `holdfast db init`
#[derive(Debug, Args)]
pub(crate) struct DbInitArgs {
    /// The database, as a user who may make roles
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: String,
    /// Where the roles' passwords are, made there where missing.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast certs`
#[derive(Debug, Subcommand)]
pub(crate) enum Certs {
    /// Make the authority that certificates are from (ca.pem, ca.key), good for ten years
    Init(CertsDirArg),
    /// Make certificates (NAME.pem, NAME.key), good for 397 days; a renewed one keeps its key
    Issue(CertsIssueArgs),
    /// Show each certificate, when it ends and whether it can be used; exit code 1 if one can't
    Show(CertsShowArgs),
    /// Show which part may call which methods
    Callers(CertsCallersArgs),
}

/// Where certificates are.
#[derive(Debug, Args)]
pub(crate) struct CertsDirArg {
    /// The folder with the certificates
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// `holdfast certs issue`
#[derive(Debug, Args)]
pub(crate) struct CertsIssueArgs {
    /// The folder with the authority, where they go.
    #[command(flatten)]
    pub(crate) dir: CertsDirArg,
    /// For which parts
    #[arg(required_unless_present = "all", value_parser = clap::builder::PossibleValuesParser::new(part::ALL))]
    pub(crate) names: Vec<String>,
    /// For every part that has no good one
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// Replace good ones, too
    #[arg(long)]
    pub(crate) renew: bool,
}

/// `holdfast certs show`
#[derive(Debug, Args)]
pub(crate) struct CertsShowArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// The folder.
    #[command(flatten)]
    pub(crate) dir: CertsDirArg,
}

/// `holdfast certs callers`
#[derive(Debug, Args)]
pub(crate) struct CertsCallersArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// `holdfast search`
#[derive(Debug, Subcommand)]
pub(crate) enum Search {
    /// Which engine, whether there is an index, and how far it is behind
    Status(SearchStatusArgs),
    /// Build the index anew from the catalogue, beside the one that is searched, and wait for it
    Rebuild(DataDirArg),
    /// Compare the index with the catalogue, show by show; fails where they differ and go on to
    Check(SearchCheckArgs),
}

/// `holdfast search check`
#[derive(Debug, Args)]
pub(crate) struct SearchCheckArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast search status`
#[derive(Debug, Args)]
pub(crate) struct SearchStatusArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast show`
#[derive(Debug, Subcommand)]
pub(crate) enum Show {
    /// Refund every confirmed booking of a cancelled show, in the background; again: how far it is
    Refund(ShowRefundArgs),
}

/// `holdfast show refund`
#[derive(Debug, Args)]
pub(crate) struct ShowRefundArgs {
    /// The show
    pub(crate) show_id: uuid::Uuid,
    /// Say what would be refunded, or how far it is, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast events`
#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// List the keys (bookings) whose events a consumer gave up on
    Parked(EventsParkedArgs),
    /// Show what a consumer's trouble with a key is: the error, the event that fails with what it says, and what waits behind it
    Inspect(EventsInspectArgs),
    /// Let a parked key go on from its failing event, with a full set of tries
    Replay(EventsReplayArgs),
}

/// `holdfast events parked`
#[derive(Debug, Args)]
pub(crate) struct EventsParkedArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast events inspect`
#[derive(Debug, Args)]
pub(crate) struct EventsInspectArgs {
    /// Who is in trouble, as `events parked` shows it
    pub(crate) consumer: String,
    /// With what, as `events parked` shows it
    pub(crate) key: String,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast events replay`
#[derive(Debug, Args)]
pub(crate) struct EventsReplayArgs {
    /// Who gave up, as `events parked` shows it
    pub(crate) consumer: String,
    /// On what, as `events parked` shows it
    pub(crate) key: String,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast refund`
#[derive(Debug, Subcommand)]
pub(crate) enum Refund {
    /// List the refunds that nothing sends by itself: held by a dispute, or refused or not paid out by the provider
    Waiting(RefundWaitingArgs),
    /// End a refund whose money reached its customer past the provider: by the bank after a lost dispute, or another way
    ///
    /// The books say so from then on, and the booking is told that its money went. Nothing is sent.
    Settle(RefundSettleArgs),
}

/// `holdfast refund waiting`
#[derive(Debug, Args)]
pub(crate) struct RefundWaitingArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast refund settle`
#[derive(Debug, Args)]
pub(crate) struct RefundSettleArgs {
    /// Which, as `refund waiting` shows it
    pub(crate) refund_id: uuid::Uuid,
    /// Who says so and how the money went; kept with the refund
    #[arg(long)]
    pub(crate) note: String,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast user`
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Give an account a role: customer, organiser, venue_owner, staff or admin
    Grant(GrantArgs),
    /// Take a role from an account
    ///
    /// Access tokens that say so count until they end, within 15 minutes.
    Revoke(GrantArgs),
    /// Disable an account: its sign-ins and API keys end, and nobody signs in as it
    ///
    /// Whoever tries is answered as with a wrong password. Access tokens count until they end, within 15
    /// minutes. Roles, memberships and bookings stay.
    Disable(AccountArgs),
    /// Let the owner of a disabled account sign in again
    Enable(AccountArgs),
    /// What happened to an account: sign-ins, and changes of what it may do
    Audit(AuditArgs),
}

/// `holdfast user audit`
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// The account
    pub(crate) email: String,
    /// How many entries, newest first
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast organisation`
#[derive(Debug, Subcommand)]
pub(crate) enum Organisation {
    /// Who is in it, as what, and who of them is disabled
    Members(MembersArgs),
    /// Make an account an owner of it, whether it is in it or not
    ///
    /// For an organisation that nobody is left to own, as `user disable` tells. The account must be verified and not
    /// disabled. It is told by mail, and so are the other owners; `user audit` shows it.
    Appoint(AppointArgs),
}

/// `holdfast organisation members`
#[derive(Debug, Args)]
pub(crate) struct MembersArgs {
    /// The organisation, by id, as `user disable` and `user audit` show it
    #[arg(value_name = "ORGANISATION")]
    pub(crate) organisation_id: uuid::Uuid,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast organisation appoint`
#[derive(Debug, Args)]
pub(crate) struct AppointArgs {
    /// The organisation, by id, as `user disable` and `user audit` show it
    #[arg(value_name = "ORGANISATION")]
    pub(crate) organisation_id: uuid::Uuid,
    /// The account
    pub(crate) email: String,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast identity`
#[derive(Debug, Subcommand)]
pub(crate) enum Identity {
    /// Make a new key to sign access tokens with; nobody is signed out
    ///
    /// The key is published at once and signs some minutes later, when everybody who checks tokens has
    /// fetched it; the old one stays published until its last token has ended. A key that is 30 days old is
    /// replaced by itself.
    RotateKeys(RotateKeysArgs),
}

/// `holdfast identity rotate-keys`
#[derive(Debug, Args)]
pub(crate) struct RotateKeysArgs {
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast user disable` and `enable`
#[derive(Debug, Args)]
pub(crate) struct AccountArgs {
    /// The account
    pub(crate) email: String,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast user grant` and `revoke`
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// The account
    pub(crate) email: String,
    /// The role
    pub(crate) role: String,
    /// The running system.
    #[command(flatten)]
    pub(crate) dir: DataDirArg,
}

/// `holdfast completions`
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// What help is wrapped at, wherever the test runs.
    const WIDTH: usize = 100;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// What is wrong with a command line, or nothing.
    fn mistake(line: &str) -> Option<String> {
        let parsed = Cli::try_parse_from(line.split_whitespace());
        parsed.err().map(|error| error.to_string())
    }

    /// What can't be mended later isn't made up.
    #[test]
    fn plan_of_a_new_venue_says_where_that_is() {
        let place = [
            "--city Lima",
            "--country PE",
            "--latitude -12.05",
            "--longitude -77.04",
            "--time-zone America/Lima",
        ];
        let import = "holdfast import plan hall.json";
        assert_eq!(mistake(&format!("{import} {}", place.join(" "))), None);
        for left_out in 0..place.len() {
            let mut given = place.to_vec();
            let flag = given.remove(left_out);
            let flag = flag.split(' ').next().expect("a flag");
            let why = mistake(&format!("{import} {}", given.join(" ")));
            assert!(why.is_some_and(|why| why.contains(flag)), "{flag}");
        }
        let venue = "--venue 01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(mistake(&format!("{import} {venue}")), None);
        for flag in place.iter().chain(&["--venue-name Hall"]) {
            let why = mistake(&format!("{import} {venue} {flag}"));
            assert!(
                why.is_some_and(|why| why.contains("cannot be used with")),
                "{flag}"
            );
        }
    }

    #[test]
    fn help_of_every_command() {
        let mut command = Cli::command().term_width(WIDTH);
        command.build();
        let mut text = String::new();
        write_help(&command, &mut text);
        insta::assert_snapshot!(text);
    }

    fn write_help(command: &clap::Command, text: &mut String) {
        let mut shown = command.clone().mut_args(|arg| arg.hide_env_values(true));
        let name = shown.get_bin_name().unwrap_or("holdfast").to_owned();
        text.push_str(&format!("$ {name} --help\n{}\n", shown.render_long_help()));
        let visible = |sub: &&clap::Command| !sub.is_hide_set() && sub.get_name() != "help";
        for sub in command.get_subcommands().filter(visible) {
            write_help(sub, text);
        }
    }
}
