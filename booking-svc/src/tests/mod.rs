//! The service against a real Postgres and a real lock store of one node, both of each test's own.

mod again;
mod bookings;
mod by_show;
mod closing_accounts;
mod crashes;
mod endings;
mod fees;
mod given_back;
mod guards;
mod holds;
mod house_seats;
mod inventory;
mod late_money;
mod months;
mod organiser;
mod races;
mod rebuild;
mod requests;
mod sale_times;
mod served;
mod settle;
mod show_refunds;
mod timeline;
mod world;
