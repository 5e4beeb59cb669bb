//! A seat map that changes as customers buy, also while the store's leader is killed.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use holdfast_harness::{Customer, STORE_NODE_KILLED, with_system};
use serde_json::{Value, json};

use crate::{assert_agreed, demo_show, options, viewer::Viewer};

#[tokio::test]
async fn viewers_see_every_hold_and_sale_in_order_also_over_the_kill_of_the_leader() {
    with_system(options().expecting(STORE_NODE_KILLED), async |system| {
        let (rest, show) = (system.rest()?, demo_show(system)?);
        let base = system.run()?.api_url;
        let customer = Customer::register(&rest).await?;
        let map = rest
            .get(&format!("/shows/{show}/seatmap"))
            .await?
            .ok()?
            .body;
        let free = rest.free_seats(show).await?;
        let number = |label: &str| {
            let seats = map["seats"].as_array().context("no seats")?;
            let seat = seats.iter().find(|seat| seat["seat_id"] == label);
            seat.and_then(|seat| seat["seat_no"].as_u64())
                .with_context(|| format!("no seat {label}"))
        };
        let (bought, held) = (number(&free[0])?, number(&free[1])?);

        let mut stays = Viewer::open(&base, show, None).await?;
        let mut leaves = Viewer::open(&base, show, None).await?;
        ensure!(stays.began_with == "snapshot" && leaves.began_with == "snapshot");
        let hold = customer.hold(show, &[&free[0]]).await?.ok()?;
        let own = hold.text("revision")?;
        let path = format!("/shows/{show}/availability?min_revision={own}");
        let seats = rest.get(&path).await?.ok()?.body;
        let held_now = json!({ "seat_id": free[0], "state": "HELD" });
        let seats = seats["seats"].as_array().context("no seats")?;
        ensure!(seats.contains(&held_now), "one's own hold is seen at once");
        for viewer in [&mut stays, &mut leaves] {
            viewer.wait_for(bought, "HELD").await?;
        }
        // One closes the page here, and comes back after the kill.
        let (since, before) = (leaves.since.clone(), leaves.changes.clone());
        drop(leaves);

        let leader = system.leader().await?;
        let restarts = system.kill(&leader)?;
        let body = json!({ "hold_id": hold.text("hold_id")? });
        let booking = customer
            .post_until_answered("/bookings", "after-the-kill", &body)
            .await?
            .ok()?
            .text("booking_id")?;
        let url = customer
            .wait_payment_url(&booking, Duration::from_secs(30))
            .await?;
        customer.pay(&url, 0).await?;
        customer
            .wait_booking(&booking, "CONFIRMED", Duration::from_secs(30), |b| {
                b["status"] == "CONFIRMED"
            })
            .await?;
        let body = json!({ "show_id": show, "seat_ids": [free[1]] });
        let held_now = customer
            .post_until_answered("/holds", "another", &body)
            .await?;
        held_now.ok()?;

        let mut back = Viewer::open(&base, show, Some(&since)).await?;
        ensure!(back.began_with == "resumed", "{}", back.began_with);
        for viewer in [&mut stays, &mut back] {
            viewer.wait_for(bought, "SOLD").await?;
            viewer.wait_for(held, "HELD").await?;
        }
        let histories = stays.histories();
        ensure!(histories[&bought] == ["HELD", "SOLD"], "{histories:?}");
        ensure!(histories[&held] == ["HELD"], "{histories:?}");
        let both: Vec<_> = before.iter().chain(&back.changes).cloned().collect();
        ensure!(both == stays.changes, "{both:?}, not {:?}", stays.changes);

        // Whoever asks sees the same, at that revision or a later one.
        let path = format!("/shows/{show}/availability?min_revision={}", stays.since);
        let list = rest.get(&path).await?.ok()?.body;
        let state = |label: &str| {
            let seats = list["seats"].as_array().into_iter().flatten();
            let seat = seats.clone().find(|seat| seat["seat_id"] == label);
            seat.map_or(Value::Null, |seat| seat["state"].clone())
        };
        ensure!(
            state(&free[0]) == "SOLD" && state(&free[1]) == "HELD",
            "{list}"
        );
        let revision = |answer: &Value| answer["revision"].as_str().map(str::parse::<u64>);
        let seen = revision(&list).context("no revision")??;
        ensure!(seen >= stays.since.parse()?, "{seen} < {}", stays.since);
        let packed = rest.get(&format!("{path}&format=bitmap")).await?.ok()?.body;
        let bytes = STANDARD.decode(packed["bitmap"].as_str().context("no bitmap")?)?;
        let bits = |seat_no: u64| -> anyhow::Result<u8> {
            let byte = bytes.get(usize::try_from(seat_no / 4)?).context("short")?;
            Ok(byte >> (2 * (seat_no % 4)) & 0b11)
        };
        ensure!((bits(bought)?, bits(held)?) == (2, 1), "{packed}");
        let all = list["seats"].as_array().map(Vec::len);
        ensure!(packed["seat_count"].as_u64() == all.map(|count| count as u64));

        system.wait_back(&leader, restarts).await?;
        system.store()?.wait_same_state().await?;
        assert_agreed(system, show, 1).await
    })
    .await;
}
