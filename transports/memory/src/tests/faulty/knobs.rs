//! What happens to single messages.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_delay_lies_between_its_bounds_and_keeps_the_order() {
    let faults = Faults::legal(1);
    let delay = Delay::Uniform { min: 10 * MS, max: 30 * MS };
    faults.weather(weather(|it| it.delay = delay)).unwrap();
    let [(a, at_a), (b, _)] = linked(&faults).await;
    let began = Instant::now();
    send(&a, at_a, Class::Data, 0..100);
    let first = next(&b).await;
    assert!((10 * MS..30 * MS).contains(&began.elapsed()), "{:?}", began.elapsed());
    let mut found = messages(&first, Class::Data);
    while found.len() < 100 {
        found.extend(messages(&next(&b).await, Class::Data));
    }
    assert_eq!(found, (0..100).collect::<Vec<_>>());
    assert!(began.elapsed() <= 30 * MS + MS, "{:?}", began.elapsed());
    assert_eq!(faults.injected().delayed, 100);
}

/// The way back has weather of its own.
#[tokio::test(start_paused = true)]
async fn a_direction_has_its_own_weather() {
    let faults = Faults::legal(1);
    let slow = weather(|it| it.delay = Delay::Exponential { mean: 100 * MS });
    faults.weather_between(who(1), who(2), slow).unwrap();
    let [(a, at_a), (b, at_b)] = linked(&faults).await;
    let began = Instant::now();
    send(&b, at_b, Class::Data, 0..1);
    assert_eq!(messages(&next(&a).await, Class::Data), [0]);
    assert_eq!(began.elapsed(), Duration::ZERO);
    send(&a, at_a, Class::Data, 0..1);
    assert_eq!(messages(&next(&b).await, Class::Data), [0]);
    assert!(began.elapsed() > Duration::ZERO);
}

/// What is lost and overtaken is the same however the run is interleaved.
#[tokio::test(start_paused = true)]
async fn a_seed_decides_alike_whatever_the_timing() {
    let mut runs = Vec::new();
    for pause in [0, 3, 9] {
        let faults = Faults::legal(42);
        faults.weather(weather(|it| it.unreliable = rates(200, 0, 300))).unwrap();
        let [(a, at_a), (b, _)] = linked(&faults).await;
        let mut found = Vec::new();
        for number in 0..200 {
            send(&a, at_a, Class::Unreliable, number..number + 1);
            let some = timeout(MS * u32::from(number % 5 == pause), next(&b)).await;
            found.extend(messages(&some.unwrap_or_default(), Class::Unreliable));
        }
        found.extend(messages(&quiet(&b).await, Class::Unreliable));
        let lost = 200 - found.len() as u64;
        assert_eq!(faults.injected().lost, lost);
        assert!((20..60).contains(&lost), "{lost}");
        assert!(faults.injected().reordered > 20 && !found.is_sorted());
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len() as u64, 200 - lost);
        runs.push(found);
    }
    assert!(runs.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test(start_paused = true)]
async fn a_storm_refuses_once_and_announces_room() {
    let faults = Faults::legal(3);
    let storm = Storm { permille: 1_000, lasts: 5 * MS };
    faults.weather(weather(|it| it.storm = storm)).unwrap();
    let [(a, at_a), (b, _)] = linked(&faults).await;
    for number in 0..10 {
        let refused = a.try_send(at_a, Class::Control, number).unwrap_err();
        assert_eq!((refused.message, refused.reason), (number, LinkError::Full));
        let began = Instant::now();
        assert_eq!(rooms(&next(&a).await), 1);
        assert_eq!(began.elapsed(), 5 * MS);
        send(&a, at_a, Class::Control, number..number + 1);
    }
    // Whoever asks for room first is not refused afterwards.
    poll_fn(|cx| a.poll_ready(at_a, Class::Control, cx)).await.unwrap();
    send(&a, at_a, Class::Control, 10..11);
    a.try_send(at_a, Class::Unreliable, 0).unwrap();
    assert_eq!(messages(&quiet(&b).await, Class::Control), (0..11).collect::<Vec<_>>());
    assert_eq!(rooms(&quiet(&a).await), 0);
    assert_eq!((faults.injected().storms, a.counters().full), (11, 10));
}

/// A dial returns a link before its `Up` was taken.
#[tokio::test(start_paused = true)]
async fn room_is_announced_on_no_link_that_is_not_up() {
    let faults = Faults::legal(3);
    let storm = Storm { permille: 1_000, lasts: 5 * MS };
    faults.weather(weather(|it| it.storm = storm)).unwrap();
    let hub = Hub::new();
    let [a, b] = [1, 2].map(|peer| wrapped(&hub, &faults, peer));
    let at_a = a.connect(who(2), &b.addresses()).await.unwrap();
    send(&a, at_a, Class::Control, 0..3);
    assert!(matches!(quiet(&a).await[..], [Event::Up { .. }]));
    faults.stall(who(1));
    faults.cut(who(1), who(2));
    faults.resume(who(1));
    quiet(&a).await;
    let at_a = a.connect(who(2), &b.addresses()).await.unwrap();
    faults.stall(who(1));
    assert!(a.try_send(at_a, Class::Control, 0).is_err());
    faults.resume(who(1));
    send(&a, at_a, Class::Control, 0..1);
    assert!(matches!(quiet(&a).await[..], [Event::Up { .. }, Event::Writable { .. }]));
}

#[test]
fn what_is_out_of_range_or_hostile_is_refused() {
    let range =
        |edit: fn(&mut Weather)| Faults::hostile(1).weather(weather(edit)).unwrap_err().to_string();
    assert_eq!(
        range(|it| it.unreliable.loss = 1_001),
        "unreliable.loss is 1001, allowed is 0 to 1000"
    );
    assert_eq!(
        range(|it| it.storm.lasts = 61_000 * MS),
        "storm.lasts is 61000, allowed is 0 to 60 s"
    );
    assert_eq!(
        range(|it| it.delay = Delay::Uniform { min: 2 * MS, max: MS }),
        "delay.min is 2, allowed is 0 to delay.max"
    );
    type Edit = fn(&mut Weather);
    let hostile: [(&str, Edit); 6] = [
        ("unreliable.duplicate", |it| it.unreliable.duplicate = 1),
        ("reliable.loss", |it| it.reliable.loss = 1),
        ("reliable.duplicate", |it| it.reliable.duplicate = 1),
        ("reliable.reorder", |it| it.reliable.reorder = 1),
        ("on_full", |it| it.on_full = OnFull::Lose),
        ("on_reconnect", |it| it.on_reconnect = OnReconnect::Replay),
    ];
    for (knob, edit) in hostile {
        let refused = Faults::legal(1).weather(weather(edit));
        assert_eq!(refused, Err(FaultError::OnlyHostile { knob }));
        assert_eq!(Faults::hostile(1).weather(weather(edit)), Ok(()));
    }
    let never = Pace { events: 0, every: MS };
    assert!(Faults::legal(1).slow(who(1), Some(never)).is_err());
    let end = Hub::<u64>::new().join(life(1, 1), "a").unwrap();
    assert_eq!(Faulty::around(end, &Faults::legal(1)).unwrap_err(), NoRuntime);
}
